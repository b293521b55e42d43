"""The commands `evaluate` and `train`: a wrong or useless option is refused in one sentence, before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnet_app.cli import main
from cnet_app.embedded.options import check_folder, check_names, check_positive, check_whole, refuse_unused
from models.errors import InputError

CASES = {
    "evaluate embedded --condition cany": "--condition is 'cany'; did you mean canny? choose from: canny, softedge, ",
    "evaluate embedded --condition shuffle": "--condition is 'shuffle'; choose from: canny, ",
    "evaluate embedded --count 0": "--count is 0, but it must be from 1 to 100000.",
    "evaluate annotators --count -3": "--count is -3, but it must be from 1 to 100000.",
    "evaluate embedded --steps 0": "--steps is 0, but it must be from 1 to 1000.",
    "evaluate embedded --workers 0": "--workers is 0, but it must be from 1 to 256.",
    "evaluate annotators --condition depth": "--condition has no effect on 'evaluate annotators'; leave it out.",
    "evaluate annotators --steps 5 --workers 1": "--steps, --workers have no effect on 'evaluate annotators'; leave",
    "evaluate embedded --sheets out --count 5 --json": "--count, --json have no effect with --sheets; leave them out.",
    "evaluate annotators --sheets out": "--sheets has no effect on 'evaluate annotators'; leave it out.",
}


@pytest.mark.parametrize(("words", "message"), CASES.items(), ids=CASES)
def test_wrong_options_are_refused(
    words: str, message: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_names_are_kept_once_in_their_order() -> None:
    assert check_names("--stage", ["base", "pictures", "base"], ("pictures", "base")) == ("base", "pictures")
    with pytest.raises(InputError, match=r"^--stage is 'bose'; did you mean base\? choose from: pictures, "):
        check_names("--stage", ["pictures", "bose"], ("pictures", "base"))


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_only_finite_numbers_above_nought_are_positive(value: float) -> None:
    with pytest.raises(InputError) as caught:
        check_positive("--minutes", value)
    assert str(caught.value) == f"--minutes is {value:g}, but it must be a number above 0."
    assert check_positive("--minutes", None) is None
    assert check_positive("--minutes", 1e-9) == 1e-9


def test_whole_numbers_are_allowed_up_to_both_ends() -> None:
    assert [check_whole("--count", value, 9) for value in (1, 9)] == [1, 9]
    for value in (0, 10):
        with pytest.raises(InputError, match=f"--count is {value}, but it must be from 1 to 9"):
            check_whole("--count", value, 9)


def test_a_folder_below_a_file_is_refused_and_a_new_one_is_not_created(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "below" / "it"):
        with pytest.raises(InputError) as caught:
            check_folder("--work", path)
        assert str(caught.value) == f"--work is {path}, but {tmp_path / 'file'} is a file; choose a folder."
    assert check_folder("--work", tmp_path / "new" / "one") == tmp_path / "new" / "one"
    assert not (tmp_path / "new").exists()


def test_flags_without_effect_are_listed_in_one_sentence() -> None:
    refuse_unused([], "here")
    with pytest.raises(InputError, match=r"^--count has no effect here; leave it out\.$"):
        refuse_unused(["--count"], "here")
    with pytest.raises(InputError, match=r"^--count, --json have no effect here; leave them out\.$"):
        refuse_unused(["--count", "--json"], "here")
