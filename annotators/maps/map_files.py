"""Roles of pictures that are maps already, one for each kind: what nothing is, depth in millimetres, classes as numbers."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from annotators.base import Image
from annotators.maps.encoders import lines, unit_range
from annotators.maps.kinds import KINDS, KindId, MapKind
from annotators.maps.label_files import read_labels
from annotators.sources.roles import Decode, Notes, Role, is_deep
from models.errors import InputError

NO_MEASUREMENT = (0, 65535)
"""Numbers that depth cameras and renderers write where they measured nothing, or the sky."""
LARGEST_DISTANCE = 20_000
"""Up to here 16-bit numbers are distances, in millimetres up to 20 m; an inverse depth is stretched to 65,535."""
GROUND = 1.25
"""Ratio of the lower third of a depth file to the upper from which its large numbers are near."""
OUTLIERS = (0.5, 99.5)
"""Percentiles of distances that become black and white: a few wrong measurements are nearer or farther than all else."""


def map_role(kind: MapKind) -> Role:
    """Return the role of a map of this kind."""
    return _ROLES[kind.id]


def read_depth(picture: Pillow.Image, name: str, notes: Notes) -> Image | None:
    """Return a depth file of more than 8 bits as grey over the full range, near is white; None for any other.

    Raises InputError where nothing was measured.
    """
    if not is_deep(picture):
        return None
    values = np.asarray(picture).astype(np.float64)
    measured = np.isfinite(values) & ~np.isin(values, NO_MEASUREMENT)
    if not measured.any():
        raise InputError(f"{name} holds no depth: all its numbers are 0 or 65,535; export it again.")
    low, high = (float(values[measured].min()), float(values[measured].max()))
    if high > LARGEST_DISTANCE or _grows_downwards(values, measured):
        notes.append(
            f"{name} has 16 bits: its numbers from {values.min():,.0f} to {values.max():,.0f} were stretched to the full "
            "range, large ones near."
        )
        return lines(unit_range(values) * 255)
    notes.append(
        f"{name} holds distances from {low:,.0f} to {high:,.0f}, as depth cameras write millimetres: it was inverted, so "
        "that near is white, and what was not measured is black."
    )
    return lines(_inverse_depth(values, measured) * 255)


def _grows_downwards(values: NDArray[np.float64], measured: NDArray[np.bool_]) -> bool:
    """Return whether numbers are clearly larger in the lower third, which mostly shows the ground, so that large is near."""
    third = max(1, len(values) // 3)
    ends = [values[rows][measured[rows]] for rows in (slice(third), slice(-third, None))]
    return all(len(end) for end in ends) and float(np.median(ends[1])) > GROUND * float(np.median(ends[0]))


def _inverse_depth(distances: NDArray[np.float64], measured: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return 1 / distance stretched to [0, 1]; 0 where nothing was measured."""
    low, high = np.percentile(distances[measured], OUTLIERS)
    inverse = 1 / np.clip(np.where(measured, distances, high), max(low, 1e-6), high)
    return np.where(measured, unit_range(inverse), np.float32(0))


def _role(kind: MapKind) -> Role:
    decoders: dict[KindId, Decode] = {"depth": read_depth, "labels": read_labels}
    return Role(
        paper=kind.background or (255, 255, 255),
        nearest=kind.nearest,
        numbers=kind.id in ("depth", "normal"),
        ink=kind.polarity == "white on black",
        decode=decoders.get(kind.id),
    )


_ROLES: Mapping[KindId, Role] = MappingProxyType({id: _role(kind) for id, kind in KINDS.items()})
