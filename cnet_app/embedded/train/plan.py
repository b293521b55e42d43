"""The plan of a stage: the settings that determine its weights. It is saved in the checkpoint and compared on resuming."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields

PlanValue = str | int | float | bool | None


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """Settings of one training. Those with `compare=False` do not change its weights."""

    stage: str
    steps: int
    batch_size: int
    peak_rate: float
    seed: int = 0
    data: str = ""
    """Key of the pictures; the training function fills it in."""
    device: str = "cpu"
    """Kind of device: cpu, cuda or mps; the training function fills it in."""
    save_every: int = field(default=200, compare=False)
    """Steps between two checkpoints."""
    deadline: float | None = field(default=None, compare=False)
    """time.time() at which the training stops, however many steps are left."""

    def values(self) -> dict[str, PlanValue]:
        """Return the settings that are saved and compared, by name."""
        return {row.name: getattr(self, row.name) for row in fields(self) if row.compare}

    def differences(self, saved: Mapping[str, PlanValue]) -> list[str]:
        """Return a clause for each setting that differs from a saved plan: 'steps is 20, not 4000'."""
        values = self.values()
        names = dict.fromkeys([*values, *saved])
        return [
            f"{name} is {saved.get(name)!r} there and {values.get(name)!r} here"
            for name in names
            if saved.get(name) != values.get(name)
        ]


@dataclass(frozen=True, kw_only=True)
class AutoencoderPlan(StagePlan):
    """Settings of a training of the autoencoder."""

    crop: int = 128
    """Side in px of the random crops."""
    decoder_only: bool = False
    """Lock the encoder, so that latents keep their meaning."""
    save_every: int = field(default=500, compare=False)


@dataclass(frozen=True, kw_only=True)
class DiffusionPlan(StagePlan):
    """Settings of a training of the base or of a ControlNet."""

    empty_captions: float = 0.5
    """Share of emptied captions: half for locked bases, as in the paper; a quarter for the base itself."""
    no_control: float = 0.0
    """Share of pictures that are trained without control, so that the base also works alone."""
    locked: bool = True
    """Train the ControlNet only."""
    condition: str | None = None
    decay: float = 0.999
    """Of the averaged weights."""
    encoder: str = ""
    """Key of the encoder that made the latents."""
    base: str = ""
    """Key of the locked base."""
    score_every: int = field(default=0, compare=False)
    """Steps between two logged fidelity scores; 0 for none."""
