"""A disk that is full: one sentence, nothing finished is lost, nothing half-written stays, and with room it goes on."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators.base import create
from annotators.maps.control_map import make_map
from annotators.registry import annotator
from annotators.runtime import Runtime
from cnet_app.cli.terminal.output import write_json, write_png
from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.library.library import Made
from cnet_app.jobs.library.search import Query
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.state import JobState
from cnet_app.jobs.sweeps.batches import BatchPlan, BatchWork, create_batch
from cnet_app.jobs.sweeps.grids import create_grid
from cnet_app.jobs.sweeps.manifest import FOLDERS, read_manifest
from cnet_app.jobs.sweeps.sweeps import run_sweep
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.maps.store import MapStore
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_request, save_picture, write_scores
from cnet_app.request.recipes.scores import UnitScore
from cnet_app.request.sweeps.grids import grid_requests, parse_axis
from cnet_app.settings import Settings
from models.errors import SaveError
from tests.faults.conftest import Disk, sentence
from tests.jobs.fake_engine import FakeEngine, fake_picture, request
from tests.jobs.test_runner import finish
from tests.ui.conftest import Caller, create_caller

SIDE = 320


def noise(seed: int = 0, side: int = SIDE) -> Any:
    """A picture that no format makes small: about 300 kB."""
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8)


@pytest.fixture
def runner(disk: Disk) -> Iterator[Runner]:
    runner = Runner(Settings(output_dir=disk.folder / "pictures"), FakeEngine())
    yield runner
    runner.close()


def pictures(runner: Runner) -> list[Path]:
    found = [picture.path for picture in runner.library.search().pictures]
    assert all(read_request(path) for path in found)
    return found


def make(runner: Runner, prompt: str = "a cat", **values: Any) -> JobState:
    return finish(runner, runner.submit(request(prompt, **values), "me"))


def test_a_job_that_finds_no_room_at_all_is_not_begun_and_later_ones_work(runner: Runner, disk: Disk) -> None:
    kept = make(runner).paths
    disk.fill()
    with pytest.raises(SaveError) as caught:
        runner.submit(request("a dog"), "me")
    assert "full" in sentence(caught.value) and "make room" in str(caught.value)
    assert runner.active() == []
    assert [str(path) for path in pictures(runner)] == list(kept)  # the library answers
    disk.make_room()
    assert make(runner).status == "done"
    assert len(pictures(runner)) == 2 == len(disk.files())


def test_a_picture_without_room_ends_its_job_in_a_sentence_and_continue_makes_it(runner: Runner, disk: Disk) -> None:
    engine = runner._engine
    assert isinstance(engine, FakeEngine)
    engine.gate.clear()
    wide: dict[str, Any] = {"width": 512, "height": 512, "num_images": 2, "units": ()}
    id = runner.submit(request(**wide), "me")
    assert engine.entered.wait(10)
    disk.fill()
    engine.gate.set()
    end = finish(runner, id)
    assert end.status == "failed" and end.paths == ()
    assert "No space left" in end.error or "full" in end.error
    assert disk.files() == set()
    disk.make_room()
    again = finish(runner, runner.resume(id, "me"))
    assert again.status == "done" and len(again.paths) == 2
    assert len(pictures(runner)) == 2
    statuses = {record.id: record.status for record in runner.history()}
    assert statuses == {id: "failed", again.id: "done"}  # what could not be written was written later


def test_a_picture_that_is_saved_as_the_history_finds_no_room_comes_into_the_library_with_room(
    runner: Runner, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cnet_app.jobs import runner as module

    def save_and_fill(*arguments: Any) -> Path:
        path = save_picture(*arguments)
        disk.fill()
        return path

    with monkeypatch.context() as patch:
        patch.setattr(module, "save_picture", save_and_fill)
        end = make(runner, num_images=2)
    assert end.status == "failed" and len(end.paths) == 1
    disk.make_room()
    assert make(runner, "a dog").status == "done"
    (mine,) = [picture for picture in runner.library.search().pictures if picture.job == end.id]
    assert (str(mine.path), mine.session) == (end.paths[0], "me")


def test_a_score_without_room_leaves_the_picture_as_it_was(disk: Disk) -> None:
    wanted = request()
    path = save_picture(disk.folder, fake_picture(wanted, 3), wanted, 0)
    before = path.read_bytes()
    disk.fill()
    with pytest.raises(SaveError) as caught:
        write_scores(path, (UnitScore(condition="canny", reason="x" * 5000),))
    sentence(caught.value)
    assert path.read_bytes() == before
    assert disk.files() == {path.name}


@pytest.fixture
def caller(disk: Disk) -> Iterator[Caller]:
    yield from create_caller(disk.folder)


def test_an_upload_without_room_is_refused_and_those_before_it_stay(caller: Caller, disk: Disk) -> None:
    first = caller.put(noise())
    path = disk.folder / "uploads" / "second.png"
    path.write_bytes(encode_png(noise(1)))
    disk.fill()
    before = disk.files()
    refused = caller("put", path=str(path))
    assert "cannot be kept" in refused["error"] and "make room" in refused["error"]
    assert disk.files() == before
    assert caller.context.assets.get(first["sha256"])
    disk.make_room()
    assert "sha256" in caller("put", path=str(path))


def test_an_asset_without_room_leaves_no_half_file(disk: Disk) -> None:
    assets = Assets(disk.folder / "assets", 10**8)
    disk.fill(leave=100_000)
    with pytest.raises(SaveError) as caught:
        assets.put(encode_png(noise()))
    sentence(caught.value)
    assert disk.files() == set()


def test_a_map_without_room_is_made_all_the_same(disk: Disk) -> None:
    store = MapStore(disk.folder / "maps", 10**8)
    maps = Maps(run_here(Runtime()), store)
    disk.fill(leave=4096)
    made = maps.annotate("canny", "canny", noise(), width=SIDE, height=SIDE)
    assert made.pixels.any()
    assert disk.files() == set()
    disk.make_room()
    store.write("a" * 64, made)
    assert store.read("a" * 64, create(annotator("canny"))) is not None


def test_the_library_shows_the_picture_where_a_thumbnail_finds_no_room(caller: Caller, disk: Disk) -> None:
    runner = caller.context.runner
    make(runner)
    (picture,) = runner.library.search().pictures
    disk.fill()
    before = disk.files()
    assert caller("thumbnails", ids=[picture.id]) == {"paths": {picture.id: str(picture.path)}}
    assert disk.files() == before
    disk.make_room()
    assert caller("thumbnails", ids=[picture.id])["paths"][picture.id].endswith(".webp")


def test_a_zip_without_room_is_not_there(disk: Disk, tmp_path: Path) -> None:
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine())
    id = make(runner).id
    path = save_picture(tmp_path / "pictures", noise(side=64), request(), 0)
    runner.library.add(Made(job=id, session="me", kind="generation", request=request(), paths=("", str(path))))
    ids = [picture.id for picture in runner.library.search().pictures]
    disk.fill(leave=8192)
    with pytest.raises(SaveError) as caught:
        runner.library.zip_to(ids, disk.folder / "pictures.zip")
    assert "make room" in sentence(caught.value)
    assert disk.files() == set()
    disk.make_room()
    runner.library.zip_to(ids, disk.folder / "pictures.zip")
    assert len(zipfile.ZipFile(disk.folder / "pictures.zip").namelist()) == 4
    runner.close()


def test_the_pages_zip_without_room_is_a_sentence(caller: Caller, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    make(caller.context.runner)
    ids = [picture.id for picture in caller.context.runner.library.search().pictures]
    monkeypatch.setattr("tempfile.tempdir", str(disk.folder))
    disk.fill()
    before = disk.files()
    refused = caller("zip", ids=ids)
    assert "make room" in refused["error"]
    assert disk.files() == before


def test_the_trash_can_be_emptied_to_make_room(runner: Runner, disk: Disk) -> None:
    path = save_picture(disk.folder / "pictures", noise(), request(), 0)
    id = runner.library.add(Made(job="one", session="me", kind="generation", request=request(), paths=(str(path),)))
    runner.library.delete([id])
    disk.fill()
    assert runner.library.empty_trash() == 1
    assert disk.files() == set()
    assert runner.library.search(Query(deleted=True)).total == 0


def test_a_sweep_that_cannot_be_begun_leaves_no_folder(disk: Disk, tmp_path: Path) -> None:
    wanted = request("a red ball")
    axes = [parse_axis("seed: 3, 4", wanted)]
    disk.fill()
    with pytest.raises(SaveError) as caught:
        create_grid(disk.folder, "grid", wanted, axes, grid_requests(wanted, axes))
    sentence(caught.value)
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(noise()))
    with pytest.raises(SaveError) as caught:
        create_batch(disk.folder, "batch", BatchPlan(recipe=wanted, keep=True), [photo])
    sentence(caught.value)
    assert [path for kind in FOLDERS.values() for path in (disk.folder / kind).glob("*")] == []


def test_a_sweep_keeps_what_it_made_and_goes_on_with_room(disk: Disk, tmp_path: Path) -> None:
    wanted = request("a red ball")
    axes = [parse_axis("seed: 3, 4, 5", wanted)]
    manifest = create_grid(disk.folder, "grid", wanted, axes, grid_requests(wanted, axes))
    from cnet_app.jobs.sweeps.grids import GridWork

    def save(own: Any) -> Path:
        if own.seed == 4 and len(list(tmp_path.glob("*.png"))) == 1:
            disk.fill()
        return save_picture(tmp_path, fake_picture(own, 3), own, 0)

    with pytest.raises(SaveError) as caught:
        run_sweep(manifest, GridWork(manifest, annotate_again(Maps(run_here(Runtime())))), save)
    sentence(caught.value)
    disk.make_room()
    again = run_sweep(
        read_manifest(manifest.folder), GridWork(manifest, annotate_again(Maps(run_here(Runtime())))), save
    )
    assert again.missing() == []
    assert not [name for name in disk.files() if name.endswith(".part")]


def test_a_batch_copies_a_picture_whole_or_not_at_all(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo = tmp_path / "photo.png"
    photo.write_bytes(encode_png(noise()))
    manifest = create_batch(disk.folder, "batch", BatchPlan(recipe=request()), [photo])
    work = BatchWork(manifest, Maps(run_here(Runtime())))
    disk.fill(leave=8192)
    with pytest.raises(SaveError) as caught:
        work.keep(manifest, 0, photo)  # another disk: no link
    sentence(caught.value)
    assert not [name for name in disk.files() if name.endswith((".part", "photo.png"))]


def test_a_command_writes_its_file_whole_or_keeps_the_old_one(disk: Disk) -> None:
    path = disk.folder / "map.png"
    write_png(path, noise(0, 64))
    before = path.read_bytes()
    disk.fill(leave=4096)
    with pytest.raises(SaveError) as caught:
        write_png(path, noise(1))
    sentence(caught.value)
    with pytest.raises(SaveError) as caught:
        write_json(path, {"text": "x" * 100_000})
    sentence(caught.value)
    assert path.read_bytes() == before
    assert disk.files() == {path.name}


def test_a_command_writes_to_a_device() -> None:
    write_json(Path("/dev/null"), {"text": "x"})
    assert Path("/dev/null").is_char_device()
    with pytest.raises(SaveError, match="No space left"):
        write_json(Path("/dev/full"), {"text": "x"})


def test_the_annotators_command_writes_its_map_whole_or_not_at_all(
    disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from annotators.__main__ import main

    photo = tmp_path / "photo.png"
    Image.fromarray(noise()).save(photo)
    disk.fill()
    assert main(["canny", str(photo), str(disk.folder / "map.png")]) == 2
    assert "cannot be written (No space left on device)" in capsys.readouterr().err
    assert disk.files() == set()


def test_an_app_on_a_full_disk_does_not_start_and_says_so(disk: Disk) -> None:
    Runner(Settings(output_dir=disk.folder), FakeEngine()).close()
    disk.fill()
    with pytest.raises(SaveError) as caught:
        Runner(Settings(output_dir=disk.folder), FakeEngine())
    assert "make room" in sentence(caught.value)
    disk.make_room()
    Runner(Settings(output_dir=disk.folder), FakeEngine()).close()


def test_a_map_of_the_test_is_as_large_as_it_must_be() -> None:
    assert len(encode_png(noise())) > 200_000
    assert make_map(create(annotator("canny")), noise()).pixels.any()
