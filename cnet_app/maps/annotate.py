"""Source image → control image of a condition at the picture's size, with a warning where the map has no effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from annotators.base import Annotator, Image, create
from annotators.base import parameters as parameters_of
from annotators.maps.control_map import (
    ControlMap,
    DataAnnotator,
    complete_map,
    make_map,
    make_map_at,
    run_annotator,
    sha256_of,
)
from annotators.maps.recognise import REPAIRS, is_drawn, looks_like
from annotators.people.poses import Pose
from annotators.registry import annotator as annotator_class
from annotators.runtime import Runtime
from annotators.sources.images import ResizeMode
from annotators.sources.picture_files import check_size
from cnet_app.maps.availability import default_annotator, instead_of, library_fault, missing_weights
from cnet_app.maps.cache import CACHE_BYTES, CACHE_MAPS, MapCache
from cnet_app.maps.own import control_image_from_map, control_image_from_pose
from cnet_app.maps.store import MapStore, map_key, weights_identity
from cnet_app.registry.conditions import CONDITIONS, Condition, condition
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit, fitting_data
from cnet_app.settings import Settings
from models.catalogue.catalog import Weights
from models.errors import InputError, LibraryError, StudioError, WeightsError


@dataclass(frozen=True)
class Annotated:
    """The output of an annotator that ran elsewhere."""

    pixels: Image
    data: Mapping[str, Any] | None = None
    """People or classes as JSON."""
    notes: tuple[str, ...] = ()


MakeMap = Callable[[MapRequest], Annotated]
"""Runs an annotator that needs a network; the engine's part."""


class Maps:
    """Control maps for everybody: each is made once and remembered, in memory and on the disk.

    Annotators without a network run in the thread that asks, those with one through `make`. Thread-safe.
    """

    def __init__(self, make: MakeMap, store: MapStore | None = None, max_bytes: int = CACHE_BYTES) -> None:
        self._make = make
        self._store = store
        self._cache = MapCache(max_bytes, CACHE_MAPS)
        self._faults: dict[str, str] = {}
        """Messages of annotators whose library proved broken, until the process ends."""

    @property
    def faults(self) -> Mapping[str, str]:
        """Messages of annotators that were found broken, by id."""
        return self._faults

    def annotate(
        self,
        condition_id: str,
        annotator_id: str | None,
        source_image: Image | Pose,
        parameters: Mapping[str, object] | None = None,
        width: int = 256,
        height: int = 256,
        mode: ResizeMode = "crop",
        repairs: Sequence[str] = (),
    ) -> ControlMap:
        """Return the map of a picture at exactly this size.

        The picture is resized first, so that a line keeps its width. `annotator_id` None means that the picture is a
        map already, which `repairs` (annotators.maps.recognise.REPAIRS) may repair. People brought as data are drawn: they
        need no annotator, and the parameters are those of annotators.people.body_annotator.PoseAnnotator. Raises InputError, and
        WeightsError where the annotator's files are missing.
        """
        check_size(width, height, "The map")
        if isinstance(source_image, Pose):
            if annotator_id is not None or repairs:
                raise InputError(
                    "People brought as data are drawn as they are; leave out the annotator and the repairs."
                )
            return control_image_from_pose(condition_id, source_image, parameters, width, height, mode)
        if annotator_id is None:
            if parameters:
                raise InputError("A map of your own has no annotator parameters; leave them out, or name an annotator.")
            return control_image_from_map(condition_id, source_image, width, height, mode, repairs)
        if repairs:
            raise InputError("Only a map of your own can be repaired; leave out the annotator, or the repairs.")
        row = condition(condition_id)
        made_by = create(annotator_of(row, annotator_id), parameters)
        check_size(source_image.shape[1], source_image.shape[0])
        made = self._remembered(row, made_by, source_image, (width, height), mode)
        is_map = looks_like(row.kind, source_image)
        if not is_map and (made_by.reads_drawings or not is_drawn(row.kind, source_image)):
            return made
        what = "a map" if is_map else "a drawing on paper, which can be the map"
        message = f"This picture already looks like {what} for {row.title}; to use it as it is, choose no annotator."
        return replace(made, warnings=(*made.warnings, message), repairs=(REPAIRS["as_it_is"],))

    def annotate_all(
        self,
        source_image: Image,
        width: int = 256,
        height: int = 256,
        mode: ResizeMode = "crop",
        every: bool = False,
    ) -> Iterator[tuple[str, str, ControlMap | str]]:
        """Yield condition, annotator, and the map or why there is none, as they are made.

        For every condition its best annotator that can run, or all. What is not on this disk is named, never downloaded.
        """
        for row in CONDITIONS:
            for id in row.annotators if every else [default_annotator(row.id, self.faults)]:
                fault = library_fault(id, self.faults) or _missing_text(missing_weights(id))
                try:
                    made = fault or self.annotate(row.id, id, source_image, None, width, height, mode)
                except (InputError, WeightsError, StudioError) as error:
                    made = str(error)
                yield row.id, id, made

    def _remembered(
        self, row: Condition, made_by: Annotator, source_image: Image, size: tuple[int, int], mode: ResizeMode
    ) -> ControlMap:
        digest = sha256_of(source_image)

        def make() -> ControlMap:
            made = make_map_at(lambda image: self._run(row, made_by, image), source_image, *size, mode)
            return replace(made, source_sha256=digest)

        how = digest, *size, mode
        try:
            return self._cache.get(
                (made_by, weights_identity(made_by), *how), lambda: self._stored(made_by, make, *how)
            )
        except WeightsError as error:
            if isinstance(error, LibraryError):
                self._faults[made_by.id] = str(error)
            other = instead_of(made_by.id, row.id, self.faults)
            raise type(error)(f"{str(error).removesuffix('.')}{other}.") from error

    def _run(self, row: Condition, made_by: Annotator, image: Image) -> ControlMap:
        if not made_by.needs_network:
            return make_map(made_by, image)
        request = MapRequest(
            condition=row.id,
            annotator=made_by.id,
            annotator_parameters={name: getattr(made_by, name) for name in parameters_of(type(made_by))},
            source_image=encode_png(image),
        )
        made = self._make(request)
        data = made_by.read(made.data) if made.data is not None and isinstance(made_by, DataAnnotator) else None
        described = complete_map(made_by, image, made.pixels, data)
        return replace(described, warnings=(*described.warnings, *made.notes))

    def _stored(self, made_by: Annotator, make: Callable[[], ControlMap], digest: str, *how: object) -> ControlMap:
        """The map as it lies on the disk, else as it is made and written there."""
        key = map_key(made_by, digest, *how) if self._store else None
        found = self._store.read(key, made_by) if self._store and key else None
        if found:
            return found
        made = make()
        # Only now all weights are surely here.
        if self._store and (key := map_key(made_by, digest, *how)):
            self._store.write(key, made)
        return made


