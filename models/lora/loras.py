"""LoRAs on a base: layers get updates next to their weights, which never change."""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from models.catalogue.local import LocalFile
from models.catalogue.resolve import resolve
from models.errors import InputError
from models.families import FAMILIES, FAMILY_BY_WIDTH, TITLES, require, takers
from models.family_facts import Family
from models.lora.files import LoraFile, read_lora
from models.lora.layers import Adapted, Plain, Scaled, Updated, create_layer, plain_state, source_of, weight_shape
from models.lora.names import Place, parts, spellings
from models.lora.updates import Update
from models.machine.memory import module_bytes

if TYPE_CHECKING:
    from models.loader import Base

TWIN_BLOCK = re.compile(r"transformer_blocks\.\d+")
TWIN_LAYER = re.compile(r"transformer_blocks\.(\d+)\.attn\..+")
"""Blocks of two streams, and the layers of their attention, in diffusers' names: `FamilyFacts.twin_blocks`."""


def use_loras(base: Base, loras: Sequence[tuple[str, float]]) -> tuple[str, ...]:
    """Put exactly these (name, weight) on the base; an empty list leaves it as it was loaded, bit for bit.

    Names are those of `find_lora`. Returns a sentence for each part of a file that was left out, or can be read in two
    ways. Raises InputError and WeightsError, and then nothing has changed.
    """
    for name, weight in loras:
        require(FAMILIES[base.family], "loras", f"LoRA {name}")
        if not math.isfinite(weight):
            raise InputError(f"The weight of LoRA {name} is {weight}; give a number such as 0.8.")
    files = [(read_lora(find_lora(name, base.family)), weight) for name, weight in loras]
    wanted: dict[Place, list[Scaled]] = {}
    notes: list[str] = []
    places = spellings(base) if files else {}
    for file, weight in files:
        fitting, left_out = _fitting(base, file, places)
        notes += [*file.notes, *left_out]
        for place, update in fitting.items():
            if weight:
                wanted.setdefault(place, []).append((file, update, weight))
    # All layers exist before the first is put in place, so that an error leaves the base as it was.
    made = {place: _updated(_module(base, place), added) for place, added in wanted.items()}
    for place in _updated_places(base) - made.keys():
        _put(base, place, _plain(base, place))
    for place, layer in made.items():
        _put(base, place, layer)
    return tuple(dict.fromkeys(notes))


def acting_files(base: Base) -> tuple[LoraFile, ...]:
    """Return the files whose updates act on a base, in the order of its layers."""
    layers = (module for network in parts(base).values() for module in network.modules())
    files = (file for layer in layers if isinstance(layer, Updated) for file in layer.files)
    return tuple({file.version: file for file in files}.values())


def updates_bytes(networks: Iterable[nn.Module]) -> int:
    """Return the bytes that the updates in networks take beside the networks' own weights."""
    layers = [module for network in networks for module in network.modules() if isinstance(module, Updated)]
    return module_bytes(layers) - module_bytes([layer.plain for layer in layers])


def lora_versions(network: nn.Module) -> Hashable:
    """Return a key of the LoRAs that act on a network: it changes with their files' content, weights and order."""
    return tuple(module.source for module in network.modules() if isinstance(module, Updated))


def find_lora(name: str, family: Family | None = None) -> Path:
    """Return the file of a name: dropped into models/loras (with or without its ending), a path, or a catalogue id.

    A folder that peft or diffusers has written stands for its file.
    """
    return resolve(name, "lora", family).require()


def _fitting(
    base: Base, file: LoraFile, places: Mapping[str, tuple[Place, ...]]
) -> tuple[dict[Place, Update], list[str]]:
    """Return a file's updates by the base's layers, and notes on those that fit none.

    InputError where it was made for another base: by its width, or because more is left out than applied.
    """
    title = TITLES[base.family]
    width = base.network.config.get("cross_attention_dim")
    # Where no layer of the base reads words alone, a second attention of that name may be one of its own.
    own_names = width is None and any(layer in places for layer in file.updates)
    if not own_names and file.width not in (None, width):
        made = FAMILY_BY_WIDTH.get(file.width or 0)
        family = TITLES[made] if made else f"a base with {file.width} numbers a word"
        raise InputError(f"{file.name} is made for {family}, but the base is {title}; choose a LoRA for {title}.")
    fitting: dict[Place, Update] = {}
    strange: list[str] = []
    unfit: list[str] = []
    for layer, update in file.updates.items():
        own = places.get(layer, ())
        if not own or not all(isinstance(_plain(base, place), Plain) for place in own):
            strange.append(layer)
            continue
        pieces = dict(zip(own, update.split([_shape(base, place)[0] for place in own]), strict=False))
        if pieces and all(piece.fits(_shape(base, place)) for place, piece in pieces.items()):
            fitting |= pieces
        else:
            unfit.append(layer)
    made = LocalFile(file.path, "lora").family
    if made and (strange or unfit) and base.family not in takers(made):
        raise InputError(f"{file.name} is made for {TITLES[made]}, but the base is {title}; choose a LoRA for {title}.")
    if len(strange) + len(unfit) > len(fitting):
        raise _refusal(base, file, places, strange, unfit)
    doubt = [] if made else _doubt(base, file, fitting)
    return fitting, [*_left_out(file, title, strange, unfit), *doubt]


