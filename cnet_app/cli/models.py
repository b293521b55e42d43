"""`models list | show ID | download ID … | add REPOSITORY | verify [ID]`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

from annotators.base import create
from annotators.registry import annotator
from cnet_app.cli.terminal.consent import add_yes, ask_to_download, download_rows
from cnet_app.cli.terminal.output import end_progress, only_result, show_progress
from cnet_app.maps.availability import free_annotator
from cnet_app.registry.conditions import CONDITIONS, can_control, condition, own_controlnet
from models.catalogue import weights
from models.catalogue.catalog import TITLES, Kind, Weights, entry, size_text
from models.catalogue.fitting import made_for
from models.catalogue.local import FOLDERS, LocalFile, LocalKind, local_files
from models.catalogue.missing import missing_rows
from models.catalogue.own import HUB_ID, OWN_KINDS, add_repository, known, known_rows, refuse_file
from models.catalogue.places import fullest_folder, present
from models.catalogue.resolve import missing, resolve
from models.downloads.checksums import Checked, distinct, recorded_sha256, verify
from models.errors import DamagedError, InputError, MissingError
from models.families import FAMILIES
from models.family_facts import Family

UNKNOWN_CHECKSUM = "none known; recorded at the first download"
ACTIONS = {
    "list": "All weights: id, kind, family, size, whether they are here, licence.",
    "show": "One row of the catalogue: its files, what it may be used for.",
    "download": "Download weights: of ids, or all that a first picture needs. Lists sizes and licences first, and asks.",
    "add": "Note a repository of the hub, so that it is listed and offered like the catalogue's own.",
    "verify": "Read every file to its end and compare its checksum; exit code 3 where one is damaged or missing.",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add an action, and an id where it needs one."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    commands = {name: actions.add_parser(name, help=text, description=text) for name, text in ACTIONS.items()}
    commands["show"].add_argument("id", metavar="ID", help="an id of `models list`")
    _add_download_arguments(commands["download"])
    commands["verify"].add_argument("id", metavar="ID", nargs="?", help="one row; left out, all that is here")
    commands["add"].add_argument("repository", metavar="REPOSITORY", help="owner/name, as on huggingface.co")
    commands["add"].add_argument("--kind", choices=OWN_KINDS, help="what it holds; left out, its config is read")
    kinds = list(dict.fromkeys((*get_args(Kind), *get_args(LocalKind))))
    commands["list"].add_argument("--kind", choices=kinds, help="only this kind")
    commands["list"].add_argument("--family", choices=tuple(FAMILIES), help="only what fits this family of bases")
    commands["list"].add_argument("--here", action="store_true", help="only what is on this disk")
    functions = {"list": _list, "show": _show, "download": _download, "add": _add, "verify": _verify}
    for name, command in commands.items():
        command.add_argument("--json", action="store_true", help="print one JSON object")
        command.set_defaults(action=functions[name])


def _add_download_arguments(parser: argparse.ArgumentParser) -> None:
    ids = ", ".join(row.id for row in CONDITIONS)
    parser.add_argument("ids", metavar="ID", nargs="*", help="an id of `models list`, or owner/name on huggingface.co")
    parser.add_argument("--family", choices=tuple(FAMILIES), help="the base model of this family")
    parser.add_argument(
        "--condition",
        metavar="CONDITION",
        action="append",
        default=[],
        help=f"with --family, also its ControlNet and its annotator; may be repeated; one of: {ids}",
    )
    add_yes(parser)


def run(args: argparse.Namespace) -> None:
    """Do the chosen action."""
    args.action(args)


def _list(args: argparse.Namespace) -> None:
    def is_wanted(one: Weights | LocalFile) -> bool:
        return args.kind in (None, one.kind) and (args.family is None or args.family in made_for(one))

    with only_result(args.json) as show:
        rows = [row for row in known_rows() if is_wanted(row) and not (args.here and weights.find_row(row) is None)]
        files = [file for kind in FOLDERS for file in local_files(kind) if is_wanted(file)]
        wide = max((len(one.id if isinstance(one, Weights) else one.name) for one in (*rows, *files)), default=0)
        lines = [*(_line(row, wide) for row in rows), *(_local_line(file, wide) for file in files)]
        values = {
            "models": [_values(row) for row in rows],
            "files": [_local_values(file) for file in files] if args.json else [],
        }
        show(values, "\n".join(lines))


def _show(args: argparse.Namespace) -> None:
    with only_result(args.json) as show:
        values = _values(_row(args.id))
        shown = {key: value for key, value in values.items() if value not in (None, "", (), [])}
        shown["size"] = _size_words(_row(args.id))
        shown["conditions"] = ", ".join(values["conditions"])
        shown["files"] = "".join(f"\n  {_file_text(file)}" for file in values["files"])
        show(values, "\n".join(f"{key}: {value}" for key, value in shown.items() if value))


def _file_text(file: dict[str, Any]) -> str:
    return f"{file['name']} ({size_text(file['size'])}), checksum: {file['sha256'] or file['recorded'] or UNKNOWN_CHECKSUM}"


def _download(args: argparse.Namespace) -> None:
    """Download the rows that are named and not here, after a yes."""
    if args.condition and not args.family:
        raise InputError(f"--condition is given without --family; add --family with one of: {', '.join(TITLES)}.")
    if not args.ids and not args.family:
        raise InputError("Name what to download: an id of `models list`, or --family with --condition.")
    with only_result(args.json) as show:
        rows = [_row_or_repository(id) for id in args.ids]
        rows += _first_picture(args.family, args.condition) if args.family else []
        while needed := _needed(rows):
            ask_to_download(needed, args.yes)
            download_rows(needed)
        found = [_values(row) for row in distinct(rows)]
        show({"models": found}, "\n".join(str(values["path"]) for values in found))


def _needed(rows: Sequence[Weights]) -> list[Weights]:
    """Return the rows that are not on this disk. For a base that the user added, its configs come first, and name the others."""
    added = [row.id for row in rows if row.kind == "base" and row.id == row.repo]
    steps = [one for id in added for one in missing(resolve(id, "base"))]
    return [*missing_rows(row.id for row in rows if row.id not in added), *steps]


def _first_picture(family: Family, conditions: Sequence[str]) -> list[Weights]:
    """The base of a family, and of each condition the ControlNet and the best annotator that allows commercial use."""
    ids = [family]
    for row in map(condition, conditions):
        if not can_control(row.id, family, family):
            able = ", ".join(other.id for other in CONDITIONS if can_control(other.id, family, family))
            raise InputError(f"--condition {row.id} has no ControlNet for {TITLES[family]}; choose one of: {able}.")
        own = own_controlnet(row.id, family, family)  # a base may read maps itself
        ids += [*([own] if own else []), *create(annotator(free_annotator(row.id))).needs()]
    return [entry(id) for id in ids]


def _add(args: argparse.Namespace) -> None:
    with only_result(args.json) as show:
        if Path(args.repository).exists():
            raise refuse_file(Path(args.repository))
        row = add_repository(args.repository, args.kind)
        hint = f"`models download {row.id}` fetches its files."
        show(_values(row), f"{row.id} is noted as {row.kind}{f' ({row.family})' if row.family else ''}; {hint}")


def _verify(args: argparse.Namespace) -> None:
    with only_result(args.json) as show:
        rows = [_row(args.id)] if args.id else [row for row in distinct(known_rows()) if fullest_folder(row)]
        checked = [one for row in rows for one in verify(row, lambda path: show_progress(f"Reading {path.name}"))]
        end_progress()
        show({"files": [_checked_values(one) for one in checked]}, "\n".join(_checked_line(one) for one in checked))
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
    values = {"id": one.row.id, "name": one.name, "state": one.state, "sha256": one.sha256}
    return values | {"path": str(one.path) if one.path else None, "fault": one.fault}


def _row(id: str) -> Weights:
    try:
        return known(id)
    except LookupError as error:
        raise InputError(str(error)) from error


def _row_or_repository(id: str) -> Weights:
    """The row of an id, or of a hub repository, which is noted as one of the user's own."""
    found = next((row for row in known_rows() if id in (row.id, row.repo)), None)
    if found is None and HUB_ID.fullmatch(id):
        return add_repository(id)
    return found or _row(id)


