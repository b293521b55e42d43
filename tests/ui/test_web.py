"""The page's scripts and styles: every import has its export, nothing is asked of other hosts, files stay small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnet_app.ui.studio import CALLS, START, STYLES, WEB
from tests.source import ROOT

SCRIPTS = sorted(WEB.rglob("*.js"))
IMPORT = re.compile(r'^(?:im|ex)port (?:\{([^}]*)\} from )?"(\.[^"]+)";', re.MULTILINE)
LAZY = re.compile(r'import\("(\.[^"]+)"\)\)\.(\w+)')
TAKEN = re.compile(r'const \{([^}]*)\} = await import\("(\.[^"]+)"\)')
EXPORT = re.compile(r"^export (?:default )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)
LISTED = re.compile(r"^export \{([^}]*)\}", re.MULTILINE)
LONGEST = 400
OUTSIDE = re.compile(r"studio/([\w/]+\.js)")
"""A script as the document and the browser tests import it."""


def exports(path: Path) -> set[str]:
    text = path.read_text()
    listed = {name.split(" as ")[-1].strip() for names in LISTED.findall(text) for name in names.split(",")}
    return set(EXPORT.findall(text)) | listed


def imports(path: Path) -> set[tuple[Path, str]]:
    """The script and the name of each import, also of those that are only passed on."""
    text = path.read_text()
    listed = [*IMPORT.findall(text), *TAKEN.findall(text)]
    wanted = [(place, name.split(" as ")[0].strip()) for names, place in listed for name in names.split(",")]
    return {((path.parent / place).resolve(), name) for place, name in [*wanted, *LAZY.findall(text)] if name}


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_import_has_its_export(script: Path) -> None:
    assert not [(path.name, name) for path, name in imports(script) if name not in exports(path)]


def test_every_export_is_used_elsewhere() -> None:
    used = set[tuple[Path, str]]().union(*map(imports, SCRIPTS))
    for text in [START, *(path.read_text() for path in (ROOT / "tests" / "browser").glob("*.py"))]:
        names = set(re.findall(r"\w+", text))
        places = {(WEB / place).resolve() for place in OUTSIDE.findall(text)}
        used |= {(place, name) for place in places for name in names}
    idle = {(path.resolve(), name) for path in SCRIPTS for name in exports(path)} - used
    assert not [(path.name, name) for path, name in idle]


def test_nothing_is_asked_of_other_hosts() -> None:
    addresses = re.compile(r"https?://(?!www\.w3\.org/)[\w.]+")
    assert not {path.name: found for path in WEB.rglob("*.[jc]s*") if (found := addresses.findall(path.read_text()))}


def test_files_stay_small() -> None:
    assert not [path.name for path in WEB.rglob("*.[jc]s*") if len(path.read_text().splitlines()) > LONGEST]


def test_every_style_sheet_is_linked() -> None:
    assert sorted(STYLES) == sorted(path.relative_to(WEB).with_suffix("").as_posix() for path in WEB.rglob("*.css"))


def test_every_call_of_the_scripts_is_known() -> None:
    asked = {name for path in SCRIPTS for name in re.findall(r'(?:server|blobs)\.call\("(\w+)"', path.read_text())}
    assert asked
    assert asked <= set(CALLS)
