"""Procedural pictures: rendered once to disk, and read as memory-mapped arrays while training."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.base import Image
from annotators.canny import Canny
from cnet_app.embedded.train.checkpoints import save_whole
from cnet_app.embedded.world import Sample, control_images, create_sample
from models.errors import DamagedError, InputError

GREY = ("canny", "softedge", "scribble", "depth")
COLOUR = ("normal", "segmentation", "openpose")
MAPS = GREY + COLOUR
"""Condition ids whose maps are stored: one channel for the grey ones, three for the others."""
CHUNK = 64
"""Pictures a worker renders at a time."""
KEYED = 64
"""Pictures whose pixels are part of a data set's key."""


@dataclass(frozen=True)
class Dataset:
    """N square pictures of side S with their maps. `present[i, m]` is True where picture i has the map MAPS[m]."""

    images: Image
    maps: dict[str, Image]
    present: NDArray[np.bool_]
    captions: list[str]

    def __len__(self) -> int:
        return len(self.captions)

    @cached_property
    def key(self) -> str:
        """A short hash of the captions, the shapes and some of the pictures, spread evenly."""
        digest = hashlib.sha256(json.dumps([self.captions, self.images.shape, self.present.tolist()]).encode())
        for index in np.unique(np.linspace(0, len(self) - 1, KEYED).astype(int)):
            for pixels in (self.images, *self.maps.values()):
                digest.update(np.ascontiguousarray(pixels[index]).data)
        return digest.hexdigest()[:16]

    def control_image(self, name: str, index: int) -> Image:
        """Return a map of a picture, (S, S, 3) RGB."""
        pixels = self.maps[name][index]
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def training_maps(sample: Sample, seed: int) -> dict[str, Image]:
    """Return a sample's maps, varied: random canny thresholds for half, scribble strokes 1 to 5 px wide for half."""
    rng = np.random.default_rng(seed)
    maps = control_images(sample)
    if rng.random() < 0.5:
        low = int(rng.integers(40, 160))
        maps["canny"] = Canny(low_threshold=low, high_threshold=min(255, int(low * rng.uniform(1.5, 2.5))))(
            sample.image
        )
    if rng.random() < 0.5:
        width = int(rng.integers(2, 6))
        maps["scribble"] = cv2.dilate(maps["scribble"], np.ones((width, width), np.uint8)).astype(np.uint8)
    return maps


def render(directory: Path, first_seed: int, count: int, size: int, workers: int = 2) -> Dataset:
    """Render the missing ones of `count` samples (seeds first_seed …) into a directory, and open it.

    One worker renders in this process. Raises InputError where the directory has pictures of another number or size.
    """
    shapes = {"images": 3} | dict.fromkeys(GREY, 1) | dict.fromkeys(COLOUR, 3)
    for name, channels in shapes.items():
        _create_array(directory / f"{name}.npy", (count, size, size, channels))
    starts = [start for start in range(0, count, CHUNK) if _rows_of(directory, start) is None]
    jobs = [(directory, first_seed, start, min(start + CHUNK, count), size) for start in starts]
    if workers == 1:
        for job in jobs:
            _render_chunk(job)
    elif jobs:
        with multiprocessing.get_context("spawn").Pool(workers) as pool:
            for done, _ in enumerate(pool.imap(_render_chunk, jobs), 1):
                print(f"rendered {min(done * CHUNK, count)} of {min(len(jobs) * CHUNK, count)}", flush=True)
    return load_dataset(directory)


def _create_array(path: Path, shape: tuple[int, ...]) -> None:
    if not path.exists():

        def create(temporary: Path) -> None:
            np.lib.format.open_memmap(temporary, "w+", np.uint8, shape).flush()
            _take_room(temporary)

        save_whole(path, create)
    there = _open_array(path).shape
    if there != shape:
        raise InputError(
            f"{path} holds {there[0]} pictures of {there[1]} px, but the plan has {shape[0]} of {shape[1]} px; choose "
            "another --work folder."
        )


def _take_room(path: Path) -> None:
    """Take the whole file's room on the disk: a mapped file for which there is none later ends the process. OSError."""
    if hasattr(os, "posix_fallocate"):
        with path.open("rb+") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _open_array(path: Path, mode: Literal["r", "r+"] = "r") -> Image:
    try:
        return np.load(path, mmap_mode=mode)
    except (ValueError, EOFError) as error:
        raise DamagedError(f"{path} is damaged ({error}); delete its folder and render the pictures again.") from error


def _render_chunk(job: tuple[Path, int, int, int, int]) -> None:
    directory, first_seed, start, stop, size = job
    arrays = {name: _open_array(directory / f"{name}.npy", "r+") for name in ("images", *MAPS)}
    rows = []
    for index in range(start, stop):
        seed = first_seed + index
        sample = create_sample(seed, size)
        maps = training_maps(sample, seed)
        arrays["images"][index] = sample.image
        for name, pixels in maps.items():
            if name in MAPS:
                arrays[name][index] = pixels[..., :1] if name in GREY else pixels
        rows.append({"caption": sample.caption, "maps": [name in maps for name in MAPS]})
    save_whole(directory / f"{start}.json", lambda temporary: temporary.write_text(json.dumps(rows), encoding="utf-8"))


def _rows_of(directory: Path, start: int) -> list[dict[str, object]] | None:
    """Return the captions of a finished chunk; None where it is missing or damaged."""
    try:
        return json.loads((directory / f"{start}.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return None


def load_dataset(directory: Path) -> Dataset:
    """Open the finished chunks, without gaps, of a rendered directory; raise InputError where there are none."""
    rows: list[dict[str, object]] = []
    while found := _rows_of(directory, len(rows)):
        rows += found
    if not rows:
        raise InputError(f"{directory} has no pictures yet; render them first, with --stage pictures.")
    arrays = {name: _open_array(directory / f"{name}.npy")[: len(rows)] for name in ("images", *MAPS)}
    images = arrays.pop("images")
    present = np.array([row["maps"] for row in rows], dtype=bool)
    return Dataset(images, arrays, present, [str(row["caption"]) for row in rows])


def batches(count: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield endless batches of indices, in a new order every epoch; the same seed gives the same batches.

    Raises InputError where there are fewer pictures than one batch takes.
    """
    if count < size:
        raise InputError(f"A batch takes {size} pictures, but there are {count}; render more, with --stage pictures.")
    epoch = 0
    while True:
        order = np.random.default_rng((seed, epoch)).permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
        epoch += 1
