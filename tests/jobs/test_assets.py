"""What a draft refers to is here under its hash, whole, bounded, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from annotators.people.poses import parse_pose
from cnet_app.jobs.library.assets import Assets
from cnet_app.request.pictures import encode_png
from models.errors import InputError, SaveError

POSE = json.dumps(
    {
        "people": [{"pose_keypoints_2d": [30.0, 30.0, 1.0] * 18}],
        "canvas_width": 64,
        "canvas_height": 64,
    }
).encode()
GONE = r"This picture is no longer here; choose it again\."


def picture(seed: int, side: int = 32) -> bytes:
    return encode_png(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.fixture
def assets(tmp_path: Path) -> Assets:
    return Assets(tmp_path / "assets", 100_000_000)


@pytest.mark.parametrize("data", [picture(0), POSE])
def test_what_is_put_is_got_by_its_hash(assets: Assets, tmp_path: Path, data: bytes) -> None:
    id = assets.put(data)
    assert id == hashlib.sha256(data).hexdigest() == assets.put(data)
    assert assets.get(id) == data
    assert Assets(tmp_path / "assets", 100_000_000).get(id) == data
    assert [path.name for path in (tmp_path / "assets").iterdir()] == [id]


def test_the_pose_of_the_test_is_one() -> None:
    assert len(parse_pose(POSE).people) == 1


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "is empty"),
        (b"hello", "is not a picture"),
        (picture(0)[:-100], "damaged or cut off"),
        (encode_png(np.zeros((4, 4, 3), np.uint8)), "each side must be at least 8"),
        (b'{"people": 3}', "The pose"),
        (b"[" * 100_000, "The pose is not JSON"),
    ],
)
def test_what_cannot_be_used_is_refused_and_leaves_nothing(
    assets: Assets, tmp_path: Path, data: bytes, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        assets.put(data)
    assert not (tmp_path / "assets").exists()


@pytest.mark.parametrize("id", ["", "0" * 64, "../secret", "0" * 63, "A" * 64, "0" * 64 + "\n", "0" * 60 + "/../"])
def test_an_id_that_is_not_here_has_its_sentence(assets: Assets, tmp_path: Path, id: str) -> None:
    (tmp_path / "secret").write_bytes(picture(1))
    assets.put(picture(0))
    with pytest.raises(InputError, match=GONE):
        assets.get(id)


def test_the_least_recently_used_go_first(tmp_path: Path) -> None:
    pictures = [picture(seed) for seed in range(4)]
    size = max(map(len, pictures))
    assets = Assets(tmp_path, 3 * size)
    first, second, third = map(assets.put, pictures[:3])
    now = time.time()
    for age, id in ((30, first), (20, second), (10, third)):
        os.utime(tmp_path / id, (now - age, now - age))
    assets.get(first)
    fourth = assets.put(pictures[3])
    with pytest.raises(InputError, match=GONE):
        assets.get(second)
    assert [assets.get(id) for id in (first, third, fourth)] == [pictures[n] for n in (0, 2, 3)]
    assets.put(pictures[2])
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 3 * size


def test_what_would_never_fit_is_refused_and_throws_nothing_out(tmp_path: Path) -> None:
    small = picture(0)
    assets = Assets(tmp_path, len(small))
    id = assets.put(small)
    with pytest.raises(InputError, match="the limit is 0.0 MB"):
        assets.put(picture(1, side=64))
    assert assets.get(id) == small


def test_a_damaged_file_is_gone_and_can_be_put_again(assets: Assets, tmp_path: Path) -> None:
    id = assets.put(picture(0))
    path = tmp_path / "assets" / id
    path.write_bytes(b"\0" * path.stat().st_size)
    with pytest.raises(InputError, match=GONE):
        assets.get(id)
    path.write_bytes(b"\0")
    assert assets.put(picture(0)) == id
    assert assets.get(id) == picture(0)


def test_a_folder_that_cannot_be_written_has_its_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SaveError, match="cannot be kept in"):
        Assets(tmp_path / "file", 10**6).put(picture(0))


@pytest.mark.slow
def test_a_kill_while_writing_leaves_no_half_file(tmp_path: Path) -> None:
    code = f"""
import os, pathlib
from cnet_app.jobs.library.assets import Assets
from tests.jobs.test_assets import picture
os.fsync = lambda _: os.kill(os.getpid(), 9)
Assets(pathlib.Path({str(tmp_path)!r}), 10**8).put(picture(0))
"""
    environment = {**os.environ, "PYTHONPATH": os.getcwd()}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    os.utime(left, (time.time() - 10, time.time() - 10))
    assets = Assets(tmp_path, 10**8)
    with pytest.raises(InputError, match=GONE):
        assets.get(hashlib.sha256(picture(0)).hexdigest())
    id = assets.put(picture(0))
    assert [path.name for path in tmp_path.iterdir()] == [id]


def test_many_threads_keep_within_the_limit(tmp_path: Path) -> None:
    pictures = [picture(seed) for seed in range(8)]
    limit = 3 * max(map(len, pictures))
    assets = Assets(tmp_path, limit)
    wrong: list[object] = []

    def work(start: int) -> None:
        for turn in range(16):
            data = pictures[(start + turn) % 8]
            try:
                if assets.get(assets.put(data)) != data:
                    wrong.append(turn)
            except InputError:
                pass  # another thread needed the room
            except SaveError as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= limit
