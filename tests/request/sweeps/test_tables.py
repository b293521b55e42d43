"""Tables of prompts: every usual way to write one is read, and errors name the line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.sweeps.tables import Row, read_caption, read_table
from cnet_app.request.units import ControlUnit
from models.errors import InputError

UNIT = ControlUnit(condition="canny", control_image=encode_png(np.zeros((64, 64, 3), np.uint8)), annotator="canny")
REQUEST = GenerationRequest(prompt="a ball", units=(UNIT,))


def read(tmp_path: Path, text: str | bytes, name: str = "prompts.csv") -> tuple[Row, ...]:
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, REQUEST)


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_a_table_is_read_with_any_delimiter(tmp_path: Path, delimiter: str, ending: str) -> None:
    lines = [
        ["file", "prompt", "seed", "unit1.conditioning_scale"],
        ["1.png", '"a red, very; ""old""|\tball"', "7", "0.5"],
        [""],
        ["2.png", "", "", ""],
        ["3.png", '"two\nlines"', "", "1"],
    ]
    text = ending.join(delimiter.join(cells) for cells in lines)
    rows = read(tmp_path, b"\xef\xbb\xbf" + text.encode())
    assert [row.file for row in rows] == ["1.png", "2.png", "3.png"]
    assert rows[0].values == {"prompt": 'a red, very; "old"|\tball', "seed": 7, "unit1.conditioning_scale": 0.5}
    assert rows[1].values == {}
    assert rows[2].values == {"prompt": "two\nlines", "unit1.conditioning_scale": 1.0}
    assert [row.line for row in rows[:2]] == [2, 4]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("prompt\na ball", "Line 1 of prompts.csv must name the columns, one of them file, but it is: 'prompt'."),
        ("file,prompt,prompt\n", "Line 1 of prompts.csv has the column 'prompt' twice"),
        ("file,promt\n", "Line 1 of prompts.csv: The request has no field 'promt' that can vary (did you mean prompt?)"),
        ("file,width\n", "Line 1 of prompts.csv has the column 'width', which cannot differ by picture"),
        ("file,unit1.annotator\n", "the column 'unit1.annotator', which cannot differ by picture"),
        ("file,seed\n1.png,7\n2.png,x", "Line 3 of prompts.csv: seed is 'x', but it must be a number"),
        ("file,seed\n1.png,7,8", "Line 2 of prompts.csv has 3 cells, but the first line has 2; quote cells with commas."),
        ("file,prompt\n\n,a ball", "Line 3 of prompts.csv names no file"),
        ('file,prompt\n1.png,"open', "of prompts.csv cannot be read"),
        ("file,prompt\n", "prompts.csv has no rows"),
        ("", "prompts.csv has no rows"),
        (b"file,prompt\n1.png,caf\xe9", "prompts.csv is not text in UTF-8"),
    ],
)  # fmt: skip
def test_errors_name_the_line(tmp_path: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read(tmp_path, text)


def test_a_table_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_table(tmp_path / "none.csv", REQUEST)


def test_a_caption_stands_beside_its_picture(tmp_path: Path) -> None:
    (tmp_path / "one.txt").write_text("\ufeffa red ball,\n on grass \n", encoding="utf-8")
    assert read_caption(tmp_path / "one.png") == "a red ball, on grass"
    assert read_caption(tmp_path / "two.png") is None
    (tmp_path / "bad.txt").write_bytes(b"\xff")
    with pytest.raises(InputError, match="bad.txt is not text in UTF-8"):
        read_caption(tmp_path / "bad.png")
