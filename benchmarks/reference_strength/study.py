"""The runs: every form at every strength on the same held-out maps and noise, each figure kept as it is made."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from diffusers.models.transformers.transformer_flux2 import Flux2Transformer2DModel
from torch import Tensor

from benchmarks.reference_strength.forms import BASE, FORMS, Form, Moment
from benchmarks.reference_strength.measures import score
from benchmarks.reference_strength.network import TOKENS, Plan, one_thread
from benchmarks.reference_strength.task import CHANNELS, Drawn, draw, to_pictures, to_tokens, to_words

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
LOW = (0.02, 0.1)
"""Strengths near 0, where a reference that is hardly read might not be an absent one; for forms that are plain at 0."""
BEYOND = 1.5
"""A strength above that of training, for the forms that have one."""
HELD_OUT = 7
"""Seed of the maps and of the noise; trainings begin at a million."""


@dataclass(frozen=True)
class Sampling:
    """Settings of sampling, the same for all forms and strengths."""

    maps: int = 64
    steps: int = 16


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Figures of the pictures of one network, form and strength; stored as a line of JSON."""

    key: str
    """Of training and sampling."""
    seed: int
    form: str
    strength: float
    adherence: list[float]
    """One number a map."""
    overlap: float
    colour_error: float
    shape: float
    from_base: float
    """Root mean square difference from the plain base's pictures of the same noise, 1 is from black to white."""


class Study:
    """The figures so far, in a file."""

    def __init__(self, path: Path, sampling: Sampling) -> None:
        self._path, self._sampling = path, sampling
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        self._known = [Figures(**json.loads(line)) for line in lines if line.endswith("}")]

    @one_thread()
    def measure(self, network: Flux2Transformer2DModel, plan: Plan) -> None:
        """Sample all that is missing of a trained network."""
        generator = torch.Generator().manual_seed(HELD_OUT)
        drawn = draw(self._sampling.maps, generator)
        noise = torch.randn(self._sampling.maps, TOKENS, CHANNELS, generator=generator)
        missing = [row for row in wanted() if self.find(plan, row[0].id, row[1]) is None]
        plain = sample(network, BASE, 0, drawn, noise, self._sampling.steps) if missing else noise
        for form, strength in missing:
            pictures = sample(network, form, strength, drawn, noise, self._sampling.steps)
            found = score(pictures, drawn)
            figures = Figures(
                key=self._key(plan),
                seed=plan.seed,
                form=form.id,
                strength=strength,
                adherence=[round(value, 4) for value in found.adherence.tolist()],
                overlap=round(float(found.overlap.mean()), 4),
                colour_error=round(float(found.colour_error.mean()), 4),
                shape=round(float(found.shape.mean()), 4),
                from_base=round(float((pictures - plain).square().mean().sqrt() / 2), 4),
            )
            self._keep(figures)

    def find(self, plan: Plan, form: str, strength: float) -> Figures | None:
        """Return the figures of one setting, where they are known."""
        of = (self._key(plan), form, strength)
        return next((row for row in self._known if (row.key, row.form, row.strength) == of), None)

    def all(self, plans: Sequence[Plan]) -> list[Figures]:
        """Return the known figures of some trainings."""
        keys = {self._key(plan) for plan in plans}
        return [row for row in self._known if row.key in keys]

    def _keep(self, figures: Figures) -> None:
        self._known.append(figures)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(figures)) + "\n")
        mean = sum(figures.adherence) / len(figures.adherence)
        print(
            f"seed {figures.seed}, {figures.form} at {figures.strength:g}: adherence {mean:.3f}, colour error "
            f"{figures.colour_error:.3f}, shape {figures.shape:.3f}",
            flush=True,
        )

    def _key(self, plan: Plan) -> str:
        return f"{plan} {self._sampling}"


def wanted() -> Iterator[tuple[Form, float]]:
    """Yield every form with every strength that it has; those that are equal by construction once, under the first form."""
    for form in FORMS:
        strengths = (*STRENGTHS, *(LOW if form.plain_at_zero else ()), *((BEYOND,) if form.goes_beyond else ()))
        for strength in strengths:
            if form is FORMS[0] or not is_shared(form, strength):
                yield form, strength


def is_shared(form: Form, strength: float) -> bool:
    """Return whether a setting is the plain base or the network as trained, which FORMS[0] measures for all forms."""
    return strength == 1 or (strength == 0 and form.plain_at_zero)


@torch.no_grad()
def sample(
    network: Flux2Transformer2DModel, form: Form, strength: float, drawn: Drawn, noise: Tensor, steps: int
) -> Tensor:
    """Return pictures of the drawn maps and colours, (N, 3, SIDE, SIDE), by Euler steps of equal length."""
    latents, words, maps = noise, to_words(drawn.colours), to_tokens(drawn.maps)
    for step in range(steps):
        level = torch.full((len(noise),), 1 - step / steps)
        moment = Moment(network, latents, level, words, maps, step / steps)
        latents = latents - form.predict(moment, strength) / steps
    return to_pictures(latents)
