"""`models list | show ID | download ID | add REPOSITORY | verify [ID]`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any, get_args

from cnet_app.cli.output import download_progress, end_progress, only_result, show_progress
from models import weights
from models.catalog import Family, Kind, Weights, size_text
from models.checksums import Checked, distinct, recorded_sha256, verify
from models.errors import DamagedError, InputError, MissingError
from models.local import FOLDERS, LocalFile, LocalKind, local_files
from models.own import OWN_KINDS, add_repository, known, known_rows, refuse_file
from models.places import fullest_folder

UNKNOWN_CHECKSUM = "none known; recorded at the first download"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """An action, and an id where it needs one."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    texts = {
        "list": "All weights: id, kind, family, size, whether they are here, licence.",
        "show": "One row of the catalogue: its files, what it may be used for.",
        "download": "Fetch the files of one row.",
        "add": "Note a repository of the hub, so that it is listed and offered like the catalogue's own.",
        "verify": "Read every file to its end and hold it against its checksum; exit code 3 where one is damaged or missing.",
    }
    commands = {name: actions.add_parser(name, help=text, description=text) for name, text in texts.items()}
    for name in ("show", "download"):
        commands[name].add_argument("id", metavar="ID", help="an id of `models list`")
    commands["verify"].add_argument("id", metavar="ID", nargs="?", help="one row; left out, all that is here")
    commands["add"].add_argument("repository", metavar="REPOSITORY", help="owner/name, as on huggingface.co")
    commands["add"].add_argument("--kind", choices=OWN_KINDS, help="what it holds; left out, its config is asked")
    kinds = list(dict.fromkeys((*get_args(Kind), *get_args(LocalKind))))
    commands["list"].add_argument("--kind", choices=kinds, help="these alone")
    commands["list"].add_argument("--family", choices=get_args(Family), help="what fits this family of bases alone")
    commands["list"].add_argument("--here", action="store_true", help="what is on this disk alone")
    functions = {"list": _list, "show": _show, "download": _download, "add": _add, "verify": _verify}
    for name, command in commands.items():
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(action=functions[name])


def run(args: argparse.Namespace) -> None:
    """Do the chosen action."""
    args.action(args)


def _list(args: argparse.Namespace) -> None:
    def wanted(one: Weights | LocalFile) -> bool:
        return args.kind in (None, one.kind) and args.family in (None, one.family)

    with only_result(args.json) as tell:
        rows = [row for row in known_rows() if wanted(row) and not (args.here and weights.find_row(row) is None)]
        files = [file for kind in FOLDERS for file in local_files(kind) if wanted(file)]
        wide = max((len(one.id if isinstance(one, Weights) else one.name) for one in (*rows, *files)), default=0)
        lines = [*(_line(row, wide) for row in rows), *(_local_line(file, wide) for file in files)]
        tell(
            {
                "models": [_values(row) for row in rows],
                "files": [_local_values(file) for file in files] if args.json else [],
            },
            "\n".join(lines),
        )


def _show(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        values = _values(_row(args.id))
        shown = {key: value for key, value in values.items() if value not in (None, "", (), [])}
        shown["conditions"] = ", ".join(values["conditions"])
        shown["files"] = "".join(f"\n  {_file_text(file)}" for file in values["files"])
        tell(values, "\n".join(f"{key}: {value}" for key, value in shown.items() if value))


def _file_text(file: dict[str, Any]) -> str:
    return f"{file['name']} ({size_text(file['size'])}), checksum: {file['sha256'] or file['recorded'] or UNKNOWN_CHECKSUM}"


def _download(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        row = _row(args.id)
        path = weights.fetch_row(row, download_progress)
        end_progress()
        tell(_values(row), str(path))


def _add(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        if Path(args.repository).exists():
            raise refuse_file(Path(args.repository))
        row = add_repository(args.repository, args.kind)
        hint = f"`models download {row.id}` fetches its files."
        tell(_values(row), f"{row.id} is noted as {row.kind}{f' ({row.family})' if row.family else ''}; {hint}")


def _verify(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        rows = [_row(args.id)] if args.id else [row for row in distinct(known_rows()) if fullest_folder(row)]
        checked = [one for row in rows for one in verify(row, lambda path: show_progress(f"Reading {path.name}"))]
        end_progress()
        tell({"files": [_checked_values(one) for one in checked]}, "\n".join(_checked_line(one) for one in checked))
    faults = [one.fault for one in checked if one.state == "damaged"]
    if faults:
        raise DamagedError(faults[0] if len(faults) == 1 else f"{len(faults)} files are damaged; see above.")
    missing = [one for one in checked if one.state == "missing"]
    if missing:
        raise MissingError(
            f"{missing[0].row.title} lacks {missing[0].name}; run `models download {missing[0].row.id}`."
        )


def _checked_line(one: Checked) -> str:
    return f"{one.state:12}  {one.row.id}  {one.name}"


def _checked_values(one: Checked) -> dict[str, Any]:
    told = {"id": one.row.id, "name": one.name, "state": one.state, "sha256": one.sha256}
    return told | {"path": str(one.path) if one.path else None, "fault": one.fault}


def _row(id: str) -> Weights:
    try:
        return known(id)
    except LookupError as error:
        raise InputError(str(error)) from error


def _line(row: Weights, wide: int) -> str:
    state = "here" if weights.find_row(row) else "-"
    return f"{row.id:{wide}} {row.kind:10} {row.family or '':9} {size_text(row.size):>12}  {state:5} {row.licence}"


def _local_line(file: LocalFile, wide: int) -> str:
    size = size_text(file.path.stat().st_size)
    return f"{file.name:{wide}} {file.kind:10} {file.family or '':9} {size:>12}  here"


def _local_values(file: LocalFile) -> dict[str, Any]:
    """With the checksum, which takes a while of a large file."""
    told = {name: getattr(file, name) for name in ("name", "kind", "family", "sha256")}
    return told | {"size": file.path.stat().st_size, "path": str(file.path)}


def _values(row: Weights) -> dict[str, Any]:
    found = weights.find_row(row)
    told = dataclasses.asdict(row) | {name: getattr(row, name) for name in ("use", "terms", "non_commercial", "size")}
    told["files"] = [dataclasses.asdict(file) | {"recorded": recorded_sha256(row, file)} for file in row.files]
    return told | {"path": str(found) if found else None}
