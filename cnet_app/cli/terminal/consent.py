"""The question before a download: what, how large, under which licence. Nothing is downloaded without a yes or --yes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from cnet_app.cli.terminal.output import end_progress, show_progress
from models.catalogue.catalog import Weights
from models.catalogue.missing import DownloadItem, describe_download, total_words
from models.catalogue.weights import fetch_row, missing_error
from models.environment import is_offline
from models.errors import InputError, MissingError


def add_yes(parser: argparse.ArgumentParser) -> None:
    """Add the flag --yes."""
    parser.add_argument("--yes", action="store_true", help="download what is missing without asking")


def ask_to_download(rows: Sequence[Weights], yes: bool) -> None:
    """Return where the download of these missing rows may begin: at once without rows, with `yes`, or after a "y".

    On a terminal the rows are listed and the user is asked. Raises MissingError offline, for rows that ship with the
    project, and after a "no"; InputError where nobody can be asked.
    """
    shipped = next((row for row in rows if is_offline() or not row.repo), None)
    if shipped is not None:
        raise missing_error(shipped)
    if not rows:
        return
    items = describe_download(rows)
    if not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise InputError(
            f"{_names(items)} must be downloaded first ({total_words(items)}), and there is no terminal to ask on; "
            f"add --yes, or run `python -m cnet_app models download {' '.join(item.id for item in items)} --yes`. "
            + " ".join(dict.fromkeys(_terms(item, f"Licence of {item.title}, ") for item in items))
        )
    print(describe(items), file=sys.stderr)
    if yes:
        return
    print("Download now? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise MissingError(f"Nothing was downloaded; {_names(items)} {'is' if len(items) == 1 else 'are'} missing.")


def download_rows(rows: Sequence[Weights]) -> None:
    """Download these rows one after the other, with a progress line where standard error is a terminal."""
    for row in rows:
        fetch_row(row, lambda file: show_progress(file.text))
    end_progress()


def describe(items: Sequence[DownloadItem]) -> str:
    """Return the list of what would be downloaded, a model in two lines, with the total and the folder first."""
    lines = [f"To download into {items[0].place} ({total_words(items)}):"]
    for item in items:
        count = f"{len(item.files)} file{'s' * (len(item.files) > 1)}"
        lines.append(f"  {item.title} ({item.id}): {count}, {item.size_words}")
        lines.append(f"    {_terms(item)}")
    return "\n".join(lines)


def _terms(item: DownloadItem, before: str = "Licence ") -> str:
    """Licence, use and page, and what to do before the download of gated files."""
    gate = f" {item.gate}" if item.gate else ""
    return f"{before}{item.licence}: {item.use} {item.page}{gate}"


def _names(items: Sequence[DownloadItem]) -> str:
    titles = [item.title for item in items]
    return " and ".join(filter(None, (", ".join(titles[:-1]), titles[-1])))