def _line(row: Weights, wide: int) -> str:
    state = "here" if weights.find_row(row) else "-"
    return f"{row.id:{wide}} {row.kind:10} {row.family or '':9} {_size_words(row):>16}  {state:5} {row.licence}{', gated' if row.gated else ''}"


def _size(row: Weights) -> int | None:
    """The catalogue's number, else that of the files on this disk, as of those that ship with the project."""
    folder = weights.find_row(row) if row.size is None else None
    paths = {path for file in row.files if folder and (path := present(folder, file))}
    return sum(path.stat().st_size for path in paths) if paths else row.size


def _size_words(row: Weights) -> str:
    size = _size(row)
    return row.size_words if size is None else size_text(size)


def _local_line(file: LocalFile, wide: int) -> str:
    size = size_text(file.size)
    return f"{file.name:{wide}} {file.kind:10} {file.family or '':9} {size:>16}  here"


def _local_values(file: LocalFile) -> dict[str, Any]:
    """With the checksum, which takes some seconds for a large file."""
    values = {name: getattr(file, name) for name in ("name", "kind", "family", "sha256")}
    return values | {"size": file.size, "path": str(file.path)}


def _values(row: Weights) -> dict[str, Any]:
    found = weights.find_row(row)
    values = dataclasses.asdict(row) | {name: getattr(row, name) for name in ("use", "terms", "gate", "non_commercial")}
    values["size"] = _size(row)
    values["files"] = [dataclasses.asdict(file) | {"recorded": recorded_sha256(row, file)} for file in row.files]
    return values | {"path": str(found) if found else None}
