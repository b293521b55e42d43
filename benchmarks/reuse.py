"""`python -m benchmarks.reuse`: what `reuse_threshold` spares and changes, on the embedded model and scenes of its world.

Steps are counted, so that no other load on the machine changes the figures.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.pipeline.measure import psnr
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from cnet_app.embedded.world import control_images, create_sample
from cnet_app.fidelity.score import score
from cnet_app.registry.conditions import controlnet_id
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.loader import load_base, load_controlnet

THRESHOLDS = (0.0, 0.05, 0.1, 0.15, 0.2)
STEPS = (20, 40)
FIRST_SEED = 50_000
"""Of scenes that the embedded model was not trained on."""
CONDITION = "canny"


@dataclass(frozen=True)
class Figures:
    """Means over the scenes."""

    computed: float
    """Share of the steps."""
    psnr: float
    """Against the pictures of all steps, in dB; the lowest of any scene."""
    agreement: float
    """With the map, from 0 to 1."""


def requests(count: int, steps: int, size: int = 256) -> list[GenerationRequest]:
    """Return a request for each scene, with its exact map."""
    found: list[GenerationRequest] = []
    for seed in range(FIRST_SEED, FIRST_SEED + count):
        sample = create_sample(seed, size)
        unit = ControlUnit(
            condition=CONDITION, annotator=CONDITION, control_image=encode_png(control_images(sample)[CONDITION])
        )
        found.append(
            GenerationRequest(
                prompt=sample.caption, units=(unit,), width=size, height=size, seed=seed, guidance_scale=1.5,
                num_inference_steps=steps,
            )
        )  # fmt: skip
    return found


def measure(count: int, steps: int, thresholds: Sequence[float] = THRESHOLDS, size: int = 256) -> list[Figures]:
    """Make every scene at each threshold; the first is the one that others are compared with."""
    base, network = load_base("embedded"), load_controlnet(controlnet_id(CONDITION, "embedded"), "embedded")
    cache = EncodingCache()
    calls: list[int] = []
    hook = base.network.register_forward_hook(lambda *_: calls.append(1))
    asked = requests(count, steps, size)
    exact = None
    found: list[Figures] = []
    for threshold in thresholds:
        calls.clear()
        made = [
            generate(base, [network], replace(request, reuse_threshold=threshold), cache=cache)[0] for request in asked
        ]
        exact = exact or made
        scores = [score(request.units[0], picture).agreement for request, picture in zip(asked, made, strict=True)]
        found.append(
            Figures(
                computed=len(calls) / (count * steps),
                psnr=min(psnr([one], [other]) for one, other in zip(made, exact, strict=True)),
                agreement=float(np.mean([one for one in scores if one is not None])),
            )
        )
    hook.remove()
    return found


def table(rows: Sequence[tuple[int, float, Figures]]) -> str:
    """Return figures as a table in Markdown."""
    head = "| Steps | `reuse_threshold` | Steps computed | PSNR, lowest of any picture | Agreement with the map |\n| --- | --- | --- | --- | --- |"
    lines = [
        f"| {steps} | {threshold:g} | {one.computed:.0%} | {f'{one.psnr:.1f} dB' if threshold else ''} | {one.agreement:.3f} |"
        for steps, threshold, one in rows
    ]
    return "\n".join([head, *lines])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reuse", description=__doc__)
    parser.add_argument("--scenes", type=int, default=12, metavar="N", help="(default: %(default)s)")
    args = parser.parse_args(arguments)
    rows = [
        (steps, threshold, one)
        for steps in STEPS
        for threshold, one in zip(THRESHOLDS, measure(args.scenes, steps), strict=True)
    ]
    print(table(rows))


if __name__ == "__main__":
    main()
