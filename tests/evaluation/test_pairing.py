"""Pictures beside their control images, by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnet_app.evaluation.pairing import Method, pair, parse_methods, read_prompts
from models.errors import InputError
from tests.evaluation.conftest import BLACK, Folders, write


def test_pictures_pair_by_name_and_the_rest_is_listed(folders: Folders) -> None:
    extra, alone = folders.good / "other.png", folders.controls / "alone.png"
    for path in (extra, alone):
        path.write_bytes((folders.controls / "0000.png").read_bytes())
    (folders.bad / "0003.png").unlink()
    (folders.controls / "0001.json").write_text("{}")
    found = pair(folders.controls, [Method("a", folders.good), Method("b", folders.bad)], {"0002": "a hill"})
    assert [item.name for item in found.items] == [f"{number:04d}" for number in range(6)]
    assert set(found.items[3].pictures) == {"a"}
    assert (found.items[1].data, found.items[0].data) == (folders.controls / "0001.json", None)
    assert [item.prompt for item in found.items[:3]] == ["", "", "a hill"]
    assert set(found.unpaired) == {str(extra), str(alone)}


def test_several_pictures_of_a_control_image_lie_in_folders(folders: Folders) -> None:
    write(folders.good / "group_1" / "0000.png", BLACK)
    (folders.good / ".hidden").mkdir()
    (folders.good / ".hidden" / "0000.png").write_bytes(b"")
    found = pair(folders.controls, [Method("a", folders.good)], {})
    assert found.items[0].pictures["a"] == (folders.good / "0000.png", folders.good / "group_1" / "0000.png")


def test_folders_are_named_or_name_themselves(folders: Folders) -> None:
    found = parse_methods([str(folders.good), f"theirs={folders.bad}"])
    assert found == (Method("good", folders.good), Method("theirs", folders.bad))


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ([], "--images is missing"),
        (["nowhere"], "there is no folder nowhere; give one, or NAME=DIR"),
        (["a=.", "a=.."], "Two --images are named 'a'; name each of them"),
        (["=."], "which has no name; write NAME=DIR"),
    ],
)
def test_wrong_folders_are_refused(texts: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_methods(texts)


def test_nothing_that_pairs_is_refused_and_so_are_two_of_one_name(folders: Folders, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        pair(tmp_path / "none", [], {})
    write(tmp_path / "strange" / "x.png", BLACK)
    with pytest.raises(InputError, match=r"No picture of .*strange has the name of a control image"):
        pair(folders.controls, [Method("a", tmp_path / "strange")], {})
    write(folders.controls / "sub" / "0000.png", BLACK)
    with pytest.raises(InputError, match=r"0000\.png and .*0000\.png have one name"):
        pair(folders.controls, [Method("a", folders.good)], {})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.json", '{"0001.png": "a hill"}'),
        ("p.jsonl", '{"file_name": "images/0001.png", "text": "a hill"}\n\n'),
        ("p.csv", "image,prompt\n0001.jpg,a hill\n"),
        ("p.tsv", "name\tcaption\n0001\ta hill\n"),
    ],
)
def test_prompts_are_read_in_every_form(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert read_prompts(tmp_path / name) == {"0001": "a hill"}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.json", "[]", "line 1 is no JSON object"),
        ("p.json", '{"a": 1}', "must be an object of names and prompts"),
        ("p.jsonl", '{"name": "a", "text": "b"}\n{', "line 2 is not JSON"),
        ("p.jsonl", '{"name": "a"}', "line 1 has no prompt; it needs one of name,"),
        ("p.csv", "file,other\na,b\n", "line 2 has no prompt"),
        ("p.txt", "a", r"must be a \.json, \.jsonl, \.csv or \.tsv file"),
        ("none.json", None, "cannot be read as text"),
    ],
)
def test_prompts_that_cannot_be_read_are_refused_with_their_line(
    name: str, text: str | None, message: str, tmp_path: Path
) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_prompts(tmp_path / name)
