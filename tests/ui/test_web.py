"""The page's scripts and styles: every import has its export, nothing is asked of other hosts, files stay small."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cnet_app.ui.studio import CALLS, STYLES, WEB

SCRIPTS = sorted(WEB.rglob("*.js"))
IMPORT = re.compile(r'^import (?:\{([^}]*)\} from )?"(\.[^"]+)";', re.MULTILINE)
LAZY = re.compile(r'import\("(\.[^"]+)"\)\)\.(\w+)')
EXPORT = re.compile(r"^export (?:default )?(?:async )?(?:function\*?|class|const|let) (\w+)", re.MULTILINE)
LISTED = re.compile(r"^export \{([^}]*)\}", re.MULTILINE)
LONGEST = 400


def exports(path: Path) -> set[str]:
    text = path.read_text()
    listed = {name.split(" as ")[-1].strip() for names in LISTED.findall(text) for name in names.split(",")}
    return set(EXPORT.findall(text)) | listed


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_every_import_has_its_export(script: Path) -> None:
    text = script.read_text()
    wanted = [
        (name.split(" as ")[0].strip(), path)
        for names, path in IMPORT.findall(text)
        for name in names.split(",")
        if name.strip()
    ]
    wanted += [(name, path) for path, name in LAZY.findall(text)]
    missing = [(name, path) for name, path in wanted if name not in exports(script.parent / path)]
    assert not missing


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
