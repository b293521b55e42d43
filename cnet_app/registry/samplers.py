"""The samplers: one frozen row each, with its diffusers class and its names in other programs. Loads no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from annotators.base import shown
from models.errors import InputError
from models.family_facts import FamilyFacts
from models.names import did_you_mean


@dataclass(frozen=True)
class Sampler:
    """A diffusers scheduler class and its options; an empty class name is the base's own scheduler."""

    id: str
    title: str
    class_name: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    from_pure_noise: bool = True
    """Can start from zero terminal SNR, which bases such as the embedded one were trained with."""
    most_steps: int = 0
    """Steps that it can run at most; 0 is any number."""
    has_eta: bool = False
    """Scales the noise of its steps by a request's eta."""
    name: str = ""
    """The sampler in AUTOMATIC1111's web UI and in the text that it writes into pictures; empty for the base's own."""
    schedule: str = ""
    """The schedule type there, where the row fixes one."""
    automatic: bool = False
    """Whether A1111's schedule type "Automatic" selects this row."""
    other_names: tuple[str, ...] = ()
    """The sampler in other programs, where neither id nor name is alike."""
    flow_class_name: str = ""
    """Its class for bases trained on flow matching; empty where it has no such form, and for the base's own."""

    @property
    def has_flow_form(self) -> bool:
        """Whether it runs on bases trained on flow matching."""
        return not self.class_name or bool(self.flow_class_name)


WITH_ETA = ("DDIMScheduler", "TCDScheduler")
"""Classes whose steps have an eta."""
FEW_STEPS = {"LCMScheduler": 50, "TCDScheduler": 50}
"""Steps that the weights made for a class were distilled from: it can run at most so many."""
SPACINGS = {"": "", "karras": " Karras", "exponential": " exponential"}
"""Ways to space the noise levels, where a class has several: the end of a row's id and title."""
UNIFORM, TRAILING = "Uniform", "SGM Uniform"
"""Schedule types: steps at even distances, ending before or beginning at pure noise."""
SAME_SCHEDULES = {
    "karras": "karras", "exponential": "exponential", "sgm_uniform": "sgm_uniform",
    "uniform": "uniform", "normal": "uniform", "native": "uniform", "ddim_uniform": "uniform", "": "uniform",
}  # fmt: skip
"""Other programs' words for the schedule types of the rows."""


def _sampler(
    id: str,
    title: str,
    class_name: str,
    from_pure_noise: bool = True,
    name: str = "",
    schedule: str = "",
    automatic: bool = True,
    other_names: tuple[str, ...] = (),
    flow: str = "",
    **options: Any,
) -> Sampler:
    return Sampler(
        id,
        title,
        class_name,
        MappingProxyType(options),
        from_pure_noise,
        most_steps=FEW_STEPS.get(class_name, 0),
        has_eta=class_name in WITH_ETA,
        name=name or title.partition(",")[0],
        schedule=schedule,
        automatic=automatic,
        other_names=other_names,
        flow_class_name=flow,
    )


def _spaced(
    id: str,
    title: str,
    class_name: str,
    from_pure_noise: bool = True,
    automatic: str = "",
    other_names: tuple[str, ...] = (),
    flow: str = "",
    **options: Any,
) -> list[Sampler]:
    """A row a spacing; each sets both options, so that the base's own spacing does not carry over.

    Even spacing alone has a form for flow matching.
    """
    return [
        _sampler(
            f"{id}_{spacing}".rstrip("_"),
            title + ending,
            class_name,
            from_pure_noise,
            name=title,
            schedule=spacing.title() or UNIFORM,
            automatic=spacing == automatic,
            other_names=other_names,
            flow="" if spacing else flow,
            use_karras_sigmas=spacing == "karras",
            use_exponential_sigmas=spacing == "exponential",
            **options,
        )
        for spacing, ending in SPACINGS.items()
    ]


