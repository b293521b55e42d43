"""Grids as sweeps: their manifest, and the picture and the page that show all cells. Loads no torch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from cnet_app.fidelity.compare import Annotate
from cnet_app.jobs.scoring import agreement_of, score_now
from cnet_app.jobs.sweeps.grid_page import grid_page
from cnet_app.jobs.sweeps.grid_picture import draw_grid
from cnet_app.jobs.sweeps.grid_table import GridCell, GridTable
from cnet_app.jobs.sweeps.manifest import (
    Manifest,
    Part,
    begun_sweep,
    put_request,
    take_request,
    write_manifest,
    write_whole,
)
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.png.parameters import parameters_text
from cnet_app.request.sweeps.grids import Axis, Cell, axis_from_json, label_of
from models.errors import InputError

PICTURE = "grid.png"
PAGE = "grid.html"


def create_grid(
    pictures: Path,
    name: str,
    request: GenerationRequest,
    axes: Sequence[Axis],
    cells: Sequence[Cell],
    titles: Sequence[str] = (),
    labels: Sequence[Sequence[str]] = (),
) -> Manifest:
    """Write the manifest of a new grid below the folder of pictures; SaveError.

    `request` is the one that the axes vary, `cells` are those of `cnet_app.request.sweeps.grids.grid_requests`. `titles` head the
    axes in the results, `labels` stand for the values of each; without them names and values do, as they are typed.
    """
    with begun_sweep(pictures, "grid", name) as folder:
        parts = [
            Part(
                what={
                    "indices": list(cell.indices),
                    "labels": list(cell.labels),
                    "request": put_request(folder, cell.request),
                }
            )
            for cell in cells
        ]
        plan = {
            "axes": [axis.to_json() for axis in axes],
            "titles": list(titles or (axis.title for axis in axes)),
            "labels": [list(of_axis) for of_axis in labels] or [list(map(label_of, axis.values)) for axis in axes],
            "request": put_request(folder, request),
        }
        manifest = Manifest(
            folder=folder, kind="grid", name=name or "Grid", created=time.time(), plan=plan, parts=tuple(parts)
        )
        write_manifest(manifest)
        return manifest


class GridWork:
    """The work of a grid: cells are pictures of the library, and stay where they are."""

    def __init__(self, manifest: Manifest, annotate: Annotate) -> None:
        """`annotate` makes the maps by which pictures are scored. Raises InputError for a damaged manifest."""
        grid_table(manifest)
        self._annotate = annotate

    def request(self, manifest: Manifest, index: int) -> GenerationRequest:
        """Return the request of a cell; InputError."""
        return take_request(manifest.folder, manifest.parts[index].what.get("request"))

    def keep(self, manifest: Manifest, index: int, picture: Path) -> Path:
        """Score the picture, and return its path as it is."""
        score_now(picture, self._annotate)
        return picture

    def finish(self, manifest: Manifest) -> tuple[str, ...]:
        """Write `grid.png` and `grid.html` of the cells that are made; return a note where a picture is shown smaller."""
        table = grid_table(manifest)
        data, note = draw_grid(table)
        write_whole(manifest.folder / PICTURE, data)
        write_whole(manifest.folder / PAGE, grid_page(table).encode())
        return (note,) if note else ()


def grid_table(manifest: Manifest) -> GridTable:
    """Return what a grid shows; InputError for a damaged manifest."""
    request = take_request(manifest.folder, manifest.plan.get("request"))
    axes = [axis_from_json(values, request) for values in manifest.plan.get("axes", ())]
    titles = manifest.plan.get("titles") or [axis.title for axis in axes]
    labels = manifest.plan.get("labels") or [list(map(label_of, axis.values)) for axis in axes]
    cells: dict[tuple[int, ...], GridCell] = {}
    for index, part in enumerate(manifest.parts):
        indices = part.what.get("indices")
        if not isinstance(indices, list) or len(cast("list[int]", indices)) != len(axes):
            raise InputError(f"{manifest.path} is damaged (part {index} has no indices); begin the grid again.")
        cells[tuple(cast("list[int]", indices))] = _cell(manifest.picture(index), part.error)
    return GridTable(
        title=manifest.name,
        made=time.strftime("%Y-%m-%d %H:%M", time.localtime(manifest.created)),
        recipe=parameters_text(request),
        axes=tuple((str(title), tuple(map(str, of_axis))) for title, of_axis in zip(titles, labels, strict=False)),
        cells=cells,
    )


def _cell(picture: Path | None, error: str) -> GridCell:
    mean = agreement_of(picture) if picture else None
    return GridCell(picture, error, "" if mean is None else f"followed: {100 * mean:.0f} %")


def grid_results(manifest: Manifest) -> dict[str, Any]:
    """Return the paths of the grid's picture and page, None before they are written."""
    paths = {"png": manifest.folder / PICTURE, "html": manifest.folder / PAGE}
    return {name: str(path) if path.is_file() else None for name, path in paths.items()}
