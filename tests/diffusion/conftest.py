"""Miniatures of every family, one map, and a way to count what runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from diffusers import ControlNetModel

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.families import FAMILIES
from models.family_facts import Family
from models.loader import Base
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet
from tests.families import UNETS


@pytest.fixture(scope="session")
def bases() -> dict[Family, Base]:
    return {family: tiny_base(family) for family in FAMILIES}


@pytest.fixture(scope="session")
def nets(bases: dict[Family, Base]) -> dict[Family, tuple[ControlNetModel, ControlNetModel]]:
    return {one: (tiny_controlnet(bases[one], seed=1), tiny_controlnet(bases[one], seed=2)) for one in UNETS}


def control_map(seed: int = 0, width: int = 64, height: int = 64) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Strong blocks of colour, so that two maps are far apart."""
    blocks = np.random.default_rng(seed).integers(0, 2, (height // 16, width // 16, 3), dtype=np.uint8) * 255
    return blocks.repeat(16, axis=0).repeat(16, axis=1)


def unit(seed: int = 0, **values: Any) -> ControlUnit:
    given: dict[str, Any] = {"condition": "canny", "control_image": encode_png(control_map(seed))}
    return ControlUnit(**given | values)


def request_for(*units: ControlUnit, **values: Any) -> GenerationRequest:
    plain: dict[str, Any] = {"prompt": "a red ball", "width": 64, "height": 64, "num_inference_steps": 4, "seed": 11}
    return GenerationRequest(units=units, **plain | values)


def prepare(unit: ControlUnit, network: Any, width: int = 64, height: int = 64) -> Any:
    """A unit of one ControlNet or adapter, made ready for a base of SD 1.5."""
    request = request_for(unit, width=width, height=height)
    return create_backbone(tiny_base("sd15")).prepare_control(unit, network, request, EncodingCache())


@pytest.fixture
def count_runs() -> Iterator[Callable[..., Counter[str]]]:
    """`count_runs(unet=module, …)` counts how often each module runs, and the pictures it runs for, until the test ends."""
    hooks: list[Any] = []

    def start(**modules: Any) -> Counter[str]:
        runs: Counter[str] = Counter()

        def hook(name: str) -> Callable[..., None]:
            def ran(module: Any, inputs: tuple[Any, ...], output: Any) -> None:
                runs[name] += 1
                runs[f"{name} rows"] += len(inputs[0])

            return ran

        hooks.extend(module.register_forward_hook(hook(name)) for name, module in modules.items())
        return runs

    yield start
    for hook in hooks:
        hook.remove()
