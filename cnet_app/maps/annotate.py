"""Source image → control image of a condition at the picture's size, with a word where the map will not do its work."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from annotators.base import Annotator, Image, create
from annotators.control_map import ControlMap, make_map_at, sha256_of
from annotators.images import ResizeMode, check_size, load_noted
from annotators.maps import is_blank, resize_map
from annotators.people import PoseAnnotator
from annotators.poses import Pose, load_pose
from annotators.recognise import REPAIRS, diagnose, looks_like, repair
from annotators.registry import annotator as annotator_class
from annotators.runtime import Runtime
from cnet_app.maps.availability import FAULTS, default_annotator, instead_of, library_fault, missing_weights
from cnet_app.maps.store import MapStore, map_key, weights_identity
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit, fitting_data
from cnet_app.settings import Settings, environment_value
from models.catalog import Weights, size_text
from models.errors import InputError, LibraryError, WeightsError

CACHE_BYTES = 64_000_000


def annotate(
    condition_id: str,
    annotator_id: str | None,
    source_image: Image | Pose,
    parameters: Mapping[str, object] | None = None,
    width: int = 256,
    height: int = 256,
    mode: ResizeMode = "crop",
    repairs: Sequence[str] = (),
    runtime: Runtime | None = None,
) -> ControlMap:
    """The map of a picture, at exactly this size; the same picture and parameters are computed once, also over restarts.

    The picture is brought to the size first, so that a line keeps its width. `annotator_id` None means that the picture
    is a map already, which `repairs` (annotators.recognise.REPAIRS) may put right. People brought as data are drawn: they need
    no annotator, and the parameters are those of annotators.people.PoseAnnotator. Raises InputError, and WeightsError where
    the annotator's files are missing.
    """
    if isinstance(source_image, Pose):
        if annotator_id is not None or repairs:
            raise InputError("People brought as data are drawn as they are; leave out the annotator and the repairs.")
        return control_image_from_pose(condition_id, source_image, parameters, width, height, mode)
    if annotator_id is None:
        if parameters:
            raise InputError("A map of your own has no annotator parameters; leave them out, or name an annotator.")
        return control_image_from_map(condition_id, source_image, width, height, mode, repairs)
    if repairs:
        raise InputError("Only a map of your own can be repaired; leave out the annotator, or the repairs.")
    row = condition(condition_id)
    if annotator_id not in row.annotators:
        annotator_class(annotator_id, row.annotators)  # an unknown id has its own sentence
        allowed = ", ".join(row.annotators)
        raise InputError(
            f"{annotator_id} makes no map for {row.id}; choose one of: {allowed}, or none for your own map."
        )
    check_size(source_image.shape[1], source_image.shape[0])
    made_by = create(annotator_class(annotator_id), parameters)
    digest = sha256_of(source_image)

    def make() -> ControlMap:
        made = make_map_at(made_by, source_image, width, height, mode, runtime)
        return replace(made, source_sha256=digest)

    how = digest, width, height, mode
    try:
        made = _CACHE.get((made_by, weights_identity(made_by), *how), lambda: _kept(made_by, make, *how))
    except WeightsError as error:
        if isinstance(error, LibraryError):
            FAULTS.note(annotator_id, str(error))
        raise type(error)(f"{str(error).removesuffix('.')}{instead_of(annotator_id, row.id)}.") from error
    if not looks_like(row.kind, source_image):
        return made
    told = f"This picture already looks like a map for {row.title}; to use it as it is, choose no annotator."
    return replace(made, warnings=(*made.warnings, told), repairs=(REPAIRS["as_it_is"],))


def _kept(made_by: Annotator, make: Callable[[], ControlMap], digest: str, *how: object) -> ControlMap:
    """The map as it lies on the disk, else as it is made and kept there."""
    store = map_store()
    key = map_key(made_by, digest, *how) if store else None
    found = store.read(key, made_by) if store and key else None
    if found:
        return found
    made = make()
    # Only now all weights are surely here.
    if store and (key := map_key(made_by, digest, *how)):
        store.write(key, made)
    return made


def map_store() -> MapStore | None:
    """Where CNET_CACHE_DIR and CNET_MAP_CACHE_MB say; None where nothing is to be kept."""
    size = environment_value("map_cache_mb") or str(Settings.map_cache_mb)
    if not size.isdecimal():
        raise InputError(f"CNET_MAP_CACHE_MB is {size!r}, but it must be a whole number of MB; 0 keeps no maps.")
    folder = environment_value("cache_dir") or Settings.cache_dir
    return _open_store(Path(folder).expanduser() / "maps", int(size)) if int(size) else None


@cache
def _open_store(folder: Path, megabytes: int) -> MapStore:
    return MapStore(folder, megabytes * 1_000_000)


def annotate_all(
    source_image: Image,
    width: int = 256,
    height: int = 256,
    mode: ResizeMode = "crop",
    every: bool = False,
    runtime: Runtime | None = None,
) -> Iterator[tuple[str, str, ControlMap | str]]:
    """Condition, annotator, and the map or why there is none: for every condition its best annotator that can run, or all.

    Nothing is downloaded: what is not here is told. One map after the other, as they are made.
    """
    runtime = runtime or Runtime()
    for row in CONDITIONS:
        for id in row.annotators if every else [default_annotator(row.id)]:
            told = library_fault(id) or _told_missing(missing_weights(id))
            try:
                made = told or annotate(row.id, id, source_image, None, width, height, mode, runtime=runtime)
            except (InputError, WeightsError) as error:
                made = str(error)
            yield row.id, id, made


def _told_missing(rows: Sequence[Weights]) -> str:
    """Nothing where all is here."""
    files = " and ".join(f"{row.title} ({size_text(row.size)})" for row in rows)
    return f"needs {files}, which is downloaded where it is chosen in its tab." if files else ""


def control_image_from_map(
    condition_id: str,
    image: Image,
    width: int,
    height: int,
    mode: ResizeMode = "crop",
    repairs: Sequence[str] = (),
) -> ControlMap:
    """A map of the user's own at this size. Nothing in it is changed but the size, and what the repairs asked for change."""
    row = condition(condition_id)
    check_size(image.shape[1], image.shape[0], "The map")
    image, done = repair(image, row.kind, repairs)
    pixels = np.array(resize_map(image, row.kind, width, height, mode))
    pixels.flags.writeable = False
    found = diagnose(row.kind, pixels, row.title)
    return ControlMap(
        pixels=pixels,
        kind=row.kind,
        warnings=(*done, found.message) if found else done,
        repairs=found.repairs if found else (),
    )


