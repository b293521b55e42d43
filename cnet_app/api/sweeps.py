"""Grids and batches for the page and for programs: JSON values in and out, uploaded files by path. Loads no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.base import Image
from annotators.people.poses import Pose
from annotators.sources.images import ResizeMode, load_image
from cnet_app.api.endpoints import File, Object, answer, as_file
from cnet_app.api.requests import file_path, read_generation, read_map_call
from cnet_app.jobs.job_size import check_size
from cnet_app.jobs.runner import BASE_WAIT, Runner
from cnet_app.jobs.sweeps.batches import BatchPlan, Size, create_batch, first_readable, list_pictures, natural_order
from cnet_app.jobs.sweeps.grids import create_grid, grid_results
from cnet_app.jobs.sweeps.sources import remake_from
from cnet_app.jobs.sweeps.sweeps import Sweeps, SweepState, failures
from cnet_app.maps.annotate import Maps
from cnet_app.request.checks.known import check_known
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.recipes.recipe_files import read_request_file
from cnet_app.request.sweeps.fields import RemakeMap
from cnet_app.request.sweeps.grids import axis_from_json, grid_requests
from cnet_app.request.sweeps.tables import CAPTION, Row, read_caption, read_table
from cnet_app.settings import Settings
from models.errors import InputError

PUBLIC_PICTURES = 100
"""Pictures of one sweep of a visitor, where others can reach the app."""
Source = Image | Pose | None


@dataclass(frozen=True)
class SweepCalls:
    """The calls on sweeps. Each returns an object; where something was wrong it has one field, `error`, with a sentence."""

    settings: Settings
    runner: Runner
    maps: Maps
    sweeps: Sweeps

    def start_grid(
        self,
        axes: Sequence[object],
        prompt: str = "",
        controls: Sequence[Object] = (),
        options: Object | None = None,
        recipe: File | None = None,
        sources: Sequence[File | None] = (),
        name: str = "",
        session: str = "",
    ) -> Object:
        """Begin a grid over one to three axes and return its id, `sweep`, the number of its pictures, and warnings.

        An axis is text (`guidance_scale: 3, 5, 7`) or an object with `name`, `values` and perhaps `search`. What is varied
        is the request of `prompt`, `controls` and `options`, as /generate takes them, or that of a `recipe`, a picture or
        a JSON file; `sources` are then the photos of its units, which only axes of annotators need.
        """

        def start() -> Object:
            request, warnings, known = self._read(prompt, controls, options, recipe, sources)
            wildcards = None if recipe else Wildcards(follows_links=self.settings.is_local)
            id, count = self._begin_grid(request, axes, remake_from(self.maps, known), wildcards, name, session)
            return {"sweep": id, "pictures": count, "warnings": list(warnings)}

        return answer(start)

    def start_grid_of(
        self,
        request: GenerationRequest,
        axes: Sequence[object],
        sources: Sequence[Source] = (),
        name: str = "",
        session: str = "",
        wildcards: bool = True,
        fit: ResizeMode = "crop",
        titles: Sequence[str] = (),
        labels: Sequence[Sequence[str]] = (),
    ) -> Object:
        """Begin a grid of a request that is there already; `sources` are the photos of its units as arrays.

        `wildcards` is False for the request of a recipe, whose prompts are resolved. `fit` is how the photos were brought
        to the request's size. `titles` head the axes in the results, and `labels` stand for their values.
        """

        def start() -> Object:
            remake = remake_from(self.maps, sources, fit)
            found = Wildcards(follows_links=self.settings.is_local) if wildcards else None
            id, count = self._begin_grid(request, axes, remake, found, name, session, titles, labels)
            return {"sweep": id, "pictures": count, "warnings": []}

        return answer(start)

    def start_batch(
        self,
        files: Sequence[File] = (),
        folder: str = "",
        table: File | None = None,
        prompt: str = "",
        controls: Sequence[Object] = (),
        options: Object | None = None,
        recipe: File | None = None,
        into: Sequence[str] = (),
        size: Size = "follow",
        name: str = "",
        session: str = "",
    ) -> Object:
        """Begin a batch and return its id, `sweep`, and the number of its pictures.

        The pictures are uploaded `files`, among which a text file is the caption of the picture of its name, or those of
        a `folder`, on the app's own machine only. `table` is a CSV or TSV file of prompts. The recipe is as for a grid,
        where `controls` need no image. `into` names what the pictures replace, `size` is "follow" or "fixed".
        """

        def start() -> Object:
            pictures, rows = self._pictures(files, folder)
            first = first_readable(pictures)
            filled = [{"image": as_file(str(first)), **control} for control in controls]
            request, _, _ = self._read(prompt, filled, options, recipe, ())
            plan = BatchPlan(
                recipe=request, into=tuple(into), size=_size(size), wildcards=recipe is None, keep=bool(files)
            )
            id, count = self._begin_batch(plan, pictures, rows, table, name, session)
            return {"sweep": id, "pictures": count, "warnings": []}

        return answer(start)

    def start_batch_of(
        self,
        request: GenerationRequest,
        files: Sequence[File] = (),
        folder: str = "",
        table: File | None = None,
        into: Sequence[str] = (),
        size: Size = "follow",
        name: str = "",
        session: str = "",
        wildcards: bool = True,
    ) -> Object:
        """Begin a batch by a request that is there already; the other arguments as of `start_batch`."""

        def start() -> Object:
            pictures, rows = self._pictures(files, folder)
            plan = BatchPlan(recipe=request, into=tuple(into), size=_size(size), wildcards=wildcards, keep=bool(files))
            id, count = self._begin_batch(plan, pictures, rows, table, name, session)
            return {"sweep": id, "pictures": count, "warnings": []}

        return answer(start)

    def sweep_state(self, sweep: str, pictures: bool = False) -> Object:
        """Return how a sweep stands, with all its `pictures` where asked, of earlier starts of the app too."""
        return answer(lambda: describe_sweep(self.sweeps.state(sweep), pictures))

    def resume_sweep(self, sweep: str, session: str = "") -> Object:
        """Go on with a sweep that ended early, or whose pictures were removed: only missing pictures are made."""

        def resume() -> Object:
            self._check_free(session)
            return describe_sweep(self.sweeps.state(self.sweeps.resume(sweep, session)))

        return answer(resume)

    def cancel_sweep(self, sweep: str) -> Object:
        """Stop a sweep within a step; its pictures stay, and it can be resumed."""

        def cancel() -> Object:
            self.sweeps.cancel(sweep)
            return describe_sweep(self.sweeps.state(sweep))

        return answer(cancel)

    def _read(
        self,
        prompt: str,
        controls: Sequence[Mapping[str, Any]],
        options: Object | None,
        recipe: File | None,
        sources: Sequence[File | None],
    ) -> tuple[GenerationRequest, tuple[str, ...], Sequence[Source]]:
        """The request, warnings, and the pictures of its units."""
        if recipe is None:
            known = self.runner.base(BASE_WAIT)
            base = known[0] if known else self.settings.base or GenerationRequest.base
            request, warnings = read_generation(prompt, controls, options or {}, base, self.maps)
            return request, warnings, [read_map_call(control, self.maps).source for control in controls]
        if prompt or controls or options:
            raise InputError("A recipe has prompt, controls and options already; leave these out, or the recipe.")
        request, notes = read_request_file(file_path("recipe", recipe))
        return request, notes, [load_image(file_path("sources", file)) if file else None for file in sources]

    def _begin_grid(
        self,
        request: GenerationRequest,
        axes: Sequence[object],
        remake: RemakeMap,
        wildcards: Wildcards | None,
        name: str,
        session: str,
        titles: Sequence[str] = (),
        labels: Sequence[Sequence[str]] = (),
    ) -> tuple[str, int]:
        self._check_free(session)
        read = [axis_from_json(values, request) for values in axes]
        cells = grid_requests(request, read, remake, wildcards)
        self._check_public(len(cells), [cell.request for cell in cells])
        manifest = create_grid(self.settings.output_dir, name, request, read, cells, titles, labels)
        return self.sweeps.start(manifest, session), len(cells)

    def _begin_batch(
        self,
        plan: BatchPlan,
        pictures: Sequence[Path],
        rows: Sequence[Row],
        table: File | None,
        name: str,
        session: str,
    ) -> tuple[str, int]:
        self._check_free(session)
        rows = read_table(file_path("table", table), plan.recipe) if table else rows
        self._check_public(len(rows or pictures) * plan.recipe.num_images, [plan.recipe])
        if not self.settings.is_local and any(_models(row) for row in rows):
            raise InputError("The table of a batch of this app cannot name models; leave those columns out.")
        manifest = create_batch(self.settings.output_dir, name, plan, pictures, rows)
        return self.sweeps.start(manifest, session), len(manifest.parts)

    def _pictures(self, files: Sequence[File], folder: str) -> tuple[list[Path], list[Row]]:
        """The pictures, and of uploaded ones a row each, with its caption where one was uploaded."""
        if bool(files) == bool(folder):
            raise InputError("A batch takes either uploaded files or a folder; give one of them.")
        if folder:
            if not self.settings.is_local:
                raise InputError("A folder is read on the app's own machine only; upload the pictures.")
            return list_pictures(Path(folder).expanduser())[0], []
        paths = natural_order(file_path("files", file) for file in files)
        texts = {path.stem: path for path in paths if path.suffix.lower() == CAPTION}
        pictures = [path for path in paths if path.suffix.lower() != CAPTION]
        captions = {path: read_caption(texts[path.stem]) for path in pictures if path.stem in texts}
        rows = [Row(path.name, {"prompt": text} if (text := captions.get(path)) else {}, 0) for path in pictures]
        return pictures, rows if captions else []

    def _check_free(self, session: str) -> None:
        if not self.settings.is_local and self.sweeps.running(session):
            raise InputError("One of your grids or batches is running already; wait for its end, or cancel it.")

    def _check_public(self, count: int, requests: Sequence[GenerationRequest]) -> None:
        """A visitor's sweep is bounded, and names only models of the app."""
        if self.settings.is_local:
            return
        if count > PUBLIC_PICTURES:
            raise InputError(
                f"There are {count} pictures to make, but this app makes at most {PUBLIC_PICTURES} at once."
            )
        known = self.runner.base(BASE_WAIT)
        base = known[0] if known else self.settings.base
        for request in requests:
            check_known(request, base)
            check_size(request, self.settings)


