"""Shared parts of the commands that run models: settings, consent to downloads, progress, saved pictures."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import cache

from cnet_app.cli.terminal.consent import add_yes, ask_to_download, download_rows
from cnet_app.cli.terminal.output import end_progress, show_progress
from cnet_app.engine.create import create_engine
from cnet_app.engine.maps import maps_through
from cnet_app.engine.missing import rows_to_download
from cnet_app.engine.protocol import Engine, Event, Loading, Note, PictureMade, Prepared, Stepped
from cnet_app.maps.annotate import Annotated, Maps, open_store
from cnet_app.request.generation import GenerationRequest, GenerationResult
from cnet_app.request.maps import MapRequest
from cnet_app.request.recipe import save_picture
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import SPEEDS, Settings, device_name, settings_for_command
from models.catalogue.row import Weights
from models.names import DEVICE_NAMES


def add_engine_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every command that runs models; those left out come from the environment."""
    parser.add_argument(
        "--device", metavar="NAME", type=device_name, help=f"one of: {DEVICE_NAMES}; auto takes the fastest"
    )
    parser.add_argument(
        "--speed", metavar="NAME", choices=SPEEDS, help=f"one of: {', '.join(SPEEDS)}; see docs/models.md"
    )
    add_yes(parser)


def command_settings(args: argparse.Namespace, **given: object) -> Settings:
    """The environment's settings with the command's flags."""
    return settings_for_command(device=args.device, speed=args.speed, engine="thread", **given)


def download_missing(find: Callable[[], Sequence[Weights]], yes: bool) -> None:
    """Ask, then download, until nothing is missing: what a repository holds shows only in its configs.

    Raises MissingError where the answer is no, and what `find` raises for what is known by then.
    """
    while rows := find():
        ask_to_download(rows, yes)
        download_rows(rows)


def create_maps(settings: Settings, yes: bool, engine: Callable[[], Engine] | None = None) -> Maps:
    """Maps whose downloads are asked for; without an `engine` one is created for the first annotator with a network."""
    engine = engine or cache(lambda: create_engine(settings, previews=False))

    def make(request: MapRequest) -> Annotated:
        download_missing(lambda: rows_to_download(request), yes)
        return maps_through(engine())(request)

    return Maps(make, open_store(settings))


def own_maps(settings: Settings, engine: Callable[[], Engine]) -> Maps:
    """Maps by annotators that are on this machine, without a question for a download."""
    return Maps(lambda request: maps_through(engine())(request), open_store(settings))


def show_event(event: Event, pictures: int) -> None:
    """Show an event of progress where somebody looks."""
    if isinstance(event, Loading):
        show_progress(f"Loading {event.name}")
    elif isinstance(event, Stepped):
        show_progress(f"picture {event.image_index + 1} of {pictures}: step {event.step} of {event.steps}")


def make_pictures(
    engine: Engine, task: GenerationRequest | UpscaleRequest, settings: Settings, yes: bool
) -> GenerationResult:
    """Pictures one by one, each in the output folder before the next begins."""
    started = time.perf_counter()
    download_missing(lambda: rows_to_download(task), yes)
    request: GenerationRequest | None = None
    paths: list[str] = []
    norms: tuple[tuple[float, ...], ...] = ()
    notes: dict[str, None] = {}
    with closing(engine.run(task)) as stream:
        for event in stream:
            if isinstance(event, Prepared):
                request = event.request
            elif isinstance(event, PictureMade):
                assert request is not None
                norms = event.residual_norms
                folder, label = settings.output_dir, settings.ai_label
                paths.append(str(save_picture(folder, event.pixels, request, event.index, event.facts, label)))
            elif isinstance(event, Note):
                notes[event.text] = None
            else:
                show_event(event, request.num_images if request else 1)
    end_progress()
    assert request is not None
    return GenerationResult(
        request=request,
        paths=tuple(paths),
        seeds=tuple(request.seed + index for index in range(request.num_images)),
        seconds=round(time.perf_counter() - started, 3),
        residual_norms=norms,
        notes=tuple(notes),
    )