def control_image_from_pose(
    condition_id: str,
    pose: Pose,
    parameters: Mapping[str, object] | None,
    width: int,
    height: int,
    mode: ResizeMode = "crop",
) -> ControlMap:
    """People brought as data, drawn at this size without any network."""
    row = condition(condition_id)
    if row.kind.id != "pose":
        raise InputError(
            f"{row.title} reads pictures, not people as data; give it a picture, or the people to openpose."
        )
    check_size(width, height, "The map")
    drawn = cast(PoseAnnotator, create(PoseAnnotator, parameters)).choose(pose.resized(width, height, mode))
    pixels = drawn.draw()
    pixels.flags.writeable = False
    return ControlMap(
        pixels=pixels, kind=row.kind, data=drawn, warnings=(row.kind.nothing,) if is_blank(pixels) else ()
    )


def is_data(path: Path) -> bool:
    """Whether a file holds people as data, and no picture."""
    return path.suffix.lower() == ".json"


def load_source(path: Path) -> tuple[Image | Pose, tuple[str, ...]]:
    """A picture, or people as data, and what of the file is not used; InputError."""
    return (load_pose(path), ()) if is_data(path) else load_noted(path)


def build_unit(condition_id: str, control_map: ControlMap, **options: Any) -> ControlUnit:
    """The unit of a request; options are those of ControlUnit: conditioning_scale, control_mode …"""
    return ControlUnit(
        condition=condition_id,
        control_image=encode_png(control_map.pixels),
        control_data=fitting_data(control_map.data.to_json()) if control_map.data else None,
        annotator=control_map.annotator,
        annotator_parameters=control_map.parameters,
        source_sha256=control_map.source_sha256,
        **options,
    )


class _MapCache:
    """The maps used last, at most so many bytes; threads that ask for the same one wait for the first of them."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._maps: OrderedDict[Hashable, ControlMap] = OrderedDict()
        self._makers: dict[Hashable, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, key: Hashable, make: Callable[[], ControlMap]) -> ControlMap:
        with self._lock:
            maker = self._makers.setdefault(key, threading.Lock())
        with maker:
            try:
                made = self._known(key) or make()
                self._remember(key, made)
            finally:
                with self._lock:
                    self._makers.pop(key, None)
        return made

    def _known(self, key: Hashable) -> ControlMap | None:
        with self._lock:
            if key in self._maps:
                self._maps.move_to_end(key)
            return self._maps.get(key)

    def _remember(self, key: Hashable, made: ControlMap) -> None:
        with self._lock:
            self._maps[key] = made
            while len(self._maps) > 1 and sum(map.pixels.nbytes for map in self._maps.values()) > self._max_bytes:
                self._maps.popitem(last=False)


_CACHE = _MapCache(CACHE_BYTES)