def describe_sweep(state: SweepState, pictures: bool = False) -> Object:
    """Return the state of a sweep as JSON values; files are such that a caller can fetch them."""
    manifest, job = state.manifest, state.job
    last = next(filter(None, map(manifest.picture, reversed(range(len(manifest.parts))))), None)
    results = grid_results(manifest) if manifest.kind == "grid" else {"png": None, "html": None}
    described: Object = {
        "sweep": manifest.id,
        "kind": manifest.kind,
        "name": manifest.name,
        "status": state.status,
        "total": len(manifest.parts),
        "done": state.done,
        "failed": state.failed,
        "fraction": round(state.fraction, 4),
        "job": job.id if job else None,
        "doing": job.doing if job else "",
        "error": state.error,
        "failures": failures(manifest),
        "notes": list(manifest.notes),
        "folder": str(manifest.folder),
        "manifest": str(manifest.path),
        "last": as_file(str(last)) if last else None,
        **{name: as_file(path) if path else None for name, path in results.items()},
    }
    if pictures:
        made = filter(None, map(manifest.picture, range(len(manifest.parts))))
        described["pictures"] = [as_file(str(path)) for path in made]
    return described


def _size(size: str) -> Size:
    if size not in ("follow", "fixed"):
        raise InputError(f"size is {size!r}, but it must be follow or fixed.")
    return size


def _models(row: Row) -> list[str]:
    return [name for name in row.values if name in ("base", "vae") or name.endswith((".controlnet", ".name"))]
