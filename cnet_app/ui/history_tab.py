"""What was made before: pictures and jobs, also of earlier starts; and any picture's recipe, to be made again."""

from __future__ import annotations

import dataclasses
import html
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from annotators.registry import ANNOTATORS
from cnet_app.diffusion.schedulers import SAMPLERS
from cnet_app.jobs.store import Record
from cnet_app.maps.upscale import FACTOR, upscale_request
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import REQUEST_LIMITS, GenerationRequest
from cnet_app.request.limits import MAX_PROMPT
from cnet_app.request.recipe import read_request
from cnet_app.request.tasks import Task
from cnet_app.ui.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.errors import attempt, toast
from cnet_app.ui.output import build_buttons, build_output
from cnet_app.ui.studio import Studio, connect, title_of
from models.errors import InputError
from models.local import FOLDERS, local_files
from models.own import known_rows

NAME = "history"
SHOWN = 24
HINT = "Drop a picture that was made here, or choose one from the history: its recipe appears."
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
EDITABLE = ("prompt", "seed", "num_images")


def build_history_tab(studio: Studio) -> None:
    """A tab of the open gr.Tabs. Where others can reach the app, nobody sees what others made."""
    open_to_all = studio.settings.is_local
    with gr.Tab("History", id=NAME, elem_id=f"{NAME}-tab") as tab, gr.Row():
        with gr.Column(scale=6, min_width=320):
            picture = photo_input("A picture made here", ["upload"], elem_id=f"{NAME}-picture", height=240)
            jobs = gr.Dropdown([], label="Jobs", info="The newest first.", visible=open_to_all, elem_id=f"{NAME}-jobs")
            made = gr.Gallery(
                label="Made before", columns=4, height=320, object_fit="cover", allow_preview=False, interactive=False,
                buttons=[], visible=open_to_all, elem_id=f"{NAME}-made",
            )  # fmt: skip
        with gr.Column(scale=5, min_width=320):
            recipe_text = gr.HTML(HINT, elem_id=f"{NAME}-recipe", elem_classes="note", padding=False)
            prompt = gr.Textbox(label="Prompt", lines=2, max_length=MAX_PROMPT, elem_id=f"{NAME}-prompt")
            with gr.Row():
                seed = parameter_input("seed", REQUEST_LIMITS["seed"], elem_id=f"{NAME}-seed")
                num_images = parameter_input("num_images", REQUEST_LIMITS["num_images"], elem_id=f"{NAME}-num_images")
            buttons = build_buttons(NAME, "Make it again")
            larger = gr.Button(f"Make the picture {FACTOR.default:g} times as large", elem_id=f"{NAME}-upscale")
            output = build_output(NAME, buttons)
    recipe = gr.State(None)
    paths = gr.State([])
    shown = [recipe, recipe_text, prompt, seed, num_images]

    def load_picture(path: str | None) -> Any:
        return _shown(lambda: read_request(Path(path)) if path else None)

    def load_job(id: str | None) -> Any:
        record = next((record for record in studio.runner.history() if record.id == id), None)
        first = next((path for path in record.paths if Path(path).is_file()), None) if record else None
        return first, *_shown(lambda: _generation(studio.runner.request(record.id)) if record else None)

    def choose(paths: list[str], event: gr.SelectData) -> Any:
        path = paths[event.index]
        return path, None, *load_picture(path)

    def refresh() -> tuple[Any, ...]:
        records = studio.runner.history() if open_to_all else []
        existing = [path for record in records for path in record.paths if Path(path).is_file()][:SHOWN]
        return gr.Dropdown(choices=[(_line(record), record.id) for record in records]), existing, existing

    def request(_: Any, recipe: GenerationRequest | None, *values: Any) -> GenerationRequest:
        """The panel has no say: the recipe names its own models."""
        if recipe is None:
            raise InputError("There is no recipe yet; drop a picture that was made here, or choose one.")
        wanted = dataclasses.replace(recipe, **dict(zip(EDITABLE, values, strict=True)))
        if not open_to_all:
            _check_known(wanted)
        return wanted

    def upscaled(common: dict[str, Any], path: str | None, words: str) -> GenerationRequest:
        fields = {name: common[name] for name in ("base", "vae", "loras")}
        return upscale_request(read_photo(path), float(FACTOR.default), prompt=words, **fields)

    # Picture and recipe are always of one job: each way of choosing sets both.
    gr.on([picture.upload, picture.clear], load_picture, picture, shown, **HIDDEN)
    jobs.input(load_job, jobs, [picture, *shown], **HIDDEN)
    made.select(choose, paths, [picture, jobs, *shown], **HIDDEN)
    tab.select(refresh, None, [jobs, made, paths], **HIDDEN)
    connect(studio, output, [output.generate.click], [recipe, prompt, seed, num_images], request)
    connect(studio, output, [larger.click], [picture, prompt], upscaled)


