"""A grid as one HTML file that needs no other: pictures inside, headings that stay in sight, and a choice of the third axis."""

from __future__ import annotations

import base64
import html
import io
import math

from PIL import Image as Pillow

from cnet_app.jobs.sweeps.grid_table import NOT_MADE, GridCell, GridTable

MAX_SIDE = 512
"""Of a picture in the page, in px."""
MIN_SIDE = 96
MAX_PIXELS = 40_000_000
"""Of all pictures in the page together."""
QUALITY = 80
STYLE = """\
:root { color-scheme: light dark; --line: #8884; }
body { margin: 0; font: 16px/1.4 system-ui, sans-serif; background: Canvas; color: CanvasText; }
header { padding: 12px 16px; }
h1 { font-size: 1.2rem; margin: 0 0 4px; overflow-wrap: anywhere; }
p { margin: 0 0 8px; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 8px 0; }
select { font: inherit; max-width: 100%; padding: 6px; }
.sheet { overflow: auto; max-height: 92vh; margin-bottom: 16px; }
.sheet h2 { font-size: 1rem; margin: 8px 16px; position: sticky; left: 16px; }
table { border-collapse: separate; border-spacing: 0; }
th { background: Canvas; padding: 6px 8px; font-weight: 600; text-align: left; max-width: 16rem; overflow-wrap: anywhere; }
thead th { position: sticky; top: 0; z-index: 1; border-bottom: 1px solid var(--line); }
tbody th { position: sticky; left: 0; min-width: 3.5rem; border-right: 1px solid var(--line); vertical-align: top; }
thead th.corner { left: 0; z-index: 2; }
td { padding: 4px; vertical-align: top; }
td button { display: block; padding: 0; border: 0; background: none; cursor: zoom-in; }
td img { display: block; max-width: 60vw; height: auto; }
td p { width: min(12rem, 60vw); color: GrayText; margin: 0; overflow-wrap: anywhere; }
dialog { padding: 0; border: 0; background: none; max-width: 100vw; max-height: 100vh; }
dialog img { display: block; width: auto; height: auto; min-width: min(90vw, 90vh); max-width: 96vw; max-height: 96vh; }
dialog::backdrop { background: #000c; }
@media (max-width: 600px) { th { max-width: 7rem; font-size: .85rem; } }
"""
SCRIPT = """\
const choice = document.querySelector("select"), sheets = [...document.querySelectorAll(".sheet")];
const show = () => sheets.forEach((sheet, i) => { sheet.hidden = i !== choice.selectedIndex; });
if (choice) {
  document.querySelectorAll("h2").forEach((heading) => { heading.hidden = true; });
  choice.addEventListener("change", show);
  show();
}
const dialog = document.querySelector("dialog");
document.addEventListener("click", (event) => {
  const button = event.target.closest("td button");
  if (button) { dialog.replaceChildren(button.firstElementChild.cloneNode()); dialog.showModal(); }
  else if (event.target.closest("dialog")) dialog.close();
});
"""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


def grid_page(table: GridTable) -> str:
    """Return the page of a grid; it loads nothing from anywhere."""
    side = page_side(len(table.cells))
    title, labels = table.axis(2)
    options = "".join(f"<option>{html.escape(label)}</option>" for label in labels)
    choice = f"<p><label>{html.escape(title)} <select>{options}</select></label></p>" if len(table.axes) > 2 else ""
    sheets = "\n".join(_sheet(table, heading, rows, side) for heading, rows in table.sheets())
    name = html.escape(table.title)
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>
{STYLE}</style>
</head>
<body>
<header>
<h1>{name}</h1>
<p>{html.escape(table.made)}, {len(table.cells)} pictures</p>
<p>{html.escape(table.legend)}</p>
<details><summary>Settings that all share</summary><pre>{html.escape(table.recipe)}</pre></details>
{choice}
</header>
<main>
{sheets}
</main>
<dialog aria-label="Picture"></dialog>
<script>
{SCRIPT}</script>
</body>
</html>
"""


def page_side(count: int) -> int:
    """Return the longest side of so many pictures in a page, in px."""
    return max(MIN_SIDE, min(MAX_SIDE, int(math.sqrt(MAX_PIXELS / max(count, 1)))))


def _sheet(table: GridTable, heading: str, rows: list[tuple[str, list[GridCell]]], side: int) -> str:
    (column_title, columns), (row_title, _) = table.axis(0), table.axis(1)
    corner = '<th class="corner"></th>' if len(table.axes) > 1 else ""
    head = corner + "".join(f'<th scope="col">{html.escape(label)}</th>' for label in columns)
    lines: list[str] = []
    for label, cells in rows:
        first = f'<th scope="row">{html.escape(label)}</th>' if len(table.axes) > 1 else ""
        places = [(f"{column_title} {column}", f"{row_title} {label}".strip(), heading) for column in columns]
        made = [
            f"<td>{_content(cell, ', '.join(filter(None, place)), side)}</td>"
            for place, cell in zip(places, cells, strict=True)
        ]
        lines.append(f"<tr>{first}{''.join(made)}</tr>")
    title = f"<h2>{html.escape(heading)}</h2>\n" if heading else ""
    body = "\n".join(lines)
    name = html.escape(heading or table.title, quote=True)
    return (
        f'<section class="sheet" tabindex="0" aria-label="{name}">\n{title}'
        f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody>\n</table>\n</section>"
    )


def _content(cell: GridCell, name: str, side: int) -> str:
    picture = cell.load()
    if picture is None:
        return f"<p>{html.escape(cell.error or NOT_MADE)}</p>"
    picture.thumbnail((side, side), Pillow.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=QUALITY)
    data = base64.b64encode(buffer.getvalue()).decode()
    size = f'width="{picture.width}" height="{picture.height}"'
    image = f'<img src="data:image/webp;base64,{data}" {size} alt="{html.escape(name, quote=True)}" loading="lazy">'
    score = f"<p>{html.escape(cell.score)}</p>" if cell.score else ""
    return f'<button type="button">{image}</button>{score}'
