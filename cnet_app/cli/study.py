"""`study create NAME …`, `study results NAME` and `study list`: people judge pictures, on the page or by a link."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from cnet_app.cli.terminal.output import end_progress, make_folder, only_result, show_progress
from cnet_app.evaluation.pairing import parse_methods
from cnet_app.evaluation.study.create import Created, StudyDraft, create_study
from cnet_app.evaluation.study.plan import KINDS, SCALES, Study, all_studies, find_study
from cnet_app.evaluation.study.questions import answers_of
from cnet_app.evaluation.study.results import Results, describe, results
from cnet_app.evaluation.study.tables import exports, to_markdown
from cnet_app.settings import settings_for_command
from models.errors import SaveError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a command for each thing to do with a study."""
    actions = parser.add_subparsers(metavar="ACTION", required=True)
    new = actions.add_parser("create", help="make a study of folders of pictures with equal names")
    _add_create(new)
    new.set_defaults(act=_create)
    found = actions.add_parser("results", help="print what a study found, or write its tables and answers")
    found.add_argument("name", metavar="NAME", help="name of the study")
    found.add_argument("--output", metavar="DIR", type=Path, help="write results.md, .csv and .json, and answers.csv")
    found.add_argument("--unfinished", action="store_true", help="count those too who have questions left")
    found.set_defaults(act=_results)
    listed = actions.add_parser("list", help="list the studies and who took part")
    listed.set_defaults(act=_list)
    for sub in (new, found, listed):
        sub.add_argument(
            "--output-dir", type=Path, metavar="DIR", help="folder of pictures; studies are in studies/ below it"
        )
        sub.add_argument("--json", action="store_true", help="print one JSON object")


def _add_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="name of the study, which is in its link")
    parser.add_argument(
        "--images",
        metavar="[NAME=]DIR",
        action="append",
        required=True,
        help="pictures of a method; repeat it, 2 to 5 times",
    )
    parser.add_argument(
        "--control-images", metavar="DIR", type=Path, help="the maps, by the same names; a ranking needs them"
    )
    parser.add_argument(
        "--kind", choices=KINDS, default=KINDS[0], help="rank all pictures of a group, or guess which of two made one"
    )
    parser.add_argument(
        "--scale", choices=SCALES, default=SCALES[0], help="of a ranking: each rank once, or ratings from 1 to 5"
    )
    parser.add_argument("--groups", metavar="N", type=int, help="take so many of the common names, by chance; all")
    parser.add_argument(
        "--training", metavar="N", type=int, help="kind which: so many of them teach; a third, as in the paper"
    )
    parser.add_argument("--seed", metavar="N", type=int, help="of the choice and all orders; random")


def run(args: argparse.Namespace) -> None:
    """Do what was named."""
    args.act(args)


def _folder(args: argparse.Namespace) -> Path:
    return settings_for_command(output_dir=args.output_dir).studies_dir


def _create(args: argparse.Namespace) -> None:
    draft = StudyDraft(
        name=args.name, methods=parse_methods(args.images), kind=args.kind, controls=args.control_images,
        scale=args.scale, groups=args.groups, training=args.training, seed=args.seed,
    )  # fmt: skip
    with only_result(args.json) as tell:
        created = create_study(_folder(args), draft, lambda done, total: show_progress(f"read {done} of {total}"))
        end_progress()
        tell(
            {"folder": str(created.study.folder), "left_out": created.left_out} | describe(created.study),
            _words(created),
        )


def _words(created: Created) -> str:
    study, left = created.study, created.left_out
    names = "1 name that not every folder has was" if left == 1 else f"{left} names that not every folder has were"
    return (
        f"Made {study.folder}: {len(study.groups)} groups of {len(study.methods)} methods."
        + (f" {names} left out." if left else "")
        + f"\nParticipants open the app with /?study={study.name}"
    )


def _results(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        study = find_study(_folder(args), args.name)
        found = results(study, args.unfinished)
        written = _write(args.output, study, found) if args.output else ""
        tell(found.to_json(), to_markdown(found) + written)


def _write(folder: Path, study: Study, found: Results) -> str:
    make_folder(folder)
    try:
        for name, text in exports(found, answers_of(study).all()).items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise SaveError(f"{folder} cannot be written ({error.strerror}); choose another folder.") from error
    return f"\nWrote {folder}/results.md, .csv and .json, and answers.csv."


def _list(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        rows = [describe(study) for study in all_studies(_folder(args))]
        tell({"studies": rows}, "\n".join(map(_line, rows)) or "There is no study yet; create one with study create.")


def _line(row: dict[str, Any]) -> str:
    gone = f"; the files of {row['missing']} groups are gone" if row["missing"] else ""
    return (
        f"{row['name']}: {row['kind']}, {', '.join(row['methods'])}, {row['groups']} groups; "
        f"{row['finished']} finished, {row['unfinished']} began{gone}"
    )
