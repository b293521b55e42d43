"""Presets for pictures in few steps: a LoRA with its scheduler, steps and guidance. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from annotators.base import shown
from models.catalogue.catalog import TITLES, Family
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
    """1 is no guidance: the LoRA has learned its effect, and more of it oversaturates the picture."""
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
    """Return the presets of a family; some have none."""
    return tuple(row for row in FEW_STEPS if row.family == family)


def preset(id: str, family: Family) -> FewSteps:
    """Return the row of an id; InputError where there is none or it is another family's."""
    row = next((row for row in FEW_STEPS if row.id == id), None)
    own = ", ".join(other.id for other in presets_for(family)) or "none"
    if row is None:
        hint = did_you_mean(id, (other.id for other in FEW_STEPS))
        raise InputError(f"There is no preset {shown(id)}{hint}; for {TITLES[family]} there are: {own}.")
    if row.family != family:
        raise InputError(
            f"Preset {id} is made for {TITLES[row.family]}, but the base is {TITLES[family]}; for that there are: {own}."
        )
    return row


def apply(values: Mapping[str, Any], row: FewSteps) -> dict[str, Any]:
    """Return a request's values with those of the preset; other LoRAs, as (name, weight), stay, another preset's goes."""
    return {**values, "loras": (*_other_loras(values), (row.lora, 1.0)), **_settings(row)}


def remove(values: Mapping[str, Any], start: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request's values without any preset, the reverse of `apply`.

    The LoRA goes. A setting that still is the preset's becomes that of `start`, the values the base begins with; one that
    has been changed since stays.
    """
    names = [name for name, _ in values.get("loras", ())]
    row = next((row for row in FEW_STEPS if row.lora in names), None)
    if row is None:
        return dict(values)
    settings = _settings(row)
    reset = {name: start[name] for name, value in settings.items() if name in start and values.get(name) == value}
    return {**values, "loras": _other_loras(values), **reset}


def _settings(row: FewSteps) -> dict[str, Any]:
    return {
        "scheduler": row.scheduler,
        "num_inference_steps": row.num_inference_steps,
        "guidance_scale": row.guidance_scale,
    }


def _other_loras(values: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    """Those that are no preset's."""
    presets = {row.lora for row in FEW_STEPS}
    return tuple((name, weight) for name, weight in values.get("loras", ()) if name not in presets)
