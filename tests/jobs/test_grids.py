"""A grid as one picture and as one page: labels, bounds, escapes, and nothing that is loaded from elsewhere."""

from __future__ import annotations

import base64
import html.parser
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from annotators.sources.images import load_image
from cnet_app.jobs.sweeps.grid_page import MAX_PIXELS, MIN_SIDE, grid_page, page_side
from cnet_app.jobs.sweeps.grid_picture import (
    ABSENT,
    FONT_SIZE,
    GAP,
    HEAD,
    LINE,
    MAX_SIDE,
    draw_grid,
    shorten,
    side_label,
)
from cnet_app.jobs.sweeps.grid_table import GridCell, GridTable

pytestmark = pytest.mark.slow


def colour(*place: int) -> tuple[int, int, int]:
    return tuple(40 + 60 * (number % 4) for number in (*place, 0, 0)[:3])  # pyright: ignore[reportReturnType]


def table(folder: Path, *sizes: int, size: tuple[int, int] = (64, 48), absent: tuple[int, ...] = ()) -> GridTable:
    """A grid of one colour a cell; the cell at `absent` has an error instead."""
    cells: dict[tuple[int, ...], GridCell] = {}
    for place in np.ndindex(*sizes):
        path = folder / f"{'-'.join(map(str, place))}.png"
        Image.new("RGB", size, colour(*place)).save(path)
        cells[place] = GridCell(None, "No <memory>.") if place == absent else GridCell(path)
    names = ("guidance_scale", "prompt, red becomes", "seed")[: len(sizes)]
    axes = tuple(
        (name, tuple(f"<{number}>" for number in range(count))) for name, count in zip(names, sizes, strict=True)
    )
    return GridTable('A "grid" & <more>', "2026-01-02 03:04", "a <red> ball\nSteps: 3", axes, cells)


def test_each_picture_is_in_its_cell(tmp_path: Path) -> None:
    grid = table(tmp_path, 3, 2, 2, absent=(1, 0, 0))
    data, note = draw_grid(grid)
    label = side_label(grid, ImageFont.load_default(FONT_SIZE))
    pixels = load_image(data)
    sheet = 2 * LINE + 2 * (48 + GAP) + GAP
    assert note == ""
    assert pixels.shape == (HEAD + 2 * sheet, label + 3 * (64 + GAP) + GAP, 3)
    for x, y, z in np.ndindex(3, 2, 2):
        left, top = label + GAP + x * (64 + GAP), HEAD + z * sheet + 2 * LINE + y * (48 + GAP)
        expected = ABSENT if (x, y, z) == (1, 0, 0) else colour(x, y, z)
        assert tuple(pixels[top + 44, left + 60]) == expected


def test_a_score_is_the_second_line_of_a_cell(tmp_path: Path) -> None:
    plain = table(tmp_path, 2, 2)
    scored = replace(plain, cells={**plain.cells, (1, 0): replace(plain.cells[1, 0], score="followed: 87 %")})
    before, after = (load_image(draw_grid(one)[0]) for one in (plain, scored))
    assert after.shape[0] == before.shape[0] + 2 * LINE
    below = slice(HEAD + LINE + 48, HEAD + LINE + 48 + LINE)
    label = side_label(plain, ImageFont.load_default(FONT_SIZE))
    line = after[below, label + GAP : label + GAP + 2 * (64 + GAP)] < 128
    assert line[:, 64 + GAP :].any() and not line[:, :64].any()
    assert grid_page(scored).count("<p>followed: 87 %</p>") == 1


def test_labels_are_drawn_and_shortened(tmp_path: Path) -> None:
    one = load_image(draw_grid(table(tmp_path, 1))[0])
    assert one.shape[1] == 64 + 2 * GAP
    assert (one[HEAD : HEAD + LINE] < 128).any()
    font = ImageFont.load_default(18)
    short = shorten("a very long label that fits nowhere", font, 100)
    assert short.endswith("…") and font.getlength(short) <= 100
    assert shorten("fits", font, 100) == "fits"


@pytest.mark.parametrize("sizes", [(40, 1), (1, 40), (25, 25), (1, 10, 100)])
def test_a_large_grid_is_scaled_and_says_so(tmp_path: Path, sizes: tuple[int, ...]) -> None:
    many = table(tmp_path, *sizes, size=(500, 300))
    data, note = draw_grid(many)
    with Image.open(io.BytesIO(data)) as picture:
        assert max(picture.size) <= MAX_SIDE
        assert picture.size[0] * picture.size[1] <= 41_000_000
        shown = re.fullmatch(r"grid.png shows the pictures at (\d+)% of their size, .*", note)
        assert shown and 1 <= int(shown[1]) < 100


def test_pictures_that_are_gone_or_of_another_size_do_no_harm(tmp_path: Path) -> None:
    made = table(tmp_path, 2, 2)
    (tmp_path / "0-0.png").unlink()
    (tmp_path / "0-1.png").write_bytes(b"no picture")
    Image.new("RGB", (16, 80), (1, 2, 3)).save(tmp_path / "1-1.png")
    assert load_image(draw_grid(made)[0]).ndim == 3
    assert grid_page(made).count("not made") == 2


class Page(html.parser.HTMLParser):
    """Collects tags with their attributes, and checks that they nest."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == name]


def test_the_page_holds_everything_and_loads_nothing(tmp_path: Path) -> None:
    text = grid_page(table(tmp_path, 3, 2, 2, absent=(2, 1, 1)))
    page = Page(text)
    images = page.all("img")
    assert len(images) == 11
    for image in images:
        head, data = str(image["src"]).split(",")
        assert head == "data:image/webp;base64"
        with Image.open(io.BytesIO(base64.b64decode(data))) as picture:
            assert (picture.format, picture.size) == ("WEBP", (64, 48))
    assert not re.search(r"https?:|//[a-z]|@import|url\(", re.sub('base64,[^"]*', "", text))
    assert not [tag for tag, attributes in page.tags if {"href", "onclick"} & set(attributes) or tag == "link"]
    (policy,) = [meta["content"] for meta in page.all("meta") if "http-equiv" in meta]
    assert str(policy).startswith("default-src 'none'")
    assert "width=device-width" in text


def test_the_page_names_every_row_column_and_sheet_and_escapes_all(tmp_path: Path) -> None:
    text = grid_page(table(tmp_path, 3, 2, 2, absent=(2, 1, 1)))
    page = Page(text)
    assert len(page.all("section")) == 2
    assert [len(page.all("th")), sum(one.get("scope") == "row" for one in page.all("th"))] == [2 * (1 + 3 + 2), 4]
    assert len(page.all("select")) == 1 and len(page.all("option")) == 2
    assert "<title>A &quot;grid&quot; &amp; &lt;more&gt;</title>" in text
    assert "<p>No &lt;memory&gt;.</p>" in text
    assert "a &lt;red&gt; ball" in text
    assert page.all("img")[0]["alt"] == "guidance_scale <0>, prompt, red becomes <0>, seed <0>"
    assert "position: sticky" in text
    one_axis = Page(grid_page(table(tmp_path, 3)))
    assert not one_axis.all("select")
    assert not [one for one in one_axis.all("th") if one.get("scope") == "row"]


@pytest.mark.parametrize("count", [1, 100, 1000])
def test_pictures_in_the_page_are_bounded_together(count: int) -> None:
    side = page_side(count)
    assert side == MIN_SIDE or count * side * side <= MAX_PIXELS
    assert page_side(1) == 512
