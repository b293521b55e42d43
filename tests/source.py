"""The project's own source, read as text: for tests that look at the house rather than run it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("annotators", "models", "cnet_app")


@cache
def modules() -> dict[str, Path]:
    """Dotted name to file of every module the app is made of."""
    files = [ROOT / "app.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
    return {dotted(path): path for path in files if path.exists()}


def dotted(path: Path) -> str:
    """The name a file is imported by."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax tree."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(path: Path) -> Iterator[str]:
    """Dotted names a file imports, at its top or inside a function; `from a import b` gives `a.b` where that is a module."""
    known = modules()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}:{node.lineno} imports by dots; use the full name"
            parent = node.module or ""
            inner = {f"{parent}.{alias.name}" for alias in node.names} & known.keys()
            yield from inner
            if len(inner) < len(node.names):
                yield parent
