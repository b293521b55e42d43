"""The request of a command: its flags, or a recipe."""

from __future__ import annotations

import argparse
import dataclasses
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from annotators.base import Image
from annotators.people.poses import Pose
from cnet_app.cli.arguments.texts import ControlText, parse_control, parse_lora, parse_size, read_ip_adapter
from cnet_app.cli.tasks.engine import create_maps, download_missing
from cnet_app.engine.missing import check_models
from cnet_app.engine.protocol import Engine
from cnet_app.maps.annotate import build_unit
from cnet_app.maps.own import load_source, source_role
from cnet_app.registry.conditions import CONDITIONS, start_scale
from cnet_app.registry.modes import MODES
from cnet_app.registry.presets import FEW_STEPS, preset
from cnet_app.registry.presets import apply as apply_preset
from cnet_app.registry.samplers import SAMPLERS, sampler
from cnet_app.request.foreign.imported import Imported
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.generation import INPAINT_AREAS, REQUEST_LIMITS, GenerationRequest
from cnet_app.request.inpaint import crop_sources
from cnet_app.request.pictures import HOLE, START, join_start, read_field
from cnet_app.request.prompts.wildcards import Wildcards, resolve_request
from cnet_app.request.recipes.recipe_files import JSON, read_request_file
from cnet_app.request.units import CONTROL_FORMS, IP_ADAPTER_LIMITS, LORA_LIMITS, Lora
from cnet_app.settings import Settings
from models.catalogue.catalog import CATALOG
from models.catalogue.resolve import missing, resolve
from models.catalogue.row import Weights
from models.errors import InputError
from models.families import own_base_note
from models.family_facts import Family

NUMBERS: Mapping[str, str] = {
    "seed": "seed",
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "eta": "eta",
    "strength": "strength",
    "inpaint_padding": "inpaint_padding",
    "residual_interval": "residual_interval",
    "reuse_threshold": "reuse_threshold",
    "num_images": "num_images",
}
"""Flag to field of the request; bounds and help are the request's own."""
TEXTS = ("prompt", "negative_prompt", "scheduler", "vae", "inpaint_area")
SWITCHES = ("guess_mode", "norm_preserving")
FILES = {"image": "initial_image", "inpaint_mask": "inpaint_mask"}
"""Flag to the field that holds the file's pixels."""
ADDITIONS = ("preset", "lora", "ip_adapter", "ip_image", "ip_scale")
NOT_WITH_RECIPE = ("control", *FILES, "base", "size", *SWITCHES, *NUMBERS, *TEXTS, *ADDITIONS)


def add_request_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of a request. One that is not given is None: the base knows best, and a recipe says it all."""
    ids = ", ".join(row.id for row in CONDITIONS)
    parser.add_argument(
        "--control",
        metavar="CONDITION=FILE[,NAME=VALUE…]",
        action="append",
        help="a photo, or with annotator=none a map of your own: canny=photo.jpg or "
        "openpose=people.json (people as OpenPose writes them) or "
        "depth=map.png,annotator=none,scale=0.7,start=0,end=0.6; further names are controlnet, repair (of your own map), annotator and its "
        f"parameters, mode ({', '.join(MODES)}), weights=1/0.5/… and unconditional_weights for mode custom, "
        "curve=0:1/0.5:0 (strength by fraction of the steps), depth_curve=0:1/1:0.5 (by depth in the network), prompt=TEXT "
        "(for the ControlNet alone), mask=white.png and feather (px), or weight_map=grey.png (128 is 0, 255 is 1, 1 is -1), "
        f"form ({', '.join(CONTROL_FORMS)}) where a ControlNet has two; "
        "may be repeated; "
        f"conditions: {ids}",
    )
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        help="what the picture shows; `{red|green}` takes one of the texts, `__name__` a line of models/wildcards/name.txt",
    )
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
    parser.add_argument(
        "--inpaint-area",
        choices=INPAINT_AREAS,
        help="picture: --image is cropped to the size and painted whole; mask: only the part around the mask is made at "
        "this size and put back into --image, which keeps its own size; photos for --control that have it are cut too",
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
        "--recipe",
        metavar="FILE",
        type=Path,
        help="a picture that was made here: remake it, bit for bit; or one of AUTOMATIC1111's web UI, Forge, ComfyUI, "
        "InvokeAI, Fooocus, SwarmUI or NovelAI: make one by its settings, on the base of --base where its own is not here; or the request as JSON",
    )


def _add_additions(parser: argparse.ArgumentParser) -> None:
    """Flags for models used with a base, and for presets."""
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


@dataclass(frozen=True)
class Asked:
    """What a command asks for."""

    request: GenerationRequest
    """Prompts of flags may hold wildcards, those of a recipe hold none."""
    sources: tuple[Image | Pose, ...] = ()
    """Of its units, where they are known."""
    notes: tuple[str, ...] = ()


def request_of_recipe(args: argparse.Namespace, free: Sequence[str] = ()) -> Asked:
    """Return the request of --recipe; flags that it leaves no room for, all but those of `free`, are an InputError."""
    given = [name for name in NOT_WITH_RECIPE if name not in free and getattr(args, name) is not None]
    if given and given != ["base"]:
        raise _not_with_recipe(next(name for name in given if name != "base"))
    recipe = None if args.recipe.suffix.lower() == JSON else read_picture(args.recipe)
    if isinstance(recipe, Imported):
        return Asked(_foreign_request(recipe, args.base), notes=(recipe.note,))
    if given:
        raise _not_with_recipe(given[0])
    if recipe is None:
        request, notes = read_request_file(args.recipe)
        return Asked(request, notes=notes)
    return Asked(recipe.request, notes=recipe.changed_files)


def _not_with_recipe(name: str) -> InputError:
    return InputError(f"--recipe remakes a picture as it was; leave out --{name.replace('_', '-')}.")


def _foreign_request(recipe: Imported, base: str | None) -> GenerationRequest:
    """The request of another program's recipe, on its own base model or the given one."""
    chosen = base or recipe.base
    if chosen is None:
        named = f"the base model {recipe.wanted_base}, which is not here" if recipe.wanted_base else "no base model"
        raise InputError(
            f"The recipe of {recipe.program} names {named}; put its file into models/checkpoints, "
            "or give another one with --base."
        )
    return recipe.request(chosen)


