"""Steps that take an earlier prediction again: which, and what they spare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from annotators.base import Image
from cnet_app.diffusion.pipeline import generate
from cnet_app.diffusion.reuse import StepReuse
from models.family_facts import Family
from models.loader import Base
from tests.diffusion.conftest import request_for, unit


def test_a_prediction_is_taken_again_where_little_changes() -> None:
    reuse = StepReuse(0.1, steps=10)
    x, v = torch.zeros(1, 4, 8, 8), torch.ones(1, 4, 8, 8)
    assert reuse.prediction(0, x, "a") is None, "nothing is known"
    reuse.keep(x, v, "a")
    assert reuse.prediction(1, x + 1, "a") is None, "nothing is known of how fast predictions change"
    reuse.keep(x + 1, v * 1.05, "a")  # a change of 0.05 over a change of 1
    again = reuse.prediction(2, x + 2, "a")  # another 0.05, of 1.05
    assert again is not None and torch.equal(again, v * 1.05)
    assert reuse.prediction(3, x + 4, "a") is None, "0.15 of 1.05 is above 0.1"
    assert reuse.prediction(2, x + 2, "b") is None, "something else acts"
    assert reuse.prediction(9, x + 2, "a") is None, "the last step"


def test_at_0_every_step_is_computed() -> None:
    reuse = StepReuse(0.0, steps=10)
    x = torch.zeros(1, 4, 8, 8)
    for step in range(3):
        assert reuse.prediction(step, x, "a") is None
        reuse.keep(x, x + 1, "a")


def test_networks_rest_at_reused_steps(
    bases: dict[Family, Base], nets: dict[Family, Any], count_runs: Callable[..., Counter[str]]
) -> None:
    base, net = bases["sd15"], nets["sd15"][0]
    counted = count_runs(base=base.network.mid_block, control=net.mid_block)

    def made(steps: int, threshold: float, **values: Any) -> Image:
        counted.clear()
        request = request_for(unit(**values), num_inference_steps=steps, reuse_threshold=threshold)
        return generate(base, [net], request, on_step=lambda step: norms.append(len(step.norms())))[0]

    norms: list[int] = []
    exact = made(10, 0)
    assert counted["base"] == counted["control"] == 10
    near = made(10, 0.5)
    assert counted["base"] == counted["control"] < 10 and (near != exact).any()
    assert norms == [1] * 20, "at a reused step they are those of the last computed one"
    assert np.array_equal(near, made(10, 0.5))
    made(6, 0.5, control_guidance_end=0.5)
    assert counted["base"] >= 4, "two steps that show the rate, the one after the end of the range, and the last"
    assert counted["control"] < 4
