"""A grid as one PNG with its labels."""

from __future__ import annotations

import io
from contextlib import suppress

from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from cnet_app.jobs.sweeps.grid_table import NOT_MADE, GridCell, GridTable

MAX_SIDE = 8_192
MAX_PIXELS = 40_000_000
"""Of the whole picture."""
GAP = 8
"""Between cells, in px."""
FONT_SIZE = 18
LINE = 24
"""Height of a label in px."""
HEAD = 2 * LINE
"""Height of the title and the legend in px."""
MAX_SIDE_LABEL = 240
"""Width of the labels of rows in px."""
PAPER, INK, ABSENT = (255, 255, 255), (30, 30, 30), (226, 226, 226)
LEAST_CELL = 8

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_grid(table: GridTable) -> tuple[bytes, str]:
    """Return the PNG of a grid, its sheets below each other, and a note where its pictures are scaled down.

    It has at most MAX_SIDE px a side and MAX_PIXELS in all.
    """
    wide, high = _cell_size(table)
    columns, rows, sheets = (len(table.axis(number)[1]) for number in range(3))
    has_rows, has_sheets = len(table.axes) > 1, len(table.axes) > 2
    font = ImageFont.load_default(FONT_SIZE)
    below = GAP + LINE * table.has_scores
    left, above = side_label(table, font) if has_rows else 0, LINE * (1 + has_sheets)
    scale = _scale(wide, high, columns, rows * sheets, left, above * sheets + HEAD, below)
    wide, high = max(int(wide * scale), LEAST_CELL), max(int(high * scale), LEAST_CELL)
    width = left + columns * (wide + GAP) + GAP
    sheet_height = above + rows * (high + below) + GAP
    picture = Pillow.new("RGB", (width, HEAD + sheets * sheet_height), PAPER)
    draw = ImageDraw.Draw(picture)
    _label(draw, font, table.title, (GAP, 0), width - GAP)
    _label(draw, font, table.legend, (GAP, LINE), width - GAP)
    for number, (heading, sheet) in enumerate(table.sheets()):
        top = HEAD + number * sheet_height
        if has_sheets:
            _label(draw, font, heading, (GAP, top), width - GAP)
        for x, label in enumerate(table.axis(0)[1]):
            _label(draw, font, label, (left + GAP + x * (wide + GAP), top + above - LINE), wide)
        for y, (label, cells) in enumerate(sheet):
            place = top + above + y * (high + below)
            _label(draw, font, label, (GAP, place + (high - LINE) // 2), left - GAP)
            for x, cell in enumerate(cells):
                corner = (left + GAP + x * (wide + GAP), place)
                _paste(picture, cell, corner, (wide, high))
                _label(draw, font, cell.score, (corner[0], place + high), wide)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))  # where labels and gaps alone are larger
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    note = f"grid.png shows the pictures at {scale:.0%} of their size, so that it stays within {MAX_SIDE} px a side."
    return buffer.getvalue(), note if scale < 1 else ""


def side_label(table: GridTable, font: Font) -> int:
    """Return the width of the labels of rows in px."""
    return min(MAX_SIDE_LABEL, int(max(map(font.getlength, table.axis(1)[1]))) + 2 * GAP)


def shorten(text: str, font: Font, width: float) -> str:
    """Return a text that is at most so many px wide, with an ellipsis where it was cut."""
    text = " ".join(text.split())
    if font.getlength(text) <= width:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(text[:middle] + "…") <= width else (low, middle - 1)
    return f"{text[:low].rstrip()}…" if low else ""


def _cell_size(table: GridTable) -> tuple[int, int]:
    """The largest width and height of the pictures."""
    sizes: list[tuple[int, int]] = []
    for cell in table.cells.values():
        with suppress(OSError):  # removed since
            if cell.picture:
                with Pillow.open(cell.picture) as picture:  # reads the header alone
                    sizes.append(picture.size)
    return max((size[0] for size in sizes), default=64), max((size[1] for size in sizes), default=64)


def _scale(wide: int, high: int, columns: int, rows: int, left: int, above: int, below: int) -> float:
    """The share of their size, at most 1, at which all cells fit into the picture, with so many px between rows."""
    free_wide = MAX_SIDE - left - (columns + 1) * GAP
    free_high = MAX_SIDE - above - rows * below - GAP
    scale = min(1.0, free_wide / (columns * wide), free_high / (rows * high))
    while (columns * (wide * scale + GAP) + left + GAP) * (rows * (high * scale + below) + above) > MAX_PIXELS:
        scale *= 0.95
    return max(scale, LEAST_CELL / max(wide, high))


def _paste(picture: Pillow.Image, cell: GridCell, place: tuple[int, int], size: tuple[int, int]) -> None:
    """A picture in the middle of its cell, or a grey field."""
    made = cell.load()
    if made is None:
        draw = ImageDraw.Draw(picture)
        draw.rectangle((*place, place[0] + size[0] - 1, place[1] + size[1] - 1), fill=ABSENT)
        font = ImageFont.load_default(FONT_SIZE)
        _label(draw, font, "failed" if cell.error not in ("", NOT_MADE) else NOT_MADE, place, size[0])
        return
    made.thumbnail(size, Pillow.Resampling.LANCZOS)
    picture.paste(made, (place[0] + (size[0] - made.width) // 2, place[1] + (size[1] - made.height) // 2))


def _label(draw: ImageDraw.ImageDraw, font: Font, text: str, place: tuple[int, int], width: int) -> None:
    draw.text((place[0], place[1] + 2), shorten(text, font, width), INK, font)