SAMPLERS: tuple[Sampler, ...] = (
    Sampler("default", "The model's own"),
    _sampler("ddim", "DDIM", "DDIMScheduler", clip_sample=False),  # latents may leave [-1, 1]
    # Trailing steps begin at pure noise, as LoRAs for few steps are trained; others begin too late.
    _sampler("ddim_trailing", "DDIM trailing", "DDIMScheduler", name="DDIM", schedule=TRAILING, automatic=False,
             clip_sample=False, timestep_spacing="trailing"),
    *_spaced("unipc", "UniPC", "UniPCMultistepScheduler", other_names=("uni_pc", "uni_pc_bh2"),
             flow="UniPCMultistepScheduler"),
    *_spaced("dpmpp_2m", "DPM++ 2M", "DPMSolverMultistepScheduler", automatic="karras",
             flow="DPMSolverMultistepScheduler", algorithm_type="dpmsolver++"),
    *_spaced("dpmpp_2m_sde", "DPM++ 2M SDE", "DPMSolverMultistepScheduler", automatic="exponential",
             algorithm_type="sde-dpmsolver++"),
    *_spaced(
        "dpmpp_sde",
        "DPM++ SDE",
        "DPMSolverSinglestepScheduler",
        False,
        automatic="karras",
        algorithm_type="sde-dpmsolver++",
        lower_order_final=True,
    ),
    *_spaced("euler", "Euler", "EulerDiscreteScheduler", flow="FlowMatchEulerDiscreteScheduler"),
    _sampler(
        "euler_trailing",
        "Euler trailing",
        "EulerDiscreteScheduler",
        name="Euler",
        schedule=TRAILING,
        automatic=False,
        timestep_spacing="trailing",
        use_karras_sigmas=False,
        use_exponential_sigmas=False,
    ),
    _sampler("euler_a", "Euler a", "EulerAncestralDiscreteScheduler", other_names=("euler_ancestral",)),
    *_spaced("heun", "Heun", "HeunDiscreteScheduler", False, flow="FlowMatchHeunDiscreteScheduler"),
    *_spaced("lms", "LMS", "LMSDiscreteScheduler", False),
    _sampler("pndm", "PNDM", "PNDMScheduler", False, name="PLMS", skip_prk_steps=True),
    _sampler("ddpm", "DDPM", "DDPMScheduler", clip_sample=False),
    _sampler("lcm", "LCM, for weights made for it", "LCMScheduler", clip_sample=False),
    _sampler("tcd", "TCD, for weights made for it", "TCDScheduler", clip_sample=False),
)  # fmt: skip


def works_with(row: Sampler, facts: FamilyFacts) -> bool:
    """Return whether a sampler runs on a family's own bases."""
    return not refusal_of(row, facts)


def refusal(row: Sampler, is_flow: bool, is_from_noise: bool) -> str:
    """Return why bases trained on flow matching, or from pure noise, refuse a sampler; "" where they run it."""
    if is_flow and not row.has_flow_form:
        able = ", ".join(other.id for other in SAMPLERS if other.has_flow_form)
        return (
            f"{row.title} has no form for flow matching, which this base model was trained on; choose one of: {able}."
        )
    if is_from_noise and not is_flow and not row.from_pure_noise:
        able = ", ".join(other.id for other in SAMPLERS if other.from_pure_noise)
        return f"{row.title} cannot start from pure noise, as this base model was trained to; choose one of: {able}."
    return ""


def refusal_of(row: Sampler, facts: FamilyFacts) -> str:
    """Return why a family's own bases refuse a sampler; a fine-tune with zero terminal SNR may refuse more."""
    return refusal(row, "flow" in facts.predictions, facts.zero_terminal_snr)


def sampler(id: str) -> Sampler:
    """Return the row of an id; an unknown one is an InputError that lists the ids."""
    for row in SAMPLERS:
        if row.id == id:
            return row
    ids = [row.id for row in SAMPLERS]
    raise InputError(f"There is no scheduler {shown(id)}{did_you_mean(id, ids)}; choose one of: {', '.join(ids)}.")


def find_sampler(name: str, schedule: str = "") -> Sampler | None:
    """Return the row of a sampler and a noise schedule as other programs name them; None where there is none.

    Old names hold both, such as "DPM++ 2M Karras". A row that fixes no schedule has the usual one alone.
    """
    plain, wanted = _plain(name), _plain(schedule)
    for short, long in {"k": "karras", "karras": "karras", "exponential": "exponential"}.items():
        if not wanted and plain.endswith(f"_{short}"):
            plain, wanted = plain.removesuffix(f"_{short}"), long
    rows = [row for row in SAMPLERS if row.name and plain in _names(row)]
    if wanted == "automatic":
        return next((row for row in rows if row.automatic), None)
    return next((row for row in rows if _plain(row.schedule or UNIFORM) == SAME_SCHEDULES.get(wanted)), None)


def _names(row: Sampler) -> set[str]:
    """The name, and the id, which names a spacing too."""
    ends = tuple(f"_{spacing}" for spacing in (*SPACINGS, "trailing") if spacing)
    id = next((row.id.removesuffix(end) for end in ends if row.id.endswith(end)), row.id)
    return {id, _plain(row.name), *row.other_names}


def _plain(name: str) -> str:
    """A name without what programs write differently: case, spaces, "++", and marks of their own libraries."""
    letters = re.sub(r"[^a-z0-9]+", "_", name[:100].lower().replace("+", "p")).strip("_")
    return letters.removeprefix("k_").removeprefix("sample_").removesuffix("_gpu")
