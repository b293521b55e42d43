"""`models list | show ID | download ID`."""

from __future__ import annotations

import argparse
import dataclasses
from typing import Any

from annotators.base import InputError
from cnet_app.cli.output import download_progress, end_progress, only_result
from models import weights
from models.catalog import CATALOG, Weights, entry, size_text
from models.local import FOLDERS, LocalFile, local_files


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An action, and an id where it needs one."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    texts = {
        "list": "All weights: id, kind, family, size, whether they are here, licence.",
        "show": "One row of the catalogue.",
        "download": "Fetch the files of one row.",
    }
    listing, show, download = (actions.add_parser(name, help=text, description=text) for name, text in texts.items())
    for action in (show, download):
        action.add_argument("id", metavar="ID", help="an id of `models list`")
    for action, function in ((listing, _list), (show, _show), (download, _download)):
        action.add_argument("--json", action="store_true", help="print one JSON object")
        action.set_defaults(action=function)


def run(args: argparse.Namespace) -> None:
    """Do the chosen action."""
    args.action(args)


def _list(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        files = [file for kind in FOLDERS for file in local_files(kind)]
        lines = [*(_line(row) for row in CATALOG), *(_local_line(file) for file in files)]
        tell(
            {
                "models": [_values(row) for row in CATALOG],
                "files": [_local_values(file) for file in files] if args.json else [],
            },
            "\n".join(lines),
        )


def _show(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        values = _values(_row(args.id))
        shown = {key: value for key, value in values.items() if value not in (None, "", [])}
        shown["files"] = "".join(f"\n  {file['name']}" for file in values["files"])
        tell(values, "\n".join(f"{key}: {value}" for key, value in shown.items()))


def _download(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        row = _row(args.id)
        path = weights.fetch(row.id, download_progress)
        end_progress()
        tell(_values(row), str(path))


def _row(id: str) -> Weights:
    try:
        return entry(id)
    except LookupError as error:
        raise InputError(str(error)) from error


def _line(row: Weights) -> str:
    state = "here" if weights.find(row.id) else "-"
    return f"{row.id:32} {row.kind:10} {row.family or '':9} {size_text(row.size):>12}  {state:5} {row.licence}"


def _local_line(file: LocalFile) -> str:
    size = size_text(file.path.stat().st_size)
    return f"{file.name:32} {file.kind:10} {file.family or '':9} {size:>12}  here"


def _local_values(file: LocalFile) -> dict[str, Any]:
    """With the checksum, which takes a while of a large file."""
    told = {name: getattr(file, name) for name in ("name", "kind", "family", "sha256")}
    return told | {"size": file.path.stat().st_size, "path": str(file.path)}


def _values(row: Weights) -> dict[str, Any]:
    found = weights.find(row.id)
    return dataclasses.asdict(row) | {"size": row.size, "path": str(found) if found else None}
