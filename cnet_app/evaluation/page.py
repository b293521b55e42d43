"""A report as one HTML file that needs no other: the tables, and the worst and the best pictures of each method."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from PIL import Image as Pillow

from annotators.base import Image
from annotators.maps.map_files import map_role
from annotators.sources.images import fit_inside, load_image, resize
from cnet_app.evaluation.pairing import Item
from cnet_app.evaluation.report import Report
from cnet_app.evaluation.scores import PictureScore
from cnet_app.evaluation.tables import (
    COMPARABLE,
    Table,
    contrast_table,
    distance_table,
    main_table,
    number,
    reference_table,
)
from cnet_app.registry.conditions import condition
from models.errors import InputError

SIDE = 192
"""Of a picture in the page, px."""
SHOWN = 6
"""Worst and best pictures of a method, each."""
STYLE = """\
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 75rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; display: block; overflow-x: auto; }
th, td { border-bottom: 1px solid #8886; padding: .35rem .7rem; text-align: left; font-variant-numeric: tabular-nums; }
.row { display: flex; flex-wrap: wrap; gap: 1rem; }
figure { margin: 0; max-width: 25rem; }
figcaption { font-size: .85rem; overflow-wrap: anywhere; }
img { max-width: 49%; height: auto; }"""


def to_html(report: Report, items: Sequence[Item]) -> str:
    """Return the page. Pictures that cannot be read any more are named in place of being shown."""
    title = html.escape(f"Evaluation: {condition(report.condition).title}")
    settings = report.settings
    by_name = {item.name: item for item in items}
    parts = [
        f"<h1>{title}</h1>",
        "".join(f"<p>{html.escape(f'{name}: {text}')}</p>" for name, text in report.facts.items()),
        f"<p>Means over control images, with intervals of {100 * settings.level:g} % ({settings.interval} bootstrap, "
        f"{settings.resamples:,} resamples, seed {settings.seed}).</p>",
        _table("", main_table(report)),
        _table("Differences between methods", contrast_table(report.contrasts)),
        _table("Numbers of whole folders", distance_table(report.distances)),
        _table("Published numbers", reference_table(report), COMPARABLE),
        _list("Notes", report.notes),
        *(_extremes(report, method, by_name) for method in report.methods),
        _list("Without a partner", report.unpaired),
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title><style>{STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _table(title: str, table: Table, remark: str = "") -> str:
    head, rows = table
    if not rows:
        return ""
    top = "".join(f'<th scope="col">{html.escape(cell)}</th>' for cell in head)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    heading = f"<h2>{html.escape(title)}</h2>" if title else ""
    heading += f"<p>{html.escape(remark)}</p>" if remark else ""
    return f"{heading}<table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table>"


def _list(title: str, lines: Sequence[str]) -> str:
    points = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{html.escape(title)}</h2><ul>{points}</ul>" if lines else ""


def worst_and_best(report: Report, method: str, count: int = SHOWN) -> tuple[list[PictureScore], list[PictureScore]]:
    """Return a method's pictures by its main measure: the worst first, and the best first; none is in both."""
    main = report.measures[0]
    own = [score for score in report.scores if score.method == method and score.values.get(main.id) is not None]
    ranked = sorted(own, key=lambda score: (main.agreement(_main(score, main.id)), score.name))
    count = min(count, (len(ranked) + 1) // 2)
    worst = ranked[:count]
    return worst, [score for score in reversed(ranked[len(ranked) - count :]) if score not in worst]


def _main(score: PictureScore, id: str) -> float:
    value = score.values[id]
    assert value is not None
    return value


def _extremes(report: Report, method: str, items: Mapping[str, Item]) -> str:
    parts: list[str] = []
    for title, scores in zip(("worst", "best"), worst_and_best(report, method), strict=True):
        figures = "".join(_figure(report, score, items[score.name]) for score in scores)
        if figures:
            parts.append(f'<h2>{html.escape(f"{method}: {title}")}</h2><div class="row">{figures}</div>')
    return "".join(parts)


def _figure(report: Report, score: PictureScore, item: Item) -> str:
    role = map_role(condition(report.condition).kind)
    values = ", ".join(f"{row.title} {number(score.values.get(row.id))}" for row in report.measures)
    texts = [score.name, values, item.prompt]
    caption = "<br>".join(html.escape(text) for text in texts if text)
    try:
        control, picture = load_image(item.control, role=role), load_image(Path(score.picture))
        pictures = _picture(control, f"Control image {score.name}") + " " + _picture(picture, f"Picture {score.name}")
    except InputError as error:
        pictures = html.escape(str(error))
    return f"<figure>{pictures}<figcaption>{caption}</figcaption></figure>"


def _picture(pixels: Image, text: str) -> str:
    height, width = pixels.shape[:2]
    if max(height, width) > SIDE:
        pixels = resize(pixels, *fit_inside(width, height, SIDE, SIDE), mode="stretch")
    buffer = io.BytesIO()
    Pillow.fromarray(pixels).save(buffer, "WEBP", quality=80)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f'<img alt="{html.escape(text, quote=True)}" src="data:image/webp;base64,{data}">'
