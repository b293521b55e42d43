"""Scores as records, and inside of a picture: result, never request."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnet_app.request.png.chunks import with_text
from cnet_app.request.recipe import SCORES_CHUNK, read_recipe, read_request, save_picture, write_scores
from cnet_app.request.recipes.scores import UnitScore, best_of, mean_agreement, scores_from_json
from models.downloads import whole
from models.errors import InputError, SaveError
from tests.request.recipes.test_recipe import PICTURE, REQUEST
from tests.source import ROOT

CANNY = UnitScore(condition="canny", measure="edge_f1", value=0.87, agreement=0.87, words="followed the edges: 87 %", annotator="canny")  # fmt: skip
DEPTH = UnitScore(condition="depth", measure="rmse", value=0.1, agreement=0.65, words="größer", more={"pearson": 0.9})
NONE = UnitScore(condition="shuffle", reason="Shuffle leaves places free, so there is nothing to compare.")


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return save_picture(tmp_path, PICTURE, REQUEST, 0, {"device": "cpu"})


def test_scores_go_to_json_and_back() -> None:
    scores = (CANNY, DEPTH, NONE)
    assert scores_from_json([one.to_json() for one in scores]) == scores
    assert hash(DEPTH) == hash(scores_from_json([DEPTH.to_json()])[0])


@pytest.mark.parametrize(
    "values",
    [None, {}, [1], [{"condition": 3}], [{"value": 0.5}], [{"condition": "canny", "more": [1]}],
     [{"condition": "canny", "value": "high"}], [{"condition": "canny", "value": float("nan")}], [{"condition": "canny", "new": 1}]],
)  # fmt: skip
def test_what_is_no_score_is_refused(values: Any) -> None:
    with pytest.raises(InputError):
        scores_from_json(values)


def test_pictures_are_ordered_by_their_mean_agreement() -> None:
    assert mean_agreement((CANNY, DEPTH, NONE)) == pytest.approx(0.76)
    assert mean_agreement((NONE,)) is mean_agreement(()) is None
    pictures = {"a": (NONE,), "b": (DEPTH,), "c": (CANNY, NONE), "d": (CANNY,), "e": (CANNY, DEPTH)}
    assert best_of(pictures) == ("c", "d", "e", "b", "a")
    assert best_of({}) == ()


def test_scores_are_written_into_a_picture_and_change_nothing_else(saved: Path) -> None:
    os.utime(saved, ns=(10**18, 10**18))
    before = saved.read_bytes()
    with Image.open(saved) as picture:
        texts = dict(picture.info)
    write_scores(saved, (CANNY, DEPTH))
    found = read_recipe(saved)
    assert found.scores == (CANNY, DEPTH)
    assert found.request == REQUEST.only_picture(0)
    assert dict(found.made) == {"device": "cpu"}
    with Image.open(saved) as picture:
        assert {name: text for name, text in picture.info.items() if name != SCORES_CHUNK} == texts
        np.testing.assert_array_equal(np.asarray(picture), PICTURE)
    assert saved.stat().st_mtime_ns == 10**18
    after = saved.read_bytes()
    kept = after[: after.index(b"tEXt" + SCORES_CHUNK.encode()) - 4] + after[after.index(b"IDAT") - 4 :]
    assert kept == before


def test_new_scores_take_the_place_of_earlier_ones(saved: Path) -> None:
    write_scores(saved, (CANNY, DEPTH))
    once = saved.read_bytes()
    write_scores(saved, (DEPTH, CANNY))
    write_scores(saved, (CANNY, DEPTH))
    assert saved.read_bytes() == once
    assert list(saved.parent.iterdir()) == [saved]


@pytest.mark.parametrize("text", ["[", "{}", '[{"condition": 1}]', "[" * 100_000, '[{"condition": "canny"}]'])
def test_damaged_scores_and_those_of_other_units_are_none(saved: Path, text: str) -> None:
    saved.write_bytes(with_text(saved.read_bytes(), SCORES_CHUNK, text))
    assert read_recipe(saved).scores == ()
    assert read_request(saved) == REQUEST.only_picture(0)


def test_a_picture_without_scores_has_none(saved: Path) -> None:
    assert read_recipe(saved).scores == ()


@pytest.mark.parametrize("part", [b"", b"no picture", b"half"])
def test_a_damaged_file_stays_as_it_is(saved: Path, part: bytes) -> None:
    content = saved.read_bytes()[:400] if part == b"half" else part
    saved.write_bytes(content)
    with pytest.raises(InputError, match="not a PNG, or it is cut off"):
        write_scores(saved, (CANNY,))
    assert saved.read_bytes() == content
    with pytest.raises(InputError, match="There is no file"):
        write_scores(saved.with_name("gone.png"), (CANNY,))


def test_a_full_disk_leaves_the_picture(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = saved.read_bytes()

    def full(path: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(whole, "flush", full)
    with pytest.raises(SaveError, match="No space left on device"):
        write_scores(saved, (CANNY,))
    assert saved.read_bytes() == before
    assert list(saved.parent.iterdir()) == [saved]


KILLED = """
import os, signal, sys
from pathlib import Path
from cnet_app.request import recipe
from cnet_app.request.recipes.scores import UnitScore
from models.downloads import whole
whole.flush = lambda path: os.kill(os.getpid(), signal.SIGKILL)
recipe.write_scores(Path(sys.argv[1]), (UnitScore(condition="canny"),))
"""


def test_a_killed_write_leaves_the_picture(saved: Path) -> None:
    before = saved.read_bytes()
    done = subprocess.run([sys.executable, "-c", KILLED, str(saved)], cwd=ROOT, check=False)
    assert done.returncode == -signal.SIGKILL
    assert saved.read_bytes() == before


@pytest.mark.parametrize("number", [10**400, float("nan"), float("inf"), True, "1"])
def test_a_score_that_is_no_number_is_refused(number: object) -> None:
    for field in ("value", "agreement"):
        with pytest.raises(InputError, match="field of a wrong type"):
            scores_from_json([{"condition": "canny", "measure": "edge_f1", field: number}])
