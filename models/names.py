"""Names as users write them: the known names that look like an unknown one, and what a device may be called. Loads nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

ALIKE = 0.5
"""Ratio of difflib from which two names count as alike; "cany" and "canny" have 0.89, "xdog" and "hed" 0.29."""
PART = 3
"""Letters from which a name that is part of a known one counts as alike."""
CLOSE = 0.15
"""Largest difference in likeness between the two names of a hint."""

LONGEST = 200
"""Letters of a name that is compared; no known one has as many."""

DEVICE = re.compile(r"(cpu|mps|cuda)(?::(\d{1,3}))?")
"""Kind and number of a device."""
DEVICE_NAMES = "auto, cpu, cuda, cuda:1, mps"


def is_device_name(text: str) -> bool:
    """Return whether a device may be called this, on this machine or another."""
    return text == "auto" or DEVICE.fullmatch(text) is not None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return " (did you mean canny?)" for "cany", at most two names, the nearest first; empty where nothing is near.

    It stands right behind the name in an error: `f"There is no condition {name!r}{did_you_mean(name, ids)}; choose …"`.
    """
    if len(name) > LONGEST:
        return ""
    given = _plain(name)
    scores = {other: _likeness(given, _plain(other)) for other in known}
    least = max(ALIKE, max(scores.values(), default=0) - CLOSE)
    best = sorted((other for other, score in scores.items() if score >= least), key=lambda other: -scores[other])
    return f" (did you mean {' or '.join(best[:2])}?)" if best else ""


def _likeness(given: str, known: str) -> float:
    """From 0 to 1. A part of a name counts as alike, the more of it is there the better."""
    ratio = difflib.SequenceMatcher(None, given, known).ratio()
    if len(given) >= PART and given in known:
        return max(ratio, ALIKE + (1 - ALIKE) * len(given) / len(known))
    return ratio


def _plain(name: str) -> str:
    """A name without what people mix up: case, hyphens and spaces."""
    return name.lower().replace("-", "_").replace(" ", "_")