def recipe_html(request: GenerationRequest) -> str:
    """What makes the picture, in a few lines."""
    lines = [
        f"{title_of(request.base)}, {request.width}×{request.height} px, {request.num_inference_steps} steps, "
        f"sampler: {_sampler(request.scheduler)}, guidance {request.guidance_scale:g}"
        + (", guess mode" if request.guess_mode else "")
    ]
    if request.negative_prompt:
        lines.append(f"without: {request.negative_prompt}")
    lines += [
        f"{condition(unit.condition).title} ({_maker(unit.annotator)}), strength {unit.conditioning_scale:g}, "
        f"from {unit.control_guidance_start:.0%} to {unit.control_guidance_end:.0%} of the steps"
        for unit in request.units
    ]
    lines += _addition_lines(request)
    return "<br>".join(map(html.escape, lines))


def _sampler(id: str) -> str:
    """By the title that the form has for it."""
    return next((row.title for row in SAMPLERS if row.id == id), id)


def _maker(id: str | None) -> str:
    """Of a map, by name where it is known here."""
    return next((kind.title for kind in ANNOTATORS if kind.id == id), id or "own map")


def _addition_lines(request: GenerationRequest) -> Iterator[str]:
    """What is used beside base and units, where there is any."""
    yield from (f"LoRA {lora.name}, weight {lora.scale:g}" for lora in request.loras)
    if request.vae:
        yield f"autoencoder (VAE) {request.vae}"
    if request.ip_adapter:
        yield f"IP-Adapter {request.ip_adapter.name} with a picture, strength {request.ip_adapter.scale:g}"
    if request.residual_interval > 1:
        yield f"ControlNets once in {request.residual_interval} steps"
    if request.initial_image:
        where = ", its masked part alone" if request.inpaint_mask else ""
        yield f"from a picture{where}, {request.strength:.0%} made anew"


def _shown(load: Callable[[], GenerationRequest | None]) -> Any:
    request, fault = attempt(load)
    if fault:
        raise toast(fault)
    if request is None:
        return None, HINT, gr.skip(), gr.skip(), gr.skip()
    return request, recipe_html(request), request.prompt, request.seed, request.num_images


def _generation(task: Task) -> GenerationRequest:
    """The task, where it makes pictures from a prompt; else InputError."""
    if isinstance(task, GenerationRequest):
        return task
    raise InputError(f"This job is of kind {task.kind}, which has no recipe; choose another one.")


def _line(record: Record) -> str:
    """One job in the list: when, what became of it, the prompt."""
    prompt = record.prompt
    words = prompt if len(prompt) <= 50 else f"{prompt[:49]}…"
    return f"{time.strftime('%d %b %H:%M', time.localtime(record.created))} · {record.status} · {words or 'no prompt'}"


def _check_known(request: GenerationRequest) -> None:
    """A stranger's file does not make the app load or download whatever it names."""
    local = {file.name for kind in FOLDERS for file in local_files(kind)}
    known = local | {row.id for row in known_rows()}
    named = [request.base, *(unit.controlnet for unit in request.units if unit.controlnet)]
    named += [lora.name for lora in request.loras] + ([request.vae] if request.vae else [])
    named += [request.ip_adapter.name] if request.ip_adapter else []
    strange = [id for id in named if id not in known]
    if strange:
        raise InputError(f"The recipe names {strange[0]}, which this app does not offer; use its own models.")