def run_here(runtime: Runtime) -> MakeMap:
    """Return what runs networks in this process: for scripts and tests, which need no engine."""

    def make(request: MapRequest) -> Annotated:
        pixels, data = run_annotator(request.made_by, request.pixels, runtime)
        return Annotated(pixels, data.to_json() if data else None)

    return make


def annotator_of(row: Condition, id: str) -> type[Annotator]:
    """Return the class of one of a condition's annotators; InputError for any other id."""
    found = annotator_class(id, row.annotators)
    if id not in row.annotators:
        allowed = ", ".join(row.annotators)
        raise InputError(f"{id} makes no map for {row.id}; choose one of: {allowed}, or none for your own map.")
    return found


def open_store(settings: Settings) -> MapStore | None:
    """Return the maps on the disk; None where the settings keep none."""
    if not settings.map_cache_mb:
        return None
    return MapStore(settings.cache_folder / "maps", settings.map_cache_mb * 1_000_000)


def _missing_text(rows: Sequence[Weights]) -> str:
    """Empty where nothing is missing."""
    files = " and ".join(f"{row.title} ({row.size_words})" for row in rows)
    return f"needs {files}; download it where it is chosen in its tab." if files else ""


def build_unit(condition_id: str, control_map: ControlMap, **options: Any) -> ControlUnit:
    """The unit of a request; options are those of ControlUnit: conditioning_scale, control_mode …"""
    return ControlUnit(
        condition=condition_id,
        control_image=encode_png(control_map.pixels),
        annotator=control_map.annotator,
        annotator_parameters=control_map.parameters,
        source_sha256=control_map.source_sha256,
        control_data=fitting_data(control_map.data.to_json()) if control_map.data else None,
        **options,
    )
