"""`evaluate pictures …`, `evaluate protocol NAME …`, `evaluate embedded` and `evaluate annotators`."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Callable, Mapping
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import Any, cast

from annotators.base import Image, create
from annotators.maps.control_map import ControlMap
from annotators.registry import annotator, parse_values
from cnet_app.cli.tasks.engine import add_engine_arguments, command_settings, create_maps, download_missing
from cnet_app.cli.terminal.output import end_progress, only_result, show_progress, write_png
from cnet_app.embedded.evaluate import command as embedded
from cnet_app.engine.create import create_engine
from cnet_app.engine.missing import rows_to_download
from cnet_app.engine.protocol import Engine, PictureMade
from cnet_app.evaluation.brisque import Brisque
from cnet_app.evaluation.distances import InceptionDistance, OwnDistance, WholeFolder
from cnet_app.evaluation.pairing import parse_methods, read_prompts
from cnet_app.evaluation.pictures import Evaluation, evaluate_pictures
from cnet_app.evaluation.protocols import PROTOCOLS, Generate, Run, judging_of, protocol, run_protocol
from cnet_app.evaluation.report import Report
from cnet_app.evaluation.scores import Judging
from cnet_app.evaluation.statistics import INTERVALS, LEVEL, RESAMPLES, TESTS, Settings
from cnet_app.evaluation.tables import to_markdown
from cnet_app.fidelity.compare import shipped_annotator
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps
from cnet_app.maps.availability import default_annotator
from cnet_app.registry.conditions import CONDITIONS, condition
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.plain import Scalar
from cnet_app.training.data.readers import FACTS, read_facts
from models.errors import InputError, StudioError

SMOKE_PICTURES, SMOKE_SIZE, SMOKE_BASE = 20, 256, "embedded"
SMOKE_SEED = 9_500_000
"""Of the first scene; those of the training pictures are far below."""
SMOKE_DATA = f"{SMOKE_PICTURES} scenes of this project's procedural world with their captions"
MOST_PICTURES = 1_000_000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare a command for each thing that is evaluated."""
    actions = parser.add_subparsers(metavar="WHAT", required=True)
    pictures = actions.add_parser("pictures", help="measure pictures of any method against their control images")
    _add_pictures(pictures)
    pictures.set_defaults(act=_pictures)
    published = actions.add_parser("protocol", help="make and measure pictures as a published evaluation does")
    _add_protocol(published)
    published.set_defaults(act=_protocol)
    for name, help in embedded.WHAT.items():
        own = actions.add_parser(name, help=help)
        embedded.add_arguments(own)
        own.set_defaults(act=embedded.run, what=name)


def run(args: argparse.Namespace) -> int | None:
    """Do what was named."""
    return args.act(args)


def _add_pictures(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--control-images", metavar="DIR", type=Path, required=True, help="the maps; a name.json beside one is its pose"
    )
    parser.add_argument(
        "--images", metavar="[NAME=]DIR", action="append", required=True,
        help="pictures of a method, named as their maps; may be repeated, and the methods are compared",
    )  # fmt: skip
    parser.add_argument(
        "--condition", metavar="ID", required=True, choices=[row.id for row in CONDITIONS], help="what the maps show"
    )
    parser.add_argument(
        "--annotator", metavar="ID", help="of the pictures; as data build noted it, or the condition's default"
    )
    parser.add_argument(
        "--set", metavar="NAME=VALUE", action="append", default=[],
        help="a parameter of the annotator; may be repeated; those left out are as data build noted them, or the defaults",
    )  # fmt: skip
    parser.add_argument("--prompts", metavar="FILE", type=Path, help="names and prompts: .json, .jsonl, .csv or .tsv")
    parser.add_argument("--output", metavar="DIR", type=Path, help="where scores and report go; run again to go on")
    _add_shared(parser)


