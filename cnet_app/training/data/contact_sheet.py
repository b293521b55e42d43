"""A contact sheet: pictures beside their maps, the worst pairs of a data set first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from annotators.base import Image
from annotators.maps.kinds import MapKind
from annotators.sources.images import fit_inside, pad, resize
from cnet_app.training.data.pairs import DataSet, Pair, Problem, read_control, read_image
from models.errors import USER_ERRORS

CELL, GAP, TEXT = 160, 8, 28
"""Sides of a picture, spaces and lines of text in px."""
COLUMNS = 4
MOST = 40
"""Pairs on one sheet."""
GREY = (128, 128, 128)


def contact_sheet(data: DataSet, problems: Sequence[Problem], kind: MapKind) -> Image | None:
    """Return the pairs with the gravest problems, each with its picture, its map and the problems' kinds; None without any."""
    pairs = {pair.name: pair for pair in data.pairs}
    order = sorted((problem for problem in problems if problem.pair in pairs), key=lambda problem: -problem.severity)
    kinds: dict[str, list[str]] = {}
    for problem in order:
        kinds.setdefault(problem.pair, []).append(problem.kind)
    named = list(kinds.items())[:MOST]
    if not named:
        return None
    rows = -(-len(named) // COLUMNS)
    width, height = 2 * CELL + GAP, CELL + TEXT + GAP
    sheet = Pillow.new("RGB", (COLUMNS * (width + GAP) + GAP, rows * height + GAP), (32, 32, 32))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for number, (name, found) in enumerate(named):
        left, top = GAP + number % COLUMNS * (width + GAP), GAP + number // COLUMNS * height
        for place, half in enumerate(_halves(pairs[name], kind)):
            sheet.paste(Pillow.fromarray(half), (left + place * CELL, top))
        text = f"{name}: {', '.join(dict.fromkeys(found))}"
        draw.text((left, top + CELL + 4), text[: 2 * CELL // 6], fill=(230, 230, 230), font=font)
    return np.asarray(sheet, np.uint8)


def _halves(pair: Pair, kind: MapKind) -> list[Image]:
    """Return picture and map at the size of a cell, crossed out where one cannot be read."""
    found: list[Image] = []
    for read in (lambda: read_image(pair), lambda: read_control(pair, kind)):
        try:
            found.append(_cell(read()))
        except (*USER_ERRORS, AssertionError):
            found.append(_crossed_out())
    return found


def _crossed_out() -> Image:
    cell = Pillow.new("RGB", (CELL, CELL), GREY)
    for line in ((0, 0, CELL, CELL), (0, CELL, CELL, 0)):
        ImageDraw.Draw(cell).line(line, fill=(190, 60, 60), width=3)
    return np.asarray(cell, np.uint8)


def _cell(image: Image) -> Image:
    size = fit_inside(image.shape[1], image.shape[0], CELL, CELL)
    return pad(resize(image, *size, "stretch"), CELL, CELL, GREY)
