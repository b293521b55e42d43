"""Pictures in a few steps: which LoRA goes with which scheduler, steps and guidance. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models.catalog import TITLES, Family
from models.errors import InputError
from models.names import did_you_mean


@dataclass(frozen=True, kw_only=True)
class FewSteps:
    """A LoRA that was trained to replace many steps, and the settings it was trained for."""

    id: str
    title: str
    family: Family
    lora: str
    """Its row in the catalogue."""
    scheduler: str
    num_inference_steps: int = 4
    guidance_scale: float = 1.0
    """1 is none: the LoRA has learned what guidance does, and a second dose burns the picture."""
    help: str


_LCM = "Follows the base closely; soft detail. Works with 2 to 8 steps."
_HYPER = "Sharp at exactly 4 steps."

FEW_STEPS: tuple[FewSteps, ...] = (
    FewSteps(id="lcm_sd15", title="LCM", family="sd15", lora="lcm_lora_sd15", scheduler="lcm", help=_LCM),
    FewSteps(id="lcm_sdxl", title="LCM", family="sdxl", lora="lcm_lora_sdxl", scheduler="lcm", help=_LCM),
    FewSteps(
        id="hyper_sd15",
        title="Hyper-SD",
        family="sd15",
        lora="hyper_sd15_4steps",
        scheduler="ddim_trailing",
        help=_HYPER,
    ),
    FewSteps(
        id="hyper_sdxl",
        title="Hyper-SD",
        family="sdxl",
        lora="hyper_sdxl_4steps",
        scheduler="ddim_trailing",
        help=_HYPER,
    ),
    FewSteps(
        id="lightning_sdxl",
        title="SDXL-Lightning",
        family="sdxl",
        lora="lightning_sdxl_4steps",
        scheduler="euler_trailing",
        help="Sharp and contrasty at exactly 4 steps.",
    ),
)


def presets_for(family: Family) -> tuple[FewSteps, ...]:
    """Those that a family can use; none for some."""
    return tuple(row for row in FEW_STEPS if row.family == family)


def preset(id: str, family: Family) -> FewSteps:
    """The row of an id; InputError where there is none or it is another family's."""
    row = next((row for row in FEW_STEPS if row.id == id), None)
    own = ", ".join(other.id for other in presets_for(family)) or "none"
    if row is None:
        hint = did_you_mean(id, (other.id for other in FEW_STEPS))
        raise InputError(f"There is no preset {id!r}{hint}; for {TITLES[family]} there are: {own}.")
    if row.family != family:
        raise InputError(
            f"Preset {id} is made for {TITLES[row.family]}, but the base is {TITLES[family]}; for that there are: {own}."
        )
    return row


def apply(values: Mapping[str, Any], row: FewSteps) -> dict[str, Any]:
    """A request's values with what the preset sets; LoRAs, as (name, weight), that were there stay beside its own."""
    speeding = {other.lora for other in FEW_STEPS}
    kept = [(name, weight) for name, weight in values.get("loras", ()) if name not in speeding]
    return {
        **values,
        "loras": (*kept, (row.lora, 1.0)),
        "scheduler": row.scheduler,
        "num_inference_steps": row.num_inference_steps,
        "guidance_scale": row.guidance_scale,
    }
