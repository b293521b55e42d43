"""Maps of a request made again, of the same picture or another one. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from annotators.base import Image
from annotators.maps.control_map import sha256_of
from annotators.people.poses import Pose
from annotators.sources.images import ResizeMode
from cnet_app.maps.annotate import Maps, build_unit
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.plain import Scalar
from cnet_app.request.sweeps.fields import RemakeMap, with_map
from cnet_app.request.units import ControlUnit
from models.errors import InputError


def map_of(
    maps: Maps,
    request: GenerationRequest,
    index: int,
    annotator: str | None,
    parameters: Mapping[str, Scalar],
    source: Image,
    mode: ResizeMode = "crop",
) -> ControlUnit:
    """Return a unit of the request with the map of a picture, at the request's size. InputError, WeightsError."""
    unit = request.units[index]
    made = maps.annotate(
        unit.condition, annotator, source, parameters if annotator else None, request.width, request.height, mode
    )
    return with_map(unit, build_unit(unit.condition, made))


def remake_from(maps: Maps, sources: Sequence[Image | Pose | None], mode: ResizeMode = "crop") -> RemakeMap:
    """Return what makes the maps of a grid again; `sources` are the pictures of the request's units, None where not known.

    `mode` is how they were brought to the request's size.
    """

    def remake(request: GenerationRequest, index: int, id: str, values: Mapping[str, Scalar]) -> ControlUnit:
        source = sources[index] if index < len(sources) else None
        known = request.units[index].source_sha256
        if source is None or isinstance(source, Pose):
            raise InputError(
                f"unit{index + 1}.annotator changes its map, but the picture that it is made of is not known; "
                "give that picture."
            )
        if known is not None and sha256_of(source) != known:
            raise InputError(
                f"The picture given for unit{index + 1} is not the one that its map was made of; give that one."
            )
        return map_of(maps, request, index, id, values, source, mode)

    return remake
