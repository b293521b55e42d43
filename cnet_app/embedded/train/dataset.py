"""Procedural pictures rendered once to disk, read as memory-mapped arrays while training."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from annotators.canny import Canny
from cnet_app.embedded.world import Sample, control_images, create_sample

Pixels = NDArray[np.uint8]
GREY = ("canny", "softedge", "scribble", "depth")
COLOUR = ("normal", "segmentation", "openpose")
MAPS = GREY + COLOUR
"""Condition ids whose maps are stored: one channel for the grey ones, three for the others."""
CHUNK = 64


@dataclass(frozen=True)
class Dataset:
    """N pictures of side S. `present[i, m]` says whether picture i has map MAPS[m]."""

    images: Pixels
    maps: dict[str, Pixels]
    present: NDArray[np.bool_]
    captions: list[str]

    def __len__(self) -> int:
        return len(self.captions)

    def control_image(self, name: str, index: int) -> Pixels:
        """(S, S, 3) RGB map."""
        pixels = self.maps[name][index]
        return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def training_maps(sample: Sample, seed: int) -> dict[str, Pixels]:
    """A sample's maps with the variety real ones have: random canny thresholds, scribble strokes 1 to 5 px wide."""
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
    """Render what is still missing of `count` samples (seeds first_seed …) into a directory, and open it."""
    directory.mkdir(parents=True, exist_ok=True)
    shapes = {"images": 3} | dict.fromkeys(GREY, 1) | dict.fromkeys(COLOUR, 3)
    for name, channels in shapes.items():
        path = directory / f"{name}.npy"
        if not path.exists():
            np.lib.format.open_memmap(path, "w+", np.uint8, (count, size, size, channels)).flush()
    starts = [s for s in range(0, count, CHUNK) if not (directory / f"{s}.json").exists()]
    jobs = [(directory, first_seed, start, min(start + CHUNK, count), size) for start in starts]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        for done, _ in enumerate(pool.imap(_render_chunk, jobs), 1):
            print(f"rendered {done * CHUNK} of {len(jobs) * CHUNK}", flush=True)
    return load_dataset(directory)


def _render_chunk(job: tuple[Path, int, int, int, int]) -> None:
    directory, first_seed, start, stop, size = job
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r+") for name in ("images", *MAPS)}
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
    (directory / f"{start}.json").write_text(json.dumps(rows))


def load_dataset(directory: Path) -> Dataset:
    """Open the finished chunks, without gaps, of a rendered directory."""
    rows: list[dict[str, object]] = []
    while (path := directory / f"{len(rows)}.json").exists():
        rows += json.loads(path.read_text())
    arrays = {name: np.load(directory / f"{name}.npy", mmap_mode="r")[: len(rows)] for name in ("images", *MAPS)}
    images = arrays.pop("images")
    present = np.array([row["maps"] for row in rows], dtype=bool)
    return Dataset(images, arrays, present, [str(row["caption"]) for row in rows])


def batches(count: int, size: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Endless batches of indices; every epoch a new order, the same for the same seed."""
    epoch = 0
    while True:
        order = np.random.default_rng((seed, epoch)).permutation(count)
        for start in range(0, count - size + 1, size):
            yield order[start : start + size]
        epoch += 1


__all__ = ["MAPS", "Dataset", "batches", "load_dataset", "render", "training_maps"]
