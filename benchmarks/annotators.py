"""`python -m benchmarks.annotators`: annotators against their origins on the same weights. Writes docs/annotator_benchmarks.md."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data
from transformers.utils.logging import disable_progress_bar

from annotators.base import Image, create
from annotators.canny import Canny
from annotators.networks.loading import aux_module
from annotators.people.affinity import bodies_from_fields
from annotators.registry import annotator
from annotators.runtime import Runtime
from annotators.segmentation import SegmentationAnnotator
from annotators.sources.images import resize
from benchmarks.data.drawn_fields import draw_fields, library_bodies, standing
from benchmarks.hub_peers import HUB_PEERS, save
from benchmarks.machine import this_machine
from benchmarks.peers import LARGE_PEERS, PEERS, SETTINGS
from benchmarks.wall import Wall, time_pairs
from models.catalogue.catalog import entry

DOCUMENT = Path(__file__).parent.parent / "docs" / "annotator_benchmarks.md"
SIDE = 512
GATES = {"canny": 1.05, "hed": 0.9, "openpose": 0.5}
"""Wall time over the library's, at most; of the others 1.05: no slower but for noise."""
HEAD = """\
# Annotators against controlnet_aux and transformers

<!-- Written by `python -m benchmarks.annotators` from its own figures. -->

The same photo (scikit-image's astronaut, 512 x 512), the same random weights, both sides in one process. Medians over pairs
of runs in the order A B B A, and the median of the pairs' ratios with its bootstrap 95 % interval. `openpose` is what follows
the network: from heat maps and part affinity fields of three drawn people to their joints, on a picture of 768 x 512. Every
network has its real size. `ade20k` and `oneformer_ade20k_tiny` are compared in classes, the rest in grey levels."""


@dataclass(frozen=True)
class Arm:
    """Two ways to the same map."""

    id: str
    ours: Callable[[], NDArray[Any]]
    theirs: Callable[[], NDArray[Any]]
    origin: str = "controlnet_aux"
    unit: str = "grey levels"

    @property
    def at_most(self) -> float:
        return GATES.get(self.id, 1.05)


def create_arms(models_dir: Path, side: int = SIDE) -> Iterator[Arm]:
    """Yield the measurements one after the other, so that one network is in memory at a time; files go into `models_dir`."""
    photo = resize(np.asarray(data.astronaut()), side, side)
    options: dict[str, Any] = {"detect_resolution": side, "image_resolution": side}
    canny = aux_module("canny").CannyDetector()
    yield Arm("canny", lambda: Canny()(photo), lambda: canny(photo, **options))
    for id in (*PEERS, *LARGE_PEERS):
        yield _learned_arm(id, photo, models_dir)
    for id in HUB_PEERS:
        yield _hub_arm(id, photo, models_dir)
    people = [standing(-10, 10, 160, 4), standing(80, 40, 110, 5), standing(150, 15, 150, 6)]
    heat, fields = draw_fields(people, 184, 276)
    scale = np.array([768 / 276, 512 / 184, 1])
    yield Arm(
        "openpose",
        lambda: np.array([body * scale for body in bodies_from_fields(heat, fields, 184, 276)])[..., :2],
        lambda: np.array(library_bodies(heat, fields, np.zeros((512, 768, 3), np.uint8))[0])[..., :2],
        unit="px",
    )


def _learned_arm(id: str, photo: Image, models_dir: Path) -> Arm:
    peer, side = {**PEERS, **LARGE_PEERS}[id](), min(photo.shape[:2])
    network = peer.create()
    annotate, runtime = create(annotator(id), {"detect_resolution": side} | dict(SETTINGS.get(id, {}))), Runtime()
    for weights in annotate.weights:
        path = models_dir / weights / entry(weights).files[0].name
        path.parent.mkdir(exist_ok=True)
        torch.save(network.state_dict(), path)
    return Arm(id, lambda: annotate(photo, runtime), lambda: peer.detect(network, photo, side))


def _hub_arm(id: str, photo: Image, models_dir: Path) -> Arm:
    """Each looks at the size that its own files say, those that name classes at the picture's."""
    peer, side = HUB_PEERS[id], min(photo.shape[:2])
    network, processor = peer.create()
    names_classes = issubclass(annotator(id), SegmentationAnnotator)
    annotate, runtime = create(annotator(id), {"detect_resolution": side} if names_classes else {}), Runtime()
    save(network, processor, models_dir / annotate.weights[0])

    def ours() -> NDArray[Any]:
        if isinstance(annotate, SegmentationAnnotator):
            return annotate.detect(photo, runtime).classes
        return annotate(photo, runtime)[..., 0]

    def theirs() -> NDArray[Any]:
        return peer.detect(network, processor, photo, side)

    return Arm(id, ours, theirs, "transformers", "classes" if names_classes else "grey levels")


@dataclass(frozen=True)
class Row:
    """Figures of one arm."""

    arm: Arm
    difference: float
    """The greatest but for two pixels in a thousand, which on an edge between two levels may fall to either side."""
    wall: Wall

    @property
    def holds(self) -> bool:
        return self.wall.interval[0] <= self.arm.at_most and self.difference <= 1


def measure(arm: Arm, pairs: int) -> Row:
    """Both have run once before the clock starts."""
    ours, theirs = arm.ours().astype(float), arm.theirs().astype(float)
    if arm.unit == "px":  # of people in any order
        ours, theirs = np.sort(ours, axis=0), np.sort(theirs, axis=0)
    if not np.ptp(theirs):
        raise ValueError(f"{arm.id}: the reference says the same everywhere, so that nothing is compared.")
    return Row(arm, float(np.quantile(np.abs(ours - theirs), 0.998)), time_pairs(arm.ours, arm.theirs, pairs))


def page(rows: Sequence[Row]) -> str:
    """The document."""
    machine = this_machine()
    flags = machine.flags or "none of note"
    lines = [
        HEAD,
        "",
        f"Taken on {machine.cpu} ({flags}), {machine.cores} cores, {machine.threads} threads; {machine.versions}.",
        "",
        "| Annotator | Origin | Ours (ms) | Theirs (ms) | Ratio | 95 % | At most | Apart by | Pairs | Load | Counts |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        ours, theirs = (1000 * seconds for seconds in row.wall.median_seconds)
        low, high = row.wall.interval
        counts = f"no: {', '.join(row.wall.faults)}" if row.wall.faults else "yes"
        lines.append(
            f"| {row.arm.id} | {row.arm.origin} | {ours:.1f} | {theirs:.1f} | {row.wall.ratio:.3f} | {low:.3f} to {high:.3f} | {row.arm.at_most:.2f} "
            f"| {row.difference:.2g} {row.arm.unit} | {len(row.wall.ours)} | {row.wall.load:.1f} | {counts} |"
        )
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write; 1 where a gate does not hold."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.annotators", description=__doc__)
    parser.add_argument("--repeats", metavar="N", type=int, default=15, help="timed pairs (default: %(default)s)")
    parser.add_argument("--side", metavar="PX", type=int, default=SIDE, help="another size only prints")
    args = parser.parse_args(arguments)
    disable_progress_bar()
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        os.environ["CNET_MODELS_DIR"] = folder
        for arm in create_arms(Path(folder), args.side):
            print(f"{arm.id} …", file=sys.stderr, flush=True)
            rows.append(measure(arm, args.repeats))
    text = page(rows)
    print(text)
    if args.side == SIDE:
        DOCUMENT.write_text(text, encoding="utf-8")
    return 0 if all(row.holds for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
