"""Read LoRA files: updates by layer, in the layouts of kohya, LyCORIS, diffusers (older and newer) and peft."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.catalogue.local import BUNDLED, LORA_FILES, adapter_files
from models.errors import InputError
from models.files import stamp
from models.layouts.adapter_settings import AdapterSettings, read_settings
from models.layouts.checkpoints import open_tensors
from models.lora.updates import Kind, PartsError, Update, constrained, merged_middle, rank_of, rotations

MAX_FILES = 8
"""Files that the cache holds."""
PART = re.compile(r"(.+?)(?:\.lora_|[._]lora\.|\.lora_linear_layer\.)(down|up|mid|A|B)(?:\.\w+)?\.weight")
"""Layer and part in the name of a tensor of a LoRA."""
OTHER_PART = re.compile(
    r"(.+?)\.(dora_scale|lora_magnitude_vector|hada_[wt][12](?:_[ab])?|lokr_(?:w[12](?:_[ab])?|t2)"
    r"|oft_blocks|rescale|diff|diff_b)(?:\.\w+)?(?:\.weight)?"
)
"""The same of the other kinds."""
RELATED = ("lora", "hada_", "lokr_", "oft_", "dora_", ".diff")
"""In names of tensors that change a base's layers, whether this app can apply them or not."""
WORDS = re.compile(r"attn2[._].*to_[kv]$")
"""Layers whose input is the prompt's words."""
_NAMES: Mapping[str, str] = {"A": "down", "B": "up", "lora_magnitude_vector": "row_norms", "dora_scale": "magnitude"}
"""Names of parts in files to those in formulas; see `_part_name`."""
_MATRICES = ("w1", "w2", "k1", "k2")
_KINDS: tuple[tuple[Kind, frozenset[str]], ...] = (
    ("low_rank", frozenset({"down", "up"})),
    ("hadamard", frozenset({"w1_a", "w1_b", "w2_a", "w2_b"})),
    ("full", frozenset({"diff"})),
)
"""Kinds by the parts that they cannot be without."""


@dataclass(frozen=True, eq=False)
class LoraFile:
    """The content of a file, or of a folder that peft or diffusers has written."""

    name: str
    path: Path
    version: Hashable
    """Path, times of change and sizes: different after the file is replaced."""
    updates: Mapping[str, Update]
    """By layer, under the file's own names."""
    words: Mapping[str, Mapping[str, Tensor]] = field(default_factory=dict[str, Mapping[str, Tensor]])
    """Embeddings that came with it, by their words: tensors as in an embedding's file."""
    notes: tuple[str, ...] = ()
    """Sentences on what was left out or can be read in two ways."""

    @property
    def width(self) -> int | None:
        """Numbers per word of the base it was made for; None where no layer shows it."""
        widths = (update.channels_in for layer, update in self.updates.items() if WORDS.search(layer))
        return next((width for width in widths if width), None)


def read_lora(path: Path) -> LoraFile:
    """Return the content of a file or folder, from a cache of MAX_FILES until it changes; raises InputError and DamagedError."""
    return _read(path, stamp(path))


@lru_cache(maxsize=MAX_FILES)
def _read(path: Path, version: Hashable) -> LoraFile:
    updates: dict[str, Update] = {}
    words: dict[str, dict[str, Tensor]] = {}
    notes: list[str] = []
    for prefix, file in _files(path):
        state = _read_state(file)
        _check_kind(path, state)
        _check_numbers(path, state)
        settings = read_settings(file)
        built = _Built()
        _build(state, settings, built)
        updates |= {_plain(layer, prefix): update for layer, update in built.updates.items()}
        words |= _bundled(state)
        notes += [*built.notes(path.name), *settings.notes(path.name, built.by_rank)]
        if not updates:
            raise built.refusal(path.name)
    return LoraFile(path.name, path, version, updates, words, tuple(notes))


def _files(path: Path) -> list[tuple[str, Path]]:
    """Return the files of a LoRA, each with the network its layers are in where their names do not say so."""
    if path.is_file():
        return [("", path)]
    found = adapter_files(path)
    if not found:
        raise InputError(f"{path} is a folder without a LoRA; give one that has {' or '.join(LORA_FILES)}.")
    return list(found.items())


def _read_state(path: Path) -> dict[str, Tensor]:
    """Return copies, since a mapped file may be replaced while it is in use; float8, with which nothing counts, widened."""
    with ExitStack() as stack:
        state = {name: read().clone() for name, read in open_tensors(path, stack).items()}
    narrow = [name for name, tensor in state.items() if tensor.is_floating_point() and tensor.dtype.itemsize == 1]
    return state | {name: state[name].float() for name in narrow}


def _check_kind(path: Path, names: Mapping[str, Any]) -> None:
    if not any(mark in name for name in names for mark in RELATED):
        raise InputError(f"{path.name} is no LoRA: it holds no updates of a model's layers.")


def _check_numbers(path: Path, state: Mapping[str, Tensor]) -> None:
    for name, tensor in state.items():
        if not torch.isfinite(tensor).all():
            raise InputError(f"{path.name} has numbers in {name} that are none (NaN or infinite); get another version.")


