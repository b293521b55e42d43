"""Settings of LoRAs that are not in their tensors: peft's `adapter_config.json`, diffusers' and kohya's metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.errors import DamagedError
from models.files import short
from models.layouts.checkpoints import read_metadata

ADAPTER_CONFIG = "adapter_config.json"
"""peft's settings, in the folder of an adapter's tensors."""
SETTINGS = "lora_adapter_metadata"
"""Metadata in which diffusers writes peft's settings, each after the name of its network."""
PEFT_STEM = "adapter_model"
"""Name of peft's files, without ending; a config next to a file of another name may be another adapter's."""

MAX_RANK = 1_000_000
MAX_PATTERN, MAX_LAYER = 200, 150
"""Characters of a pattern for layers' names, and of a name that is held against more than a plain one."""
REPEATS, REPEATED_GROUP = re.compile(r"(?<!\\)[*+?{]"), re.compile(r"\)[*+?{]")
MAX_REPEATS = 2
"""Repeats in a pattern: each multiplies the time of a search by the length of the name, those of groups double it."""


@dataclass(frozen=True)
class AdapterSettings:
    """Settings of one file."""

    peft: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """By name, or after a network's name and a dot."""
    lost: bool = False
    """Whether peft wrote the file, and its settings are not there."""
    kohya_alpha: float | None = None
    kohya_rank: float | None = None

    @property
    def rank(self) -> int | None:
        """The rank of updates that do not show it."""
        found = self.peft.get("r")
        return found if isinstance(found, int) and 0 < found <= MAX_RANK else None

    def alpha(self, layer: str) -> float | None:
        """Return the alpha of a layer by the settings, a pattern's before all layers'."""
        layer = layer.removeprefix("base_model.model.")
        part, _, name = layer.partition(".")
        for prefix, inner in (("", layer), (f"{part}.", name)):
            patterns = self.peft.get(f"{prefix}alpha_pattern")
            for pattern, own in patterns.items() if isinstance(patterns, dict) else ():
                if _matches(str(pattern), inner):
                    return _number(own)
            if (alpha := _number(self.peft.get(f"{prefix}lora_alpha", self.peft.get(f"{prefix}alpha")))) is not None:
                return alpha
        return None

    def _patterns(self) -> Iterator[str]:
        for name, patterns in self.peft.items():
            if name.rpartition(".")[2] == "alpha_pattern" and isinstance(patterns, dict):
                yield from map(str, patterns)

    def scale(self, alpha: float, rank: int) -> float:
        """Return alpha over the rank, or over its root for a rank-stabilised LoRA."""
        stabilised = any(value for name, value in self.peft.items() if name.rpartition(".")[2] == "use_rslora")
        return alpha / (rank**0.5 if stabilised else rank)

    def notes(self, name: str, by_rank: int) -> Iterator[str]:
        """Yield a sentence where file and settings leave two meanings; `by_rank` layers have no alpha."""
        if self.lost and by_rank:
            yield (
                f"LoRA {name} was written by peft, but its {ADAPTER_CONFIG} is not next to it: its updates count in full, "
                "as if lora_alpha were the rank. Put that file into its folder, or change the LoRA's weight."
            )
        strange = next((pattern for pattern in self._patterns() if not _is_plain(pattern)), None)
        if strange is not None:
            yield (
                f"LoRA {name} has settings for layers that {strange[:60]!r} matches, which is no pattern that this app "
                "follows: they were left out. Name those layers in alpha_pattern."
            )
        if by_rank and self.kohya_alpha and self.kohya_rank and self.kohya_alpha != self.kohya_rank:
            yield (
                f"LoRA {name} holds no alpha, but its metadata has network_alpha {self.kohya_alpha:g} at rank "
                f"{self.kohya_rank:g}: its updates count in full. Should they be too strong, give it the weight "
                f"{self.kohya_alpha / self.kohya_rank:.3g}."
            )


def read_settings(file: Path) -> AdapterSettings:
    """Return the settings of a LoRA's file; DamagedError where they cannot be read."""
    metadata = read_metadata(file)
    kohya = {name: _number(metadata.get(f"ss_network_{name}")) for name in ("alpha", "dim")}
    config = file.parent / ADAPTER_CONFIG
    by_peft = file.stem == PEFT_STEM
    if by_peft and config.is_file():
        peft = _object(config, config.read_text(encoding="utf-8", errors="replace"))
    else:
        peft = _object(file, metadata.get(SETTINGS, "{}"))
    return AdapterSettings(peft, by_peft and not peft, kohya["alpha"], kohya["dim"])


def _object(file: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"The settings in {short(file)} cannot be read; get that file again.") from error
    return found if isinstance(found, dict) else {}


def _matches(pattern: str, name: str) -> bool:
    """A pattern comes from a file: one that is not plain matches nothing."""
    if not _is_plain(pattern) or (REPEATS.search(pattern) and len(name) > MAX_LAYER):
        return False
    return re.fullmatch(rf"(.*\.)?({pattern})", name) is not None


def _is_plain(pattern: str) -> bool:
    """Return whether a text is a pattern that is soon held against any name."""
    if len(pattern) > MAX_PATTERN or len(REPEATS.findall(pattern)) > MAX_REPEATS or REPEATED_GROUP.search(pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _number(value: Any) -> float | None:
    """Return a number from JSON or metadata; None for anything else."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return found if abs(found) < float("inf") else None