def _doubt(base: Base, file: LoraFile, fitting: Iterable[Place]) -> list[str]:
    """Return a note where the attention that a file changes is in other families too, and the base has more of it than they."""
    changed = [TWIN_LAYER.fullmatch(name) if part == "unet" else None for part, name in fitting]
    facts = FAMILIES[base.family]
    if not facts.twin_blocks or not changed or None in changed:
        return []
    last = max(int(found[1]) for found in changed if found)
    blocks = sum(1 for name, _ in base.network.named_modules() if TWIN_BLOCK.fullmatch(name))
    others = [
        row
        for row in FAMILIES.values()
        if last < row.twin_blocks < blocks and base.family not in takers(row.id) and not row.shares_with
    ]
    if not others:
        return []
    titles = " or ".join(row.title for row in others)
    return [
        f"LoRA {file.name} may be made for {titles}: it changes attention of the first {last + 1} of {blocks} blocks alone, and "
        f"those layers have the same names and sizes there. It was applied; if it is not for {facts.title}, leave it out."
    ]


def _refusal(
    base: Base, file: LoraFile, places: Mapping[str, tuple[Place, ...]], strange: Sequence[str], unfit: Sequence[str]
) -> InputError:
    """Return the error for a file of which most does not fit."""
    title = TITLES[base.family]
    if not unfit:
        return InputError(
            f"{file.name} changes {len(strange)} layers that the base has not, such as {strange[0]}; "
            f"choose a LoRA for {title}."
        )
    layer = unfit[0]
    update = file.updates[layer]
    shapes = " and ".join(str(tuple(tensor.shape)) for tensor in update.tensors.values())
    return InputError(
        f"{file.name} does not fit: its parts for {layer} are {shapes}, the base's layer is "
        f"{tuple(_shape(base, places[layer][0]))}; choose a LoRA for {title}."
    )


def _left_out(file: LoraFile, title: str, strange: Sequence[str], unfit: Sequence[str]) -> Iterator[str]:
    if strange:
        yield (
            f"{len(strange)} layers of LoRA {file.name} were left out, such as {strange[0]}: "
            f"the base, {title}, does not have them."
        )
    if unfit:
        yield (
            f"{len(unfit)} layers of LoRA {file.name} were left out, such as {unfit[0]}: the base's have other shapes."
        )


def _shape(base: Base, place: Place) -> Sequence[int]:
    return weight_shape(_plain(base, place))


def _module(base: Base, place: Place | None) -> Any:
    part, name = place or ("", "")
    return parts(base)[part].get_submodule(name) if part else None


def _plain(base: Base, place: Place | None) -> Any:
    """Return the base's own layer; None where there is no such place."""
    module = _module(base, place)
    return module.plain if isinstance(module, Updated) else module


def _updated(module: Any, added: Sequence[Scaled]) -> Updated:
    """Return the layer with these updates: the same one where it has them, so that a network is not compiled again."""
    if isinstance(module, Updated):
        return module if module.source == source_of(added) else create_layer(module.plain, added)
    return create_layer(module, added)


def _updated_places(base: Base) -> set[Place]:
    return {
        (part, name)
        for part, network in parts(base).items()
        for name, module in network.named_modules()
        if isinstance(module, Updated)
    }


def _put(base: Base, place: Place, module: nn.Module) -> None:
    part, name = place
    parts(base)[part].set_submodule(name, module)


__all__ = ["Adapted", "acting_files", "find_lora", "lora_versions", "plain_state", "use_loras"]
