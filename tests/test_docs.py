"""Generated documents agree with the code."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import pytest

from cnet_app import __version__
from cnet_app.cli import COMMANDS, build_parser
from cnet_app.docs import create_documents, fill, weights_drawing
from cnet_app.map_pictures import write_map_pictures
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.registry.modes import CUSTOM, MODES
from cnet_app.registry.presets import FEW_STEPS
from models.catalogue.catalog import CATALOG
from tests.source import ROOT

PAGES = sorted(path.relative_to(ROOT) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


def test_derived_documents_are_fresh() -> None:
    stale = [str(path) for path, text in create_documents().items() if not _same(ROOT / path, text)]
    assert not stale, f"run `make docs`: {', '.join(stale)}"


def _same(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


def test_every_mode_is_drawn_within_the_picture() -> None:
    """Three modes a line; the custom mode has no factors of its own."""
    row = MODES["balanced"]
    for count, lines in ((1, 1), (6, 2), (7, 3)):
        drawing = weights_drawing([dataclasses.replace(row, id=f"mode_{number}") for number in range(count)])
        size = re.search(r'width="(\d+)" height="(\d+)"', drawing)
        assert size and int(size[2]) == 144 * lines
        for x, y, wide, tall in re.findall(r'<rect x="(.+?)" y="(.+?)" width="(.+?)" height="(.+?)"', drawing):
            assert float(x) + float(wide) <= int(size[1])
            assert float(y) + float(tall) <= int(size[2])
        assert all(float(y) < int(size[2]) for y in re.findall(r'<text x=".+?" y="(.+?)"', drawing))
    drawn = re.findall(r">([a-z_]+)</text>", weights_drawing())
    assert drawn == [id for id in MODES if id != CUSTOM]


def test_fill_replaces_what_stands_between_the_markers_alone() -> None:
    text = "a\n<!-- x -->\nold\n<!-- /x -->\nb"
    assert fill(text, {"x": "new\n"}) == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    with pytest.raises(AssertionError, match="markers of y"):
        fill(text, {"y": "new\n"})


def test_the_readme_names_every_condition() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert all(f"**{row.title}**" in readme for row in CONDITIONS)


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_links_and_pictures_of_a_page_exist(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    targets = [found for found in re.findall(r"\]\(([^)#\s]+)", text) if not found.startswith("http")]
    missing = [target for target in targets if not (ROOT / page.parent / target).exists()]
    assert not missing


def test_commands_in_the_readme_parse() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"^\.venv/bin/python -m cnet_app (.+)$", readme, flags=re.MULTILINE)
    assert found
    parser = build_parser([command.name for command in COMMANDS])
    for line in found:
        parser.parse_args([part.strip('"') for part in re.findall(r'"[^"]*"|\S+', line)])


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_models_that_a_page_names_exist(page: Path) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"(?:controlnet=|--ip-adapter |--preset )([a-z0-9]+_\w+)", text))
    assert named <= {row.id for row in (*CATALOG, *FEW_STEPS)}


def test_the_version_is_one_in_the_making_until_the_changelog_names_it() -> None:
    newest = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)[0]
    assert __version__.endswith(".dev0") if newest == "Unreleased" else __version__ == newest


def test_make_targets_that_the_pages_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):
        named = set(re.findall(r"`make ([a-z]+)", page.read_text(encoding="utf-8")))
        assert named <= targets, page.name


def test_map_pictures_of_one_condition_are_written_alone(tmp_path: Path) -> None:
    written = {path.name for path in write_map_pictures(tmp_path, [condition("canny")])}
    assert {"canny-photo.webp", "canny-canny.webp"} <= written == {path.name for path in tmp_path.iterdir()}
    assert all(name.startswith("canny-") for name in written)


def test_every_test_that_the_page_of_surroundings_names_exists() -> None:
    text = (ROOT / "docs" / "running.md").read_text(encoding="utf-8")
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    names, paths = re.findall(r"`(test_\w+)`", text), re.findall(r"`(tests/[\w/.]+)`", text)
    assert names and paths
    assert not [name for name in names if f"def {name}(" not in sources]
    assert not [path for path in paths if not (ROOT / path).is_file()]