def _add_protocol(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=f"one of: {', '.join(row.id for row in PROTOCOLS)}")
    parser.add_argument(
        "--smoke",
        action="store_true",
        help=f"{SMOKE_PICTURES} small pictures by the embedded model, offline, in minutes",
    )
    parser.add_argument("--control-images", metavar="DIR", type=Path, help="the maps")
    parser.add_argument("--photos", metavar="DIR", type=Path, help="photos, of which the maps are made")
    parser.add_argument("--prompts", metavar="FILE", type=Path, help="names and prompts: .json, .jsonl, .csv or .tsv")
    parser.add_argument("--base", metavar="ID", help="base model, in place of the protocol's")
    parser.add_argument("--controlnet", metavar="ID", help="ControlNet, in place of the base's own")
    parser.add_argument("--annotator", metavar="ID", help="detector, in place of the protocol's")
    parser.add_argument("--size", metavar="PX", type=int, help="side of a picture, in place of the protocol's")
    parser.add_argument("--count", metavar="N", type=int, help="only the first N control images")
    parser.add_argument(
        "--output", metavar="DIR", type=Path, required=True, help="where everything goes; run again to go on"
    )
    _add_shared(parser)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", metavar="DIR", type=Path, help="real pictures, for the distances")
    parser.add_argument("--fid", metavar="FILE", type=Path, help="Inception's weights: FID is given")
    parser.add_argument("--clip", metavar="DIR", type=Path, help="a CLIP model: the CLIP score is given")
    parser.add_argument("--aesthetics", metavar="FILE", type=Path, help="a linear predictor on that CLIP model")
    parser.add_argument(
        "--brisque", metavar="FILE", type=Path,
        help="a trained regressor, for BRISQUE: `allmodel` in one folder with `allrange`, or brisque_svm_weights.pt of piq",
    )  # fmt: skip
    parser.add_argument("--interval", choices=INTERVALS, default=INTERVALS[0], help="kind of bootstrap interval")
    parser.add_argument(
        "--level", metavar="SHARE", type=float, default=LEVEL.default, help=f"{LEVEL.help} (default: %(default)s)"
    )
    parser.add_argument("--test", choices=TESTS, default=TESTS[0], help="paired test between methods")
    parser.add_argument(
        "--resamples", metavar="N", type=int, default=RESAMPLES.default, help=f"{RESAMPLES.help} (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", metavar="N", type=int, default=0, help="of the resamples, and of a protocol's pictures"
    )
    add_engine_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _pictures(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        methods, prompts = parse_methods(args.images), _prompts(args)
        statistics, distances = _statistics(args), _distances(args)
        maps = create_maps(command_settings(args), args.yes)
        judging, notes = _judging(args, maps)
        if args.prompts and not args.clip:
            notes.append("The prompts change no number, as only the CLIP score reads them; give its model with --clip.")
        plan = Evaluation(
            controls=args.control_images,
            methods=methods,
            judging=judging,
            prompts=prompts,
            settings=statistics,
            output=args.output,
            distances=distances,
            reference=args.reference,
            notes=tuple(notes),
        )  # fmt: skip
        report = evaluate_pictures(plan, _progress("measured"))
        _tell(tell, report, args.output)


def _judging(args: argparse.Namespace, maps: Maps) -> tuple[Judging, list[str]]:
    """Return how the pictures are measured: as the flags say, else as the control images were built, where that is known."""
    given = parse_values(args.set)
    place, facts = _built(args.control_images)
    notes = list[str]()
    chosen = args.annotator
    row = condition(args.condition)
    is_same = facts.get("condition") == row.id and facts.get("annotator") in row.annotators
    if is_same and chosen in (None, facts["annotator"]):
        chosen = facts["annotator"]
        known = facts.get("annotator_parameters")
        parameters = (dict(known) if isinstance(known, dict) else {}) | given
        notes.append(f"Annotator and parameters are those of {place}, with which the control images were built.")
        if given:
            notes[-1] = notes[-1].removesuffix(".") + f"; other values were given for {', '.join(given)}."
    else:
        chosen, parameters = chosen or _default(row.id, maps), given
    if chosen is None and given:
        raise InputError("--set has no effect, as nothing is annotated for this condition; leave it out.")
    if chosen is not None and chosen in row.annotators:  # Judging refuses any other
        create(annotator(chosen), parameters)
    values = cast("Mapping[str, Scalar]", parameters)
    return Judging(row=row, annotator=chosen, parameters=values, annotate=annotate_again(maps)), notes


def _built(controls: Path) -> tuple[Path, Mapping[str, Any]]:
    """Return the notes of `data build` on control images, in their folder or the one above, and their file."""
    found = ((folder / FACTS, read_facts(folder)) for folder in (controls, controls.resolve().parent))
    return next((both for both in found if both[1]), (controls / FACTS, {}))


def _default(condition_id: str, maps: Maps) -> str | None:
    """Return the annotator that would be taken, so that the report names it; None where nothing is measured."""
    return default_annotator(condition_id, maps.faults) if condition(condition_id).measure else None


def _protocol(args: argparse.Namespace) -> None:
    with only_result(args.json) as tell:
        row = protocol(args.name)
        statistics, distances = _statistics(args), _distances(args)
        run = _smoke_run(args) if args.smoke else _full_run(args)
        settings = command_settings(args, base=run.used.base, output_dir=run.output)
        engine = cache(lambda: create_engine(settings, previews=False))
        maps = create_maps(settings, args.yes, engine)
        plan = Evaluation(
            controls=run.output,
            methods=(),
            judging=judging_of(run, annotate_again(maps)),
            settings=statistics,
            distances=distances,
            reference=args.reference,
        )
        make_control = _control_maker(maps, run)
        report = run_protocol(run, plan, _generator(engine, args.yes), make_control, _progress(f"{row.title}: made"))
        _tell(tell, report, run.output)


def _full_run(args: argparse.Namespace) -> Run:
    row = protocol(args.name)
    changed = {"base": args.base, "annotator": args.annotator, "size": args.size}
    used = dataclasses.replace(row, **{name: value for name, value in changed.items() if value is not None})
    REQUEST_LIMITS["width"].check("--size", used.size)
    if args.count is not None and not 1 <= args.count <= MOST_PICTURES:
        raise InputError(f"--count is {args.count}, but it must be from 1 to {MOST_PICTURES}.")
    return Run(
        row=row, used=used, output=args.output, data=f"the pictures of {args.control_images or args.photos}",
        controls=args.control_images, photos=args.photos, prompts=_prompts(args), controlnet=args.controlnet,
        limit=args.count, seed=args.seed,
    )  # fmt: skip


def _smoke_run(args: argparse.Namespace) -> Run:
    """Return the small run on scenes of the procedural world, which are drawn into the output folder."""
    for name in ("control_images", "photos", "prompts", "base", "controlnet", "annotator", "size", "count"):
        if getattr(args, name) is not None:
            raise InputError(f"--{name.replace('_', '-')} has no effect with --smoke; leave one of the two out.")
    row = protocol(args.name)
    judge = shipped_annotator(row.condition).id
    used = dataclasses.replace(row, base=SMOKE_BASE, annotator=judge, size=SMOKE_SIZE, pictures=1)
    exact = condition(row.condition).kind.id == "labels"
    scenes, prompts = _draw_scenes(args.output / "scenes", row.condition if exact else None)
    source: dict[str, Any] = {"controls" if exact else "photos": scenes}
    return Run(row=row, used=used, output=args.output, data=SMOKE_DATA, prompts=prompts, seed=args.seed, **source)


def _draw_scenes(folder: Path, exact: str | None) -> tuple[Path, dict[str, str]]:
    """Write the scenes, or their exact maps of a condition, and return the folder and the captions by name."""
    from cnet_app.cli.terminal.output import make_folder
    from cnet_app.embedded.world import control_images, create_scene

    make_folder(folder)
    prompts: dict[str, str] = {}
    for seed in range(SMOKE_SEED, SMOKE_SEED + SMOKE_PICTURES):
        scene = create_scene(seed, SMOKE_SIZE)
        write_png(folder / f"{seed}.png", control_images(scene)[exact] if exact else scene.image)
        prompts[str(seed)] = scene.caption
    return folder, prompts


def _control_maker(maps: Maps, run: Run) -> Callable[[Image, int], ControlMap]:
    def make(photo: Image, side: int) -> ControlMap:
        return maps.annotate(run.used.condition, run.used.annotator, photo, None, side, side)

    return make


def _generator(engine: Callable[[], Engine], yes: bool) -> Generate:
    """Return what makes one picture by the engine, which is created for the first."""

    def generate(request: Any) -> Image:
        download_missing(lambda: rows_to_download(request), yes)
        with closing(engine().run(request)) as stream:
            made = next((event.pixels for event in stream if isinstance(event, PictureMade)), None)
        if made is None:
            raise StudioError("The engine made no picture; run the command again.")
        return made

    return generate


def _prompts(args: argparse.Namespace) -> Mapping[str, str]:
    return read_prompts(args.prompts) if args.prompts else {}


def _statistics(args: argparse.Namespace) -> Settings:
    if args.seed < 0:
        raise InputError(f"--seed is {args.seed}, but it must be at least 0.")
    return Settings(
        level=args.level, resamples=args.resamples, interval=args.interval, test=args.test, seed=args.seed
    )  # fmt: skip


def _distances(args: argparse.Namespace) -> tuple[WholeFolder, ...]:
    """Return the numbers of whole folders that were asked for. Raises InputError where their files are missing."""
    if args.reference is not None and not args.reference.is_dir():
        raise InputError(
            f"--reference is {args.reference}, but there is no such folder; give the folder of real pictures."
        )
    if args.fid is not None and args.reference is None:
        raise InputError("--fid needs real pictures to compare with; give their folder with --reference.")
    if args.aesthetics is not None and args.clip is None:
        raise InputError("--aesthetics needs the CLIP model that it was trained on; give it with --clip.")
    found: list[WholeFolder] = [OwnDistance()] if args.reference is not None else []
    if args.fid is not None:
        found.append(InceptionDistance(args.fid))
    if args.clip is not None:
        from cnet_app.evaluation.clip import Aesthetics, ClipModel, ClipScore

        clip = ClipModel(args.clip)
        found.append(ClipScore(clip))
        if args.aesthetics is not None:
            found.append(Aesthetics(clip, args.aesthetics))
    if args.brisque is not None:
        found.append(Brisque(args.brisque))
    return tuple(found)


def _progress(what: str) -> Callable[[int, int], None]:
    return lambda done, total: show_progress(f"{what} {done} of {total}")


def _tell(tell: Callable[[Mapping[str, Any], str], None], report: Report, output: Path | None) -> None:
    end_progress()
    tests = ", and differences.csv" if report.contrasts else ""
    written = f"Wrote {output}/report.html, .md, .csv and .json{tests}.\n" if output else ""
    tell(report.to_json(), to_markdown(report) + written)
