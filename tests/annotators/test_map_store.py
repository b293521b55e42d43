"""Maps on the disk: what is written is read again, by whom it belongs to and nobody else, and nothing there can do harm."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from annotators.base import Annotator, Image, create
from annotators.canny import Canny
from annotators.maps.control_map import ControlMap, make_map
from annotators.maps.segments import Segments
from annotators.openpose import OpenPose
from annotators.people.body_annotator import PoseAnnotator
from annotators.people.poses import Person
from annotators.pictures import Shuffle, Tile
from annotators.registry import annotator
from annotators.runtime import Runtime
from annotators.segmentation import SegmentationAnnotator
from annotators.softedge import HED
from cnet_app.maps.store import MapStore, map_key

KEY = "0" * 64


def _store(tmp_path: Path, max_bytes: int = 1_000_000) -> MapStore:
    return MapStore(tmp_path / "maps", max_bytes)


def _same(one: ControlMap | None, other: ControlMap) -> bool:
    assert one is not None
    assert not one.pixels.flags.writeable
    return np.array_equal(one.pixels, other.pixels) and replace(one, pixels=other.pixels, data=other.data) == other


@dataclass(frozen=True)
class _Halves(SegmentationAnnotator):
    """Return wall for dark pixels and sky for the others."""

    id = "halves"
    title = "Halves"

    def detect(self, source_image: Image, runtime: Runtime) -> Segments:
        return Segments(np.where(source_image[..., 0] < 100, 0, 2).astype(np.int16))


@dataclass(frozen=True)
class _Somebody(PoseAnnotator):
    """Always the same person."""

    id = "somebody"

    def people(self, source_image: Image, runtime: Runtime) -> list[Person]:
        joints = np.random.default_rng(4).uniform(5, 150, (18, 3))
        return [Person(body=joints, left_hand=joints[:1].repeat(21, axis=0))]


@pytest.mark.parametrize(
    "made_by", [Canny(low_threshold=50), Shuffle(seed=3), _Halves(), _Somebody(stick_width=7.0)], ids=lambda one: one.id
)
def test_a_map_comes_back_as_it_was(made_by: Annotator, tmp_path: Path, photos: dict[str, Image]) -> None:
    made = make_map(made_by, photos["coffee"])
    assert _store(tmp_path).read(KEY, made_by) is None
    _store(tmp_path).write(KEY, made)
    found = _store(tmp_path).read(KEY, made_by)
    assert _same(found, made)
    assert (found.data.to_json() if found and found.data else None) == (made.data.to_json() if made.data else None)
    if found and found.data:
        assert np.array_equal(found.data.draw(), made.pixels)


def test_warnings_come_back_too(tmp_path: Path) -> None:
    made = make_map(Canny(), np.full((64, 64, 3), 128, np.uint8))
    _store(tmp_path).write(KEY, made)
    assert _same(_store(tmp_path).read(KEY, Canny()), made) and made.warnings


def test_a_key_names_all_that_a_map_depends_on(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        map_key(Canny(), "a", 64, 64, "crop"),
        map_key(Canny(), "b", 64, 64, "crop"),
        map_key(Canny(low_threshold=50), "a", 64, 64, "crop"),
        map_key(Canny(), "a", 64, 32, "crop"),
        map_key(Canny(), "a", 64, 64, "pad"),
        map_key(Shuffle(), "a", 64, 64, "crop"),
        map_key(Shuffle(seed=1), "a", 64, 64, "crop"),
        map_key(Tile(), "a", 64, 64, "crop"),
    ]
    monkeypatch.setattr("cnet_app.maps.store._code", lambda: "another version")
    assert len({*keys, map_key(Canny(), "a", 64, 64, "crop")}) == len(keys) + 1
    assert map_key(HED(), "a") is None  # not here
    path = models_dir / "hed" / "ControlNetHED.pth"
    path.parent.mkdir(parents=True)
    seen = [map_key(HED(), "a") for _ in map(path.write_bytes, (b"some weights", b"other weights"))]
    assert None not in seen and len(set(seen)) == 2


def test_no_flipped_byte_and_no_cut_gives_another_map(tmp_path: Path) -> None:
    picture = np.add.outer(np.arange(12) * 9, np.arange(16) * 5).astype(np.uint8)[..., None].repeat(3, axis=2)
    made = make_map(Tile(), picture)
    store = _store(tmp_path)
    store.write(KEY, made)
    (path,) = (tmp_path / "maps").iterdir()
    whole = path.read_bytes()
    damaged = [whole[:place] for place in range(0, len(whole), 7)]
    damaged += [whole[:place] + bytes([whole[place] ^ 0x41]) + whole[place + 1 :] for place in range(len(whole))]
    for content in damaged:
        path.write_bytes(content)
        found = store.read(KEY, Tile())
        assert found is None or _same(found, made)
        assert path.exists() is bool(found)  # what is damaged is dropped


def test_a_file_of_another_annotator_is_not_taken(tmp_path: Path, photos: dict[str, Image]) -> None:
    store = _store(tmp_path)
    store.write(KEY, make_map(Tile(), photos["coffee"]))
    assert store.read(KEY, Canny()) is None


def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 40, 3), np.uint8)
    made = make_map(Tile(), noise)
    store = _store(tmp_path, max_bytes=30_000)
    now = time.time()
    for number in range(9):
        store.write(f"{number}", made)
        os.utime(tmp_path / "maps" / f"{number}.png", (now - 100 + number, now - 100 + number))
        assert store.read("0", Tile())
    kept = {path.name for path in (tmp_path / "maps").iterdir()}
    assert kept == {"0.png", "5.png", "6.png", "7.png", "8.png"}  # 0 was read again and again
    assert sum(path.stat().st_size for path in (tmp_path / "maps").iterdir()) <= 30_000


def test_what_another_process_left_half_written_is_swept(tmp_path: Path) -> None:
    folder = tmp_path / "maps"
    folder.mkdir()
    for name, age in (("old", 4000), ("new", 10)):
        part = folder / f".{name}.part"
        part.write_bytes(b"half")
        os.utime(part, (time.time() - age, time.time() - age))
    _store(tmp_path).write(KEY, make_map(Tile(), np.zeros((8, 8, 3), np.uint8)))
    assert {path.name for path in folder.iterdir()} == {".new.part", f"{KEY}.png"}


def test_a_folder_that_cannot_be_written_to_keeps_nothing(tmp_path: Path) -> None:
    (tmp_path / "maps").write_text("a file where the folder would be")
    store = _store(tmp_path)
    store.write(KEY, make_map(Tile(), np.zeros((8, 8, 3), np.uint8)))
    assert store.read(KEY, Tile()) is None


def test_many_write_and_read_at_once(tmp_path: Path) -> None:
    """Each has a store of its own, as a process has; the limit makes them sweep all the time."""
    maps = [make_map(Tile(), np.full((24, 24, 3), 9 * number, np.uint8)) for number in range(6)]

    def work(worker: int) -> None:
        store: MapStore = MapStore(tmp_path / "maps", 1_500)
        for step in range(30):
            number = (worker + step) % len(maps)
            store.write(f"{number}", maps[number])
            found = store.read(f"{number}", Tile())
            assert found is None or _same(found, maps[number])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert not list((tmp_path / "maps").glob(".*"))


def test_every_annotator_says_what_it_needs() -> None:
    made: Annotator = create(annotator("normal_from_depth"), {"depth": "midas"})
    assert made.needs() == ("midas",)
    assert HED().needs() == ("hed",)
    assert OpenPose(hands=True).needs() == ("openpose_body", "openpose_hand")
