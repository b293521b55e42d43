"""The stages of the embedded model: their names, and the plan of each. Loads no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from cnet_app.embedded.train.plan import AutoencoderPlan, DiffusionPlan, StagePlan
from models.catalogue.catalog import CATALOG

STAGES = ("pictures", "autoencoder", "base", "full", "controlnets", "decoder", "annotator", "from-zero")
"""In order. `full` is the last part of `base`, `from-zero` a measurement: both run only when named."""
SHIPPED = tuple(name for name in STAGES if name not in ("full", "from-zero"))
CONTROLNETS = tuple(
    row.id.removeprefix("embedded_") for row in CATALOG if row.kind == "controlnet" and row.family == "embedded"
)
"""The embedded model's ControlNets, by the part of their catalogue id after `embedded_`."""


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Rendered pictures of one size: `count` of them, from the seed `first_seed` on."""

    size: int
    """Side in px."""
    count: int
    first_seed: int


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """The base is trained on small pictures first, four times as many in the same time, and then on full ones."""

    small: Pictures
    full: Pictures
    autoencoder: AutoencoderPlan
    decoder: AutoencoderPlan
    small_base: DiffusionPlan
    full_base: DiffusionPlan
    controlnet: DiffusionPlan
    controlnet_steps: Mapping[str, int]
    """Of the conditions that need more steps than `controlnet` has."""
    from_zero: DiffusionPlan
    annotator: StagePlan
    colour_steps: int
    """Steps of `bind_colours` before the base is trained."""

    def controlnet_of(self, condition: str) -> DiffusionPlan:
        """Return the plan of one condition's ControlNet."""
        steps = self.controlnet_steps.get(condition, self.controlnet.steps)
        return replace(self.controlnet, stage=f"controlnets ({condition})", condition=condition, steps=steps)


_SMALL_BASE = DiffusionPlan(
    stage="base (small pictures)",
    steps=1_000,
    batch_size=24,
    peak_rate=2e-3,
    empty_captions=0.25,
    no_control=0.15,
    locked=False,
    decay=0.998,
    score_every=300,
)
_CONTROLNET = DiffusionPlan(stage="controlnets", steps=100, batch_size=16, peak_rate=8e-4, decay=0.97, score_every=50)
MODEL_PLAN = ModelPlan(
    small=Pictures(size=128, count=12_032, first_seed=2_000_000),
    full=Pictures(size=256, count=8_192, first_seed=1_000_000),
    autoencoder=AutoencoderPlan(stage="autoencoder", steps=3_600, batch_size=16, peak_rate=4e-3),
    decoder=AutoencoderPlan(stage="decoder", steps=1_000, batch_size=16, peak_rate=2e-3, seed=1, decoder_only=True),
    small_base=_SMALL_BASE,
    full_base=replace(_SMALL_BASE, stage="full", steps=4_000, decay=0.997),
    controlnet=_CONTROLNET,
    controlnet_steps=MappingProxyType(
        {
            "picture": 400,
            "lineart": 250,
            "softedge": 150,
            "segmentation": 150,
            "openpose": 300,
            "depth": 400,
            "scribble": 400,
        }
    ),
    from_zero=replace(_CONTROLNET, stage="from-zero", condition="canny", steps=300),
    annotator=StagePlan(stage="annotator", steps=1_000, batch_size=16, peak_rate=3e-3, save_every=250),
    colour_steps=400,
)
