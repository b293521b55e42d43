"""Each promise, each faulty input and each attack that the documents name has a test, and the test exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache

import pytest

from tests.source import ROOT, tree

DOCS = ROOT / "docs"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)(?:\[(.+?)\])?`")
WITHOUT = re.compile(r"\b(none|not yet)(:|$)")
"""Marks what has no test, and says why, or what is missing."""
NUMBER = re.compile(r"\b[ICPMQT]\d{1,2}\b")


def rows(page: str) -> Iterator[tuple[str, ...]]:
    """Yield the cells of each row of a page's tables, without their heads."""
    lines = (DOCS / page).read_text(encoding="utf-8").splitlines()
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("| ") and before.startswith("|") and not line.startswith("| ---"):
            yield tuple(cell.strip() for cell in line.strip("|").split(" | "))


@cache
def names_in(path: str) -> frozenset[str]:
    """The names of the test functions of a file."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = (ROOT / path).exists() and ast.walk(tree(ROOT / path))
    return frozenset(node.name for node in found or () if isinstance(node, kinds) and node.name.startswith("test_"))


@cache
def words_of(path: str) -> frozenset[str]:
    """All texts of a file, the ids of its parameters among them."""
    return frozenset(
        node.value
        for node in ast.walk(tree(ROOT / path))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def missing(text: str) -> list[str]:
    """The tests that a text names and that are not there."""
    return [
        f"{path}::{name}[{case or ''}]"
        for path, name, case in NAMED.findall(text)
        if name not in names_in(path) or (case and case not in words_of(path))
    ]


def test_every_test_that_the_promises_name_exists() -> None:
    text = (DOCS / "promises.md").read_text(encoding="utf-8")
    assert not missing(text)
    assert text.count("::test_") == len(NAMED.findall(text)), "a test is named in another form"


def test_every_promise_and_every_fault_has_a_test_or_the_reason_why_not() -> None:
    found = list(rows("promises.md"))
    assert len(found) == 16 + 105
    promises, faults = found[:16], found[16:]
    assert [cells[0] for cells in promises if not NAMED.search(cells[1])] == []
    for what, answer, test in faults:
        assert NAMED.search(test) or WITHOUT.search(answer) or WITHOUT.search(test), what
        assert NAMED.search(test) or re.search(r"\b(none|not yet): ", f"{answer} {test}"), f"{what}: say why"


def test_the_promises_are_those_of_the_readme_and_more() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = readme.split("## What you can rely on")[1].split("<details>")[0]
    assert "docs/promises.md" in listed
    text = (DOCS / "promises.md").read_text(encoding="utf-8")
    for words in (
        "is on disk",
        "Cancel answers",
        "how large and under which licence",
        "Nothing is sent anywhere",
        "visitors are strangers",
    ):
        assert words in listed and words in text


def test_no_case_is_called_by_a_number() -> None:
    assert not NUMBER.search((DOCS / "promises.md").read_text(encoding="utf-8"))
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    assert not [
        name
        for path in paths
        for name in names_in(path.relative_to(ROOT).as_posix())
        if re.match(r"test_[icpmqt]\d", name)
    ]


def attacks() -> list[tuple[str, ...]]:
    """The rows of the table of attacks."""
    return [cells for cells in rows("security.md") if len(cells) == 3 and "test" in cells[2]]


@pytest.mark.parametrize("cells", attacks(), ids=lambda cells: str(cells[0])[:40])
def test_every_attack_has_a_test_that_exists(cells: tuple[str, ...]) -> None:
    everywhere = {
        name for path in (ROOT / "tests").rglob("test_*.py") for name in names_in(path.relative_to(ROOT).as_posix())
    }
    names, paths = re.findall(r"`(test_\w+)`", cells[2]), re.findall(r"`(tests/[\w/.]+)`", cells[2])
    assert names or paths
    assert set(names) <= everywhere
    assert not [path for path in paths if not names_in(path)]


def test_no_attack_is_left_out() -> None:
    table = (DOCS / "security.md").read_text(encoding="utf-8").split("## Attacks and answers")[1].split("## ")[0]
    assert len(attacks()) == sum(line.startswith("| ") for line in table.splitlines()) - 2 > 15
