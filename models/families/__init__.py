"""The facts of each family of base models: one frozen row a family, in a file of its name. Loads nothing.

A family is what a ControlNet, a LoRA or an adapter is made for: bases of one family take the same latents and the same
encoded words. What a family does with these facts is in cnet_app/diffusion/backbones/, one file a backbone.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from models.catalogue.row import Weights
from models.errors import InputError
from models.families import chroma, embedded, flux, flux2, qwen_image, sd3, sd15, sd21, sdxl, z_image
from models.family_facts import (
    CAPABILITY_TITLES,
    NETWORK_PREFIXES,
    TWO_TEXT_STREAMS,
    Capability,
    Family,
    FamilyFacts,
    Miniature,
)


class FamilyFile(Protocol):
    """Contents of a family's file."""

    FACTS: FamilyFacts
    WEIGHTS: tuple[Weights, ...]
    """Its rows of the catalogue; the id of its main base is the family's."""
    MINIATURE: Miniature


FILES: tuple[FamilyFile, ...] = (embedded, sd15, sd21, sdxl, z_image, flux, chroma, flux2, qwen_image, sd3)
"""In the order in which they are shown."""
ROWS = tuple(file.FACTS for file in FILES)
FAMILIES: Mapping[Family, FamilyFacts] = MappingProxyType({row.id: row for row in ROWS})
MINIATURES: Mapping[Family, Miniature] = MappingProxyType({file.FACTS.id: file.MINIATURE for file in FILES})
TITLES: Mapping[Family, str] = MappingProxyType({row.id: row.title for row in ROWS})
FAMILY_BY_WIDTH: Mapping[int, Family] = MappingProxyType({row.words_width: row.id for row in ROWS if row.words_width})
"""By the numbers per word that a network reads."""
FAMILY_OF_TWO_ENCODERS: Family = next(row.id for row in ROWS if row.text_encoders == 2)


def require(facts: FamilyFacts, needs: Capability | tuple[Capability, ...], what: str) -> None:
    """Raise InputError where the family lacks a capability that `what`, the subject of the sentence, needs."""
    if sentence := refusal(facts, needs, what):
        raise InputError(sentence)


def refusal(facts: FamilyFacts, needs: Capability | tuple[Capability, ...], what: str) -> str:
    """Return the sentence with which the family refuses `what`, which names families that have all it needs; else ""."""
    needed: Sequence[Capability] = needs if isinstance(needs, tuple) else [needs]
    missing: Capability | None = next((capability for capability in needed if not facts.has(capability)), None)
    if missing is None:
        return ""
    able = [row.title for row in FAMILIES.values() if all(map(row.has, needed))]
    hint = f"choose a base model of another family: {', '.join(able)}" if able else "leave it out"
    return f"{what} needs {CAPABILITY_TITLES[missing]}, which {facts.title} does not have; {hint}."


def own_base_note(family: Family | None, base: str) -> str:
    """Return the note on a base of a user's own that starts with the settings of the distilled one, and may not be; else ""."""
    file = next((file for file in FILES if file.FACTS.id == family), None)
    rows = [row for row in file.WEIGHTS if row.kind == "base"] if file else []
    if not file or not file.FACTS.hides_distillation or any(base in (row.id, row.repo) for row in rows):
        return ""
    first, *others = (f"{row.title}: {_settings(row, file.FACTS)}" for row in rows)
    return (
        f"Nothing in {base.rpartition('/')[2]} shows whether it is distilled. It starts like {first}. For one that is not distilled "
        f"set what suits {' or '.join(others)}."
    )


def _settings(row: Weights, facts: FamilyFacts) -> str:
    defaults, scale = row.defaults or facts.defaults, row.conditioning_scale or facts.conditioning_scale
    return f"{defaults.num_inference_steps} steps, guidance {defaults.guidance_scale:g}, control strength {scale:g}"


def side_multiple(family: Family | None) -> int:
    """Return what sides of pictures are multiples of, in px; the least of all where the family is not known."""
    return min(row.side_multiple for row in FAMILIES.values() if family in (None, row.id))


def takers(family: Family) -> tuple[Family, ...]:
    """Return the families that ControlNets and LoRAs made for one fit: that, and those that share them."""
    return (family, *(row.id for row in ROWS if row.shares_with == family))


def family_of_control(names: Container[str]) -> Family | None:
    """Return the family of a ControlNet in a file, by the names of tensors; None where none shows it."""
    for row in ROWS:
        if any(all(name in names for name in mark) for mark in row.control_marks):
            return row.id
    return None


def family_of_network(names: Container[str]) -> Family | None:
    """Return the family whose network alone a file holds, by the names of tensors; None where none shows it."""
    for row in ROWS:
        if network_prefix(row, names) is not None:
            return row.id
    return None


def network_prefix(facts: FamilyFacts, names: Container[str]) -> str | None:
    """Return what stands before the names of the family's network in a file; None where that is not in it."""
    for prefix in NETWORK_PREFIXES:
        if any(all(prefix + name in names for name in mark) for mark in facts.network_marks):
            return prefix
    return None


def family_of(config: Mapping[str, Any]) -> Family | None:
    """Return the family of a base's network or of a ControlNet, by its config; None where it is none of ours (video …).

    Transformers are known by their class. Families of U-Nets are told apart by what each generation changed: latent
    channels, size conditions, linear projections.
    """
    named = config.get("_class_name")
    for row in ROWS:
        if named and row.backbone != "unet" and named in (row.network_class, row.control_class):
            return row.id
    if isinstance(named, str) and "Transformer" in named:
        return None
    channels = config.get("in_channels", 4)
    unets = (row for row in ROWS if row.backbone == "unet")
    fitting = [row for row in unets if channels in (row.latent_channels, row.inpainting_channels)]
    if len(fitting) > 1:
        sized = config.get("addition_embed_type") == TWO_TEXT_STREAMS
        fitting = [row for row in fitting if row.size_conditions == sized]
    if len(fitting) > 1:
        linear = bool(config.get("use_linear_projection"))
        fitting = [row for row in fitting if row.linear_projection == linear]
    return fitting[0].id if fitting else None
