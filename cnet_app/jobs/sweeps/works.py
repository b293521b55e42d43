"""The work of a sweep by its kind. Loads no torch."""

from __future__ import annotations

from cnet_app.jobs.sweeps.batches import BatchWork
from cnet_app.jobs.sweeps.grids import GridWork
from cnet_app.jobs.sweeps.manifest import Manifest
from cnet_app.jobs.sweeps.sweeps import OpenWork, Work
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps


def open_work(maps: Maps, move: bool = False) -> OpenWork:
    """Return what opens the work of a manifest; with `move` the pictures of a batch are in its folder alone."""

    def of(manifest: Manifest) -> Work:
        if manifest.kind == "grid":
            return GridWork(manifest, annotate_again(maps))
        return BatchWork(manifest, maps, move=move)

    return of