class _Built:
    """What became of the tensors of a file."""

    def __init__(self) -> None:
        self.updates: dict[str, Update] = {}
        self.unread: list[str] = []
        """Names of tensors of no known kind."""
        self.faults: dict[str, str] = {}
        """Layers whose parts make no update, with the reason as a clause."""
        self.by_rank = 0
        """Layers without an alpha, whose scale is 1."""

    def notes(self, name: str) -> Iterator[str]:
        if self.unread:
            yield (
                f"{len(self.unread)} tensors of LoRA {name} are of a kind that this app does not apply and were left out, "
                f"such as {_short(self.unread[0])}."
            )
        for layer, fault in list(self.faults.items())[:1]:
            yield f"{len(self.faults)} layers of LoRA {name} were left out, such as {_short(layer)}: {fault}."

    def refusal(self, name: str) -> InputError:
        """Return the error of a file of which nothing is left."""
        if self.faults:
            layer, fault = next(iter(self.faults.items()))
            return InputError(f"{name} is no whole LoRA: the parts of {_short(layer)} do not belong together, {fault}.")
        example = f", such as {_short(self.unread[0])}" if self.unread else ""
        return InputError(
            f"{name} holds {len(self.unread)} tensors that this app cannot apply{example}; "
            "it applies LoRA, LoCon, LoHa, LoKr, DoRA, OFT, BOFT and full differences."
        )


def _short(name: str) -> str:
    """Return a name out of a file at a length that fits a sentence."""
    return name if len(name) <= 120 else f"{name[:119]}…"


def _build(state: Mapping[str, Tensor], settings: AdapterSettings, built: _Built) -> None:
    layers: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if match := PART.fullmatch(name) or OTHER_PART.fullmatch(name):
            layers.setdefault(match[1], {})[_part_name(match[2])] = tensor
        elif not name.endswith(".alpha") and not name.startswith(BUNDLED):
            built.unread.append(name)
    for layer, parts in layers.items():
        alpha = state.get(f"{layer}.alpha")
        try:
            update, by_rank = _update(layer, parts, alpha, settings)
        except PartsError as error:
            built.faults[layer] = str(error)
        else:
            built.updates[layer] = update
            built.by_rank += by_rank


def _part_name(found: str) -> str:
    """Return a part's name in the formulas: `w1_a` for LoHa's factors, `k1_a` for LoKr's."""
    return _NAMES.get(found, found.removeprefix("hada_").replace("lokr_w", "k").replace("lokr_t", "kt"))


def _update(
    layer: str, parts: dict[str, Tensor], alpha: Tensor | None, settings: AdapterSettings
) -> tuple[Update, bool]:
    """Return the update of a layer, and whether its scale is 1 for want of an alpha."""
    if any(not tensor.is_floating_point() for tensor in parts.values()):
        raise PartsError("its numbers are stored in a way that this app does not read")
    if alpha is not None and alpha.numel() != 1:
        raise PartsError("its alpha is not one number")
    given = None if alpha is None else float(alpha)
    if "mid" in parts:
        parts = {**parts, "down": merged_middle(parts.pop("mid"), parts.get("down", torch.empty(0)))}
    if "row_norms" in parts:  # of peft: always one a row, in whatever shape
        parts["magnitude"] = parts.pop("row_norms").flatten()
    if "oft_blocks" in parts:
        return _rotation(parts, given or 0.0), False
    kind = _kind(parts)
    _check_ranks(kind, parts)
    rank = rank_of(kind, parts)
    bias = parts.pop("diff_b", None)
    tensors = parts if bias is None else {**parts, "bias": bias.flatten()}
    if given is None:
        given = settings.alpha(layer)
        rank = rank or settings.rank
    scale = settings.scale(given, rank) if given is not None and rank else 1.0
    return Update(kind, tensors, scale), given is None and rank is not None


def _kind(parts: Mapping[str, Tensor]) -> Kind:
    for kind, needed in _KINDS:
        if needed <= parts.keys():
            return kind
    if all(name in parts or {f"{name}_a", f"{name}_b"} <= parts.keys() for name in ("k1", "k2")):
        return "kronecker"
    if parts.keys() <= {"magnitude", "diff_b"}:
        return "none"
    raise PartsError(f"of its parts there are only {', '.join(sorted(parts))}")


def _check_ranks(kind: Kind, parts: Mapping[str, Tensor]) -> None:
    if kind == "low_rank":
        down, up = parts["down"], parts["up"]
        if min(down.ndim, up.ndim) < 2 or not len(down) == up.shape[1] > 0:
            raise PartsError("their ranks differ")
    elif any(parts[name].ndim < 2 or not parts[name].numel() for name in parts if name[:2] in _MATRICES):
        raise PartsError("they are no matrices")


def _rotation(parts: Mapping[str, Tensor], alpha: float) -> Update:
    """The rotations are computed once, when the file is read; where its parameters are bounded, alpha is the bound."""
    blocks = parts["oft_blocks"]
    if blocks.ndim not in (3, 4) or blocks.shape[-1] != blocks.shape[-2]:
        raise PartsError("its blocks are no square matrices")
    out = blocks.shape[-3] * blocks.shape[-1]
    others = {name: tensor for name, tensor in parts.items() if name in ("rescale", "magnitude")}
    return Update("rotation", {"rotation": rotations(blocks, constrained(alpha, out)), **others})


def _bundled(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Return the embeddings inside a LoRA's file: `bundle_emb.WORD.KEY`, the key one of an embedding's file."""
    found: dict[str, dict[str, Tensor]] = {}
    for name, tensor in state.items():
        if name.startswith(BUNDLED):
            word, _, key = name.removeprefix(BUNDLED).rpartition(".")
            found.setdefault(word.removesuffix(".string_to_param"), {})[key] = tensor
    return found


def _plain(layer: str, prefix: str = "") -> str:
    """Return a layer's name of today for an older one: attention processors once had layers of their own."""
    layer = layer.removeprefix("base_model.model.")
    layer = re.sub(r"self_attn\.to_(q|k|v|out)$", r"self_attn.\1_proj", layer)
    layer = layer.replace(".processor.to_out", ".to_out.0").replace(".processor.", ".")
    return f"{prefix}.{layer}" if prefix else layer
