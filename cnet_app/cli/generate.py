"""`generate --control CONDITION=FILE … --prompt TEXT --output DIR`, or `generate --recipe PICTURE.png --output DIR`."""

from __future__ import annotations

import argparse
import dataclasses
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from annotators.base import create
from annotators.images import load_image
from annotators.registry import annotator
from cnet_app.cli.output import download_progress, end_progress, only_result, show_progress
from cnet_app.cli.texts import parse_control, parse_lora, parse_size, read_ip_adapter
from cnet_app.diffusion.schedulers import SAMPLERS, sampler
from cnet_app.engine.engine import Engine, Progress, create_engine
from cnet_app.engine.loaded import LoadedModels
from cnet_app.maps.annotate import annotate, build_unit, load_source
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.registry.modes import MODES
from cnet_app.registry.presets import FEW_STEPS, preset
from cnet_app.registry.presets import apply as apply_preset
from cnet_app.request.generation import REQUEST_LIMITS, GenerationRequest, GenerationResult
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import read_request, save_picture
from cnet_app.request.units import IP_ADAPTER_LIMITS, LORA_LIMITS, Lora
from cnet_app.settings import SPEEDS, Settings
from models.catalog import CATALOG
from models.errors import InputError

NUMBERS: Mapping[str, str] = {
    "seed": "seed",
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "eta": "eta",
    "strength": "strength",
    "residual_interval": "residual_interval",
    "num_images": "num_images",
}
"""Flag to field of the request; bounds and help are the request's own."""
TEXTS = ("prompt", "negative_prompt", "scheduler", "vae")
SWITCHES = ("guess_mode", "norm_preserving")
FILES = {"image": "initial_image", "inpaint_mask": "inpaint_mask"}
"""Flag to the field that holds the file's pixels."""
ADDITIONS = ("preset", "lora", "ip_adapter", "ip_image", "ip_scale")
NOT_WITH_RECIPE = ("control", *FILES, "base", "size", *SWITCHES, *NUMBERS, *TEXTS, *ADDITIONS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of the command. One that is not given is None: the base knows best, and a recipe says it all."""
    ids = ", ".join(row.id for row in CONDITIONS)
    parser.add_argument(
        "--control",
        metavar="CONDITION=FILE[,NAME=VALUE…]",
        action="append",
        help="a photo, or with annotator=none a map of your own: canny=photo.jpg or "
        "openpose=people.json (people as OpenPose writes them) or "
        "depth=map.png,annotator=none,scale=0.7,start=0,end=0.6; further names are controlnet, repair (of your own map), annotator and its "
        f"parameters, mode ({', '.join(MODES)}), weights=1/0.5/… and unconditional_weights for mode custom, "
        "curve=0:1/0.5:0 (strength by fraction of the steps), mask=white.png and feather (px); may be repeated; "
        f"conditions: {ids}",
    )
    parser.add_argument("--prompt", metavar="TEXT", help="what the picture shows")
    parser.add_argument("--negative-prompt", metavar="TEXT", help="what it should not show")
    parser.add_argument(
        "--base",
        metavar="ID",
        help="base model: catalogue id, hub id, folder, or a file in models/checkpoints; the best that can run",
    )
    samplers = ", ".join(row.id for row in SAMPLERS)
    parser.add_argument("--scheduler", metavar="ID", help=f"the sampler, one of: {samplers}")
    for flag, name in NUMBERS.items():
        limit = REQUEST_LIMITS[name]
        text = f"{limit.help} A number{limit.range_text()}."
        parser.add_argument(f"--{flag.replace('_', '-')}", metavar="N", type=type(limit.default), help=text)
    _add_additions(parser)
    parser.add_argument("--image", metavar="FILE", help="a picture to start from; see --strength")
    parser.add_argument(
        "--inpaint-mask", metavar="FILE", help="where it is white --image is made anew; elsewhere it stays as it is"
    )
    parser.add_argument("--size", metavar="WxH", help="width and height in px, best multiples of 64; the base's own")
    parser.add_argument("--guess-mode", action="store_const", const=True, help="let the maps speak for an empty prompt")
    parser.add_argument(
        "--norm-preserving",
        action="store_const",
        const=True,
        help="let units that fight add up no stronger than the strongest",
    )
    parser.add_argument(
        "--recipe", metavar="FILE", type=Path, help="a picture that was made here: remake it, bit for bit"
    )
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="where the pictures go")
    parser.add_argument("--device", metavar="NAME", default="auto", help="cpu or cuda; auto takes the fastest")
    speeds = next(option.metadata["help"] for option in dataclasses.fields(Settings) if option.name == "speed")
    parser.add_argument("--speed", metavar="NAME", default="near", choices=SPEEDS, help=speeds)
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_additions(parser: argparse.ArgumentParser) -> None:
    """What is used beside a base, and presets for it."""
    presets = [row.id for row in FEW_STEPS]
    weight, scale = LORA_LIMITS["scale"], IP_ADAPTER_LIMITS["scale"]
    adapters = ", ".join(row.id for row in CATALOG if row.kind == "ip_adapter")
    parser.add_argument(
        "--preset",
        metavar="ID",
        choices=presets,
        help="pictures in few steps: a LoRA with its sampler, steps and guidance, each of which a flag of its own "
        f"overrules; one of: {', '.join(presets)}",
    )
    parser.add_argument(
        "--lora",
        metavar="NAME[:WEIGHT]",
        action="append",
        help="a file in models/loras, a catalogue id or a path; may be repeated. "
        f"Its weight: {weight.help} A number{weight.range_text()}; {weight.default:g} where none is given.",
    )
    parser.add_argument(
        "--vae", metavar="ID", help="another autoencoder: catalogue id, hub id, folder, or a file in models/vae"
    )
    parser.add_argument(
        "--ip-adapter", metavar="ID", help=f"lets --ip-image speak beside the prompt; a path, or one of: {adapters}"
    )
    parser.add_argument("--ip-image", metavar="FILE", help="the picture that --ip-adapter reads")
    parser.add_argument(
        "--ip-scale",
        metavar="N",
        type=float,
        help=f"{scale.help} A number{scale.range_text()}; {scale.default:g} where none is given.",
    )


def run(args: argparse.Namespace) -> None:
    """Read everything first, so that a mistake is told before anything large is loaded; then make the pictures."""
    with only_result(args.json) as tell:
        started = time.perf_counter()
        settings = Settings(base=args.base or "", device=args.device, speed=args.speed, output_dir=args.output)
        engine = create_engine(settings)
        models = LoadedModels(engine)
        result = _remake(args, engine, models) if args.recipe else _make(args, engine, models)
        end_progress()
        result = dataclasses.replace(result, seconds=round(time.perf_counter() - started, 3))
        tell(result.to_json(), "\n".join((*result.paths, *result.notes)))


def _remake(args: argparse.Namespace, engine: Engine, models: LoadedModels) -> GenerationResult:
    given = [name for name in NOT_WITH_RECIPE if getattr(args, name) is not None]
    if given:
        raise InputError(f"--recipe remakes a picture as it was; leave out --{given[0].replace('_', '-')}.")
    return make_pictures(engine, models, read_request(args.recipe), args.output)


def _make(args: argparse.Namespace, engine: Engine, models: LoadedModels) -> GenerationResult:
    controls = [parse_control(text) for text in args.control or ()]
    sources = [load_source(control.path) for control in controls]
    given: dict[str, Any] = {name: getattr(args, name) for name in (*TEXTS, *SWITCHES)}
    given["loras"] = tuple(map(parse_lora, args.lora or ()))
    given["ip_adapter"] = read_ip_adapter(args.ip_adapter, args.ip_image, args.ip_scale)
    for flag, name in NUMBERS.items():
        value = getattr(args, flag)
        given[name] = value if value is None else REQUEST_LIMITS[name].check(name, value)
    for flag, name in FILES.items():
        if path := getattr(args, flag):
            given[name] = encode_png(load_image(Path(path)))
    if args.size:
        given["width"], given["height"] = parse_size(args.size)
    if args.scheduler:
        sampler(args.scheduler)
    chosen = {name: value for name, value in given.items() if value is not None}
    GenerationRequest(**chosen)  # says no to what cannot be, whatever the base

    base = models.base(args.base or engine.choose_base()[0], download_progress)
    start = _start_values(base, args.preset)
    chosen["loras"] = _together(chosen["loras"], start.get("loras", ()))
    request = GenerationRequest(**start | chosen)
    made_by = [create(annotator(control.annotator), control.parameters) for control in controls if control.annotator]
    for id in (id for kind in made_by for id in kind.needs()):
        engine.fetch(id, download_progress)  # where somebody sees how far it is; the loader then finds the files
    maps = [
        annotate(
            control.condition,
            control.annotator,
            source,
            control.parameters,
            request.width,
            request.height,
            repairs=control.repairs,
        )
        for control, (source, _) in zip(controls, sources, strict=True)
    ]
    units = [build_unit(control.condition, map, **control.options) for map, control in zip(maps, controls, strict=True)]
    result = make_pictures(engine, models, dataclasses.replace(request, units=tuple(units)), args.output)
    warnings = (text for map, (_, notes) in zip(maps, sources, strict=True) for text in (*notes, *map.warnings))
    return dataclasses.replace(result, notes=(*warnings, *result.notes))


def _start_values(base: Any, preset_id: str | None) -> dict[str, Any]:
    """What holds where the user says nothing else: the base's own, or a preset's; LoRAs as (name, weight)."""
    values = dataclasses.asdict(base.defaults)
    side = values.pop("size")
    values |= {"base": base.id, "width": side, "height": side, "seed": secrets.randbelow(2**31)}
    return apply_preset(values, preset(preset_id, base.family)) if preset_id else values


def _together(own: tuple[Lora, ...], presets: Iterable[tuple[str, float]]) -> tuple[Lora, ...]:
    """The user's LoRAs, then those of a preset that are not among them: the weight the user gave stays."""
    named = {lora.name for lora in own}
    return (*own, *(Lora(name=name, scale=scale) for name, scale in presets if name not in named))


def make_pictures(
    engine: Engine, models: LoadedModels, request: GenerationRequest, directory: Path
) -> GenerationResult:
    """Pictures one by one, each on disk before the next begins."""
    ready = models.prepare(request, download_progress)
    paths: list[str] = []
    norms: list[list[float]] = []
    notes: dict[str, None] = {}
    for index in range(request.num_images):

        def tell(progress: Progress, number: int = index + 1) -> None:
            show_progress(f"picture {number} of {request.num_images}: step {progress.step} of {progress.steps}")
            if progress.step == (progress.steps + 1) // 2:
                norms[:] = progress.norms()

        image = models.make(
            ready,
            request.only_picture(index),
            download_progress,
            on_step=tell,
            on_note=lambda note: notes.update({note: None}),
            cancelled=lambda: False,
        )
        paths.append(str(save_picture(directory, image, request, index, engine.describe(ready.base, request))))
    return GenerationResult(
        request=request,
        paths=tuple(paths),
        seeds=tuple(request.seed + index for index in range(request.num_images)),
        seconds=0.0,
        residual_norms=tuple(map(tuple, norms)),
        notes=tuple(notes),
    )
