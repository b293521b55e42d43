"""Folders that may not be written to, or are removed while the app runs: a sentence or a new folder, and no traceback."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from annotators.runtime import Runtime
from cnet_app.jobs.library.assets import Assets
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.maps.store import MapStore
from cnet_app.request.pictures import encode_png
from cnet_app.settings import Settings
from cnet_app.ui.files import kept_secret
from cnet_app.ui.protection.users import read_file
from models.downloads.ledger import read_ledger, write_ledger
from models.errors import InputError, SaveError, WeightsError
from tests.faults.conftest import IS_POSIX, Disk, sentence
from tests.jobs.fake_engine import FakeEngine, request
from tests.jobs.test_runner import finish
from tests.ui.conftest import create_caller

posix = pytest.mark.skipif(not IS_POSIX, reason="Windows removes no folder that is in use")
PHOTO = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)


@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun before"])
def test_a_folder_of_pictures_that_cannot_be_written_to_is_refused_at_the_start(disk: Disk, begun: bool) -> None:
    settings = Settings(output_dir=disk.folder / "pictures")
    if begun:
        Runner(settings, FakeEngine()).close()
    disk.close()
    with pytest.raises(SaveError) as caught:
        Runner(settings, FakeEngine())
    assert "choose another" in sentence(caught.value)
    disk.open()
    Runner(settings, FakeEngine()).close()


def test_a_damaged_history_in_a_folder_that_cannot_be_written_to_is_refused_in_a_sentence(disk: Disk) -> None:
    (disk.folder / HISTORY).write_bytes(b"no database" * 1000)
    disk.close()
    with pytest.raises(SaveError) as caught:
        Runner(Settings(output_dir=disk.folder), FakeEngine())
    assert "choose another" in sentence(caught.value)


def test_maps_uploads_and_secrets_do_without_a_cache_or_name_it(disk: Disk) -> None:
    disk.close()
    store = MapStore(disk.folder / "maps", 10**8)
    assert Maps(run_here(Runtime()), store).annotate("canny", "canny", PHOTO, width=64, height=64).pixels.any()
    assert len(kept_secret(disk.folder / "cache" / "references.key")) == 32
    with pytest.raises(SaveError) as caught:
        Assets(disk.folder / "pictures", 10**8).put(encode_png(PHOTO))
    assert "cannot be kept" in sentence(caught.value)


def test_a_folder_of_models_that_cannot_be_written_to_is_named(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(disk.folder / "models"))
    disk.close()
    assert read_ledger("models.json") == {}
    with pytest.raises(WeightsError) as caught:
        write_ledger("models.json", {"one": 1})
    assert "CNET_MODELS_DIR" in sentence(caught.value)


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine())
    yield runner
    runner.close()


@posix
def test_a_folder_of_pictures_that_is_removed_is_made_again_and_the_library_answers(
    runner: Runner, tmp_path: Path
) -> None:
    finish(runner, runner.submit(request("a cat"), "me"))
    assert runner.library.search().total == 1
    shutil.rmtree(tmp_path / "pictures")
    assert runner.library.search().total == 0
    assert runner.history() == []
    end = finish(runner, runner.submit(request("a dog"), "me"))
    assert end.status == "done" and Path(end.paths[0]).is_file()
    assert [picture.prompt for picture in runner.library.search().pictures] == ["a dog"]
    runner.close()
    again = Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine())
    assert [record.prompt for record in again.history()] == ["a dog"]
    again.close()


@posix
def test_a_job_whose_folder_is_removed_meanwhile_makes_it_again(runner: Runner, tmp_path: Path) -> None:
    engine = runner._engine
    assert isinstance(engine, FakeEngine)
    engine.gate.clear()
    id = runner.submit(request("a cat", num_images=2), "me")
    assert engine.entered.wait(10)
    shutil.rmtree(tmp_path / "pictures")
    engine.gate.set()
    end = finish(runner, id)
    assert end.status == "done" and all(Path(path).is_file() for path in end.paths)
    assert len(runner.library.search().pictures) == 2


@posix
def test_what_a_page_needs_of_a_removed_folder_has_its_sentence(tmp_path: Path) -> None:
    for caller in create_caller(tmp_path):
        runner = caller.context.runner
        photo = caller.put(PHOTO)
        finish(runner, runner.submit(request("a cat"), "me"))
        (picture,) = runner.library.search().pictures
        shutil.rmtree(tmp_path / "pictures")
        shutil.rmtree(tmp_path / "cache")
        for name in ("details", "restore", "zip"):
            refused = caller(name, **({"id": picture.id} if name == "details" else {"ids": [picture.id]}))
            assert sentence(InputError(refused["error"]))
            assert "Something went wrong" not in refused["error"]
        lost = caller("generate", draft={"frame": {"width": 64, "height": 64, "fit": "crop"}, "layers": [
            {"condition": "canny", "source": "own", "picture": photo}]})  # fmt: skip
        assert "no longer here; choose it again" in lost["error"]
        assert caller.put(PHOTO)["sha256"] == photo["sha256"]
        assert caller("library")["total"] == 0


@posix
def test_a_sweep_whose_folder_is_removed_ends_in_a_sentence(tmp_path: Path) -> None:
    from tests.jobs.test_sweeps import bench_in

    bench = bench_in(tmp_path / "pictures")
    bench.engine.gate.clear()
    id = bench.sweeps.start(bench.grid("seed: 3, 4"), "me")
    assert bench.engine.entered.wait(10)
    shutil.rmtree(tmp_path / "pictures")
    bench.engine.gate.set()
    state = bench.finish(id)
    assert state.status == "failed"
    assert sentence(SaveError(state.error))
    assert "Something went wrong" not in state.error
    assert finish(bench.runner, bench.runner.submit(request("next"), "me")).status == "done"
    bench.close()


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00", b"name", b"name:scrypt$0$0", b"# nobody\n"])
def test_a_users_file_that_lets_nobody_in_is_refused_in_a_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "users"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_file(path)
    sentence(caught.value)


@pytest.mark.parametrize("name", ["missing", "folder"])
def test_a_users_file_that_is_none_is_refused_in_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError) as caught:
        read_file(tmp_path / name)
    sentence(caught.value)
