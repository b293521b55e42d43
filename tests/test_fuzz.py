"""Random, damaged and hostile inputs of every kind end in an answer or a sentence; and the watch over them notices what does not."""

from __future__ import annotations

from pathlib import Path
from random import Random

import psutil
import pytest

from benchmarks.fuzz import __main__ as command
from benchmarks.fuzz.attempt import REPORT, Kind, Limits, Outcome, attempt, make_files, put_files
from benchmarks.fuzz.kinds import KINDS
from benchmarks.fuzz.pictures import START, read_picture_role, sample_pictures
from benchmarks.fuzz.posts import HASH
from benchmarks.fuzz.report import table
from benchmarks.fuzz.shaped import Known, value_of
from benchmarks.fuzz.watch import parts, run
from cnet_app.ui.calls.shapes import SHAPES
from models.errors import InputError
from tests.fuzz_toys import FLOOD, TOYS

SOME = 300
SEED = 1_000
ROOM = 1_500_000_000
"""Bytes above what the tests before these have left in memory."""


@pytest.mark.parametrize("plan", [pytest.param(plan, id=plan[0].id) for plan in parts(KINDS, SOME)])
def test_inputs_of_every_kind_are_answered_or_refused(tmp_path: Path, plan: tuple[Kind, int, int]) -> None:
    kind, first, end = plan
    limits = Limits(bytes=psutil.Process().memory_info().rss + ROOM)
    found: list[Outcome] = []
    with kind.open(tmp_path) as read:
        for number in range(first, end):
            put_files(tmp_path / "input", make_files(kind, SEED, number))
            found.append(attempt(kind, number, read, tmp_path / "input", limits))
    assert not [outcome.what for outcome in found if outcome.end == "finding"]


def test_every_way_to_fail_is_a_finding(tmp_path: Path) -> None:
    limits = Limits(seconds=2.0, bytes=FLOOD // 2)
    found = {one.kind: one for one in run(parts(TOYS, len(TOYS)), 0, tmp_path / "work", tmp_path / "out", limits)}
    assert [kind for kind, outcome in found.items() if outcome.end == "finding"] == [
        "is_silent", "fails", "logs", "fails_in_a_thread", "hangs", "crashes", "floods",
    ]  # fmt: skip
    assert (found["answers"].end, found["refuses"].end) == ("answered", "refused")
    for kind, words in (
        ("is_silent", "has no sentence"), ("fails", "KeyError"), ("logs", "In the log: It failed."), ("fails_in_a_thread", "KeyError"),
        ("hangs", "longer than 2 seconds"), ("crashes", "exit code 7"), ("floods", "It took"),
    ):  # fmt: skip
        report = (tmp_path / "out" / f"{kind}-0" / REPORT).read_text(encoding="utf-8")
        assert words in report
        assert f"--replay {tmp_path / 'out' / kind}-0" in report
        assert (tmp_path / "out" / f"{kind}-0" / "file").stat().st_size == 8
    assert table(TOYS, list(found.values())).splitlines()[-1].startswith("| All | 9 | 1 | 1 | 7 |")


def test_a_finding_is_read_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = tmp_path / "users-3"
    put_files(place, {"users.txt": b"\xff", REPORT: b""})
    assert command.main(["--replay", str(place)]) == 0
    assert "refused" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [pytest.param(kind, id=kind.id) for kind in KINDS if kind.id != "pickles"])
def test_a_seed_and_a_number_give_one_input(kind: Kind) -> None:
    files = make_files(kind, 3, 5)
    assert make_files(kind, 3, 5) == files
    assert any(make_files(kind, 3, number) != files for number in (6, 7, 8))


def test_samples_without_damage_are_read(tmp_path: Path) -> None:
    refused: list[str] = []
    for name, data in sample_pictures().items():
        put_files(tmp_path / "input", {"photo": data, START: data})
        try:
            read_picture_role(tmp_path / "input")
        except InputError:
            refused.append(name)
    assert refused == ["tiff"]


@pytest.mark.parametrize("call", SHAPES)
def test_values_of_a_shape_fit_it(call: str) -> None:
    for number in range(20):
        SHAPES[call].check("", value_of(Random(number), SHAPES[call], "", Known((HASH[:-1] + "0",), {})))
