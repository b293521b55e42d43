"""What `python -m benchmarks.crashes` counts after its kills, on folders whose losses are known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from benchmarks import crashes
from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.request.recipe import save_picture
from cnet_app.settings import Settings
from tests.jobs.fake_engine import FakeEngine, fake_picture, request
from tests.jobs.test_runner import finish


@pytest.fixture
def result(tmp_path: Path) -> crashes.Result:
    """Of two pictures of a job, and one that was saved as the app was killed."""
    runner = Runner(Settings(output_dir=tmp_path), FakeEngine())
    end = finish(runner, runner.submit(request(num_images=2), "me"))
    runner.close()
    save_picture(tmp_path, fake_picture(request(), 3), request(), 0)
    return counted(tmp_path, end.paths)


def counted(folder: Path, shown: tuple[str, ...] = ()) -> crashes.Result:
    return crashes._result("App killed", folder, 1, {"done": 1}, shown, 0, 0)


def test_a_folder_without_losses_holds(result: crashes.Result) -> None:
    assert result.holds
    assert (result.shown, result.lost, result.missed, result.damaged, result.leftovers) == (2, 0, 0, (), ())


def test_every_loss_is_counted(result: crashes.Result, tmp_path: Path) -> None:
    first, second, _ = sorted(tmp_path.glob("*.png"))
    first.write_bytes(first.read_bytes()[:-200])
    (tmp_path / "half.png.part").touch()
    worse = counted(tmp_path, (str(first), str(tmp_path / "gone.png")))
    assert not worse.holds
    assert (worse.lost, worse.damaged, worse.leftovers) == (2, (first.name,), ("half.png.part",))
    second.rename(tmp_path / "other.png")
    history = tmp_path / HISTORY
    history.write_bytes(history.read_bytes()[:4096] + bytes(history.stat().st_size - 4096))
    assert HISTORY in crashes._damaged(tmp_path)


@pytest.mark.parametrize("field", ["lost", "missed", "orphans", "zombies"])
def test_any_loss_is_told_by_the_exit_code(result: crashes.Result, field: str) -> None:
    assert not dataclasses.replace(result, **{field: 1}).holds
    assert not dataclasses.replace(result, damaged=("a.png",)).holds