def request_of_flags(args: argparse.Namespace, engine: Callable[[], Engine], settings: Settings) -> Asked:
    """Return the request of the flags. All files are read first, so that a mistake is reported before anything large is loaded."""
    controls = [parse_control(text) for text in args.control or ()]
    size = parse_size(args.size) if args.size else None
    sources = [
        load_source(control.path, source_role(control.condition, control.annotator), size) for control in controls
    ]
    chosen, notes = _given(args)
    resolve_request(GenerationRequest(**chosen), Wildcards())  # refuses what is wrong whatever the base

    base = args.base or engine().status().base
    wanted = [(control.condition, _named(control)) for control in controls]

    def needed() -> tuple[Weights, ...]:
        found = resolve(base, "base")
        if found.family:
            check_models(_started(base, args.preset, chosen), wanted)
        return missing(found)

    download_missing(needed, args.yes)
    request = _started(base, args.preset, chosen)
    maps = create_maps(settings, args.yes, engine)
    pictures = crop_sources(request, [source for source, _ in sources])
    made = [
        maps.annotate(
            control.condition,
            control.annotator,
            source,
            control.parameters,
            request.width,
            request.height,
            repairs=control.repairs,
        )
        for control, source in zip(controls, pictures, strict=True)
    ]
    family = resolve(base, "base").family
    units = [
        build_unit(control.condition, map, **{**_start_options(control, base, family), **control.options})
        for map, control in zip(made, controls, strict=True)
    ]
    warnings = (
        text
        for control, map, (_, told) in zip(controls, made, sources, strict=True)
        for text in (*told, *control.notes, *map.warnings)
    )
    return Asked(
        dataclasses.replace(request, units=tuple(units)),
        tuple(source for source, _ in sources),
        (*notes, *filter(None, [own_base_note(family, base)]), *warnings),
    )


def _start_options(control: ControlText, base: str, family: Family | None) -> dict[str, Any]:
    """Fields of a unit where the user names none: the strength that suits its ControlNet."""
    return {"conditioning_scale": start_scale(control.condition, _named(control), base, family)}


def _named(control: ControlText) -> str | None:
    """The ControlNet that a flag names; None for the condition's own."""
    named = control.options.get("controlnet")
    return None if named is None else str(named)


def _started(base: str, preset_id: str | None, chosen: Mapping[str, Any]) -> GenerationRequest:
    """The request of what flags name, and of the base and the preset where they name nothing; without units."""
    start = _start_values(base, preset_id)
    loras = _together(chosen["loras"], start.get("loras", ()))
    values: dict[str, Any] = {**start, **chosen, "loras": loras}
    return GenerationRequest(**values)


def _given(args: argparse.Namespace) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Fields of a request that flags name, and notes on their files."""
    given: dict[str, Any] = {name: getattr(args, name) for name in (*TEXTS, *SWITCHES)}
    given["loras"] = tuple(map(parse_lora, args.lora or ()))
    given["ip_adapter"] = read_ip_adapter(args.ip_adapter, args.ip_image, args.ip_scale)
    for flag, name in NUMBERS.items():
        value = getattr(args, flag)
        given[name] = value if value is None else REQUEST_LIMITS[name].check(name, value)
    pictures, notes = _pictures(args)
    given |= pictures
    if args.size:
        given["width"], given["height"] = parse_size(args.size)
    if args.scheduler:
        sampler(args.scheduler)
    return {name: value for name, value in given.items() if value is not None}, notes


def _pictures(args: argparse.Namespace) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Initial image and mask; a hole in the one is the other."""
    read = {name: read_field(name, Path(getattr(args, flag))) for flag, name in FILES.items() if getattr(args, flag)}
    notes = tuple(note for _, told in read.values() for note in told)
    mask = read[HOLE][0][HOLE] if HOLE in read else None
    fields, told = join_start(read[START][0] if START in read else {}, mask)
    return fields, (*notes, *told)


def _start_values(base: str, preset_id: str | None) -> dict[str, Any]:
    """Values where the user names none: those of the base's family, or a preset's; LoRAs as (name, weight)."""
    resolved = resolve(base, "base")
    values = dataclasses.asdict(resolved.defaults)
    side = values.pop("size")
    values |= {"base": base, "width": side, "height": side, "seed": secrets.randbelow(2**31)}
    if not preset_id:
        return values
    if resolved.family is None:
        raise InputError(
            f"--preset is {preset_id}, but the family of {base} is known only once it is here; download it first."
        )
    return apply_preset(values, preset(preset_id, resolved.family))


def _together(own: tuple[Lora, ...], presets: Iterable[tuple[str, float]]) -> tuple[Lora, ...]:
    """The user's LoRAs, then those of a preset that are not among them: the weight the user gave stays."""
    named = {lora.name for lora in own}
    return (*own, *(Lora(name=name, scale=scale) for name, scale in presets if name not in named))
