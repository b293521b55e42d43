"""Pictures and jobs that were made before, also in earlier starts; and the recipe of any picture, to be made again."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import gradio as gr

from cnet_app.jobs.runner import Runner
from cnet_app.jobs.store import Record
from cnet_app.request.foreign.imported import Imported
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.generation import REQUEST_LIMITS, GenerationRequest
from cnet_app.request.known import check_known
from cnet_app.request.limits import MAX_PROMPT
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import Recipe
from cnet_app.request.upscale import UPSCALE_LIMITS, UpscaleRequest
from cnet_app.ui.bases import defaults_of
from cnet_app.ui.errors import attempt
from cnet_app.ui.forms.controls import parameter_input, photo_input, read_photo
from cnet_app.ui.gradio_seams import HIDDEN, Component, Updates, Values, listen
from cnet_app.ui.labels import label_of
from cnet_app.ui.output import build_buttons, build_output
from cnet_app.ui.page import Page, connect_generate
from cnet_app.ui.progress import error_html
from cnet_app.ui.recipe_text import imported_html, recipe_html, record_line
from models.errors import InputError

R = TypeVar("R", GenerationRequest, UpscaleRequest)
NAME = "history"
SHOWN = 24
HINT = (
    "Drop a picture that was made here or by another program (AUTOMATIC1111, Forge, ComfyUI, InvokeAI, Fooocus, SwarmUI, "
    "NovelAI), or choose one from the history: its recipe appears."
)
NO_PICTURE = "There is no picture yet; drop one, or choose one from the history."
EDITABLE = ("prompt", "seed", "num_images")


class HistoryTab:
    """Components of the tab and what joins them, built inside the open gr.Tab `tab`.

    Where others can reach the app, nobody is shown what others made.
    """

    def __init__(self, page: Page, tab: gr.Tab) -> None:
        self._page = page
        self._is_local = page.settings.is_local
        with gr.Row():
            with gr.Column(scale=6, min_width=320):
                self.picture = photo_input("Image", ["upload"], elem_id=f"{NAME}-picture", height=240)
                self.jobs = gr.Dropdown([], label="Recent runs", visible=self._is_local, elem_id=f"{NAME}-jobs")
                self.made = gr.Gallery(
                    label="Recent", columns=4, height=320, object_fit="cover", allow_preview=False, interactive=False,
                    buttons=[], visible=self._is_local, elem_id=f"{NAME}-made",
                )  # fmt: skip
            with gr.Column(scale=5, min_width=320):
                self.text = gr.HTML(HINT, elem_id=f"{NAME}-recipe", elem_classes="note", padding=False)
                self.fields: dict[str, Component] = {
                    "prompt": gr.Textbox(
                        "", label=label_of("prompt"), lines=2, max_length=MAX_PROMPT, elem_id=f"{NAME}-prompt"
                    )
                }
                with gr.Row():
                    for name in ("seed", "num_images"):
                        self.fields[name] = parameter_input(name, REQUEST_LIMITS[name], elem_id=f"{NAME}-{name}")
                buttons = build_buttons(NAME, "Generate again")
                self.larger = gr.Button(f"Upscale {UPSCALE_LIMITS['factor'].default:g}×", elem_id=f"{NAME}-upscale")
                self.output = build_output(NAME, buttons)
        self.recipe = gr.State(None)
        """The request of the chosen picture; None where there is none, or it holds no recipe."""
        self.paths = gr.State([])
        """Of the pictures in the gallery."""
        self._connect(tab)

    def _connect(self, tab: gr.Tab) -> None:
        of_recipe = [self.recipe, self.text, *self.fields.values()]
        base = self._page.models["base"]
        # Picture and recipe are always of one job: each way of choosing sets both, and what is refused clears both.
        listen([self.picture.upload, self.picture.clear], self._load_picture, {self.picture, base}, of_recipe, **HIDDEN)
        self.jobs.input(self._load_job, {self.jobs}, [self.picture, *of_recipe], **HIDDEN)
        self.made.select(self._choose, {self.paths, base}, [self.picture, self.jobs, *of_recipe], **HIDDEN)
        listed = [self.jobs, self.made, self.paths]
        tab.select(self._refresh, set(), listed, **HIDDEN)
        models = self._page.models
        again = {self.recipe, *self.fields.values()}
        ends = connect_generate(self._page, self.output, [self.output.generate.click], again, self._again)
        larger = {*again, self.picture, *models.components}
        ends += connect_generate(self._page, self.output, [self.larger.click], larger, self._upscaled)
        for end in ends:
            end.then(self._refresh, set(), listed, **HIDDEN)

    def _load_picture(self, values: Values) -> Updates:
        return self._of_file(values[self.picture], values)

    def _load_job(self, values: Values) -> Updates:
        record = next((one for one in self._records() if one.id == values[self.jobs]), None)
        if record is None:
            return self._nothing(HINT)
        first = next((path for path in record.paths if Path(path).is_file()), None)
        request, fault = attempt(lambda: self._page.runner.request(record.id))
        shown = self._of(request) if isinstance(request, GenerationRequest) else self._nothing(error_html(fault))
        return {self.picture: first, **shown}

    def _choose(self, values: Values, event: gr.SelectData) -> Updates:
        path = values[self.paths][event.index]
        return {self.picture: path, self.jobs: None, **self._of_file(path, values)}

    def _of_file(self, path: str | None, values: Values) -> Updates:
        """Show the recipe inside a picture; without one, none."""
        if not path:
            return self._nothing(HINT)
        shown, fault = attempt(lambda: self._of_recipe(read_picture(Path(path)), values))
        return shown or self._nothing(error_html(fault))

    def _of_recipe(self, recipe: Recipe | Imported, values: Values) -> Updates:
        """Show a recipe; for one of another program whose base model is not here, on the page's."""
        if isinstance(recipe, Recipe):
            return self._of(recipe.request)
        request = recipe.request(recipe.base or values[self._page.models["base"]] or self._page.base()[0])
        return {**self._of(request), self.text: imported_html(recipe, request)}

    def _of(self, request: GenerationRequest) -> Updates:
        fields = {self.fields[name]: getattr(request, name) for name in EDITABLE}
        return {self.recipe: request, self.text: recipe_html(request), **fields}

    def _nothing(self, text: str) -> Updates:
        return {self.recipe: None, self.text: text, self.fields["prompt"]: ""}

    def _refresh(self, _: Values) -> Updates:
        records = self._records()
        existing = [path for record in records for path in record.paths if Path(path).is_file()][:SHOWN]
        lines = [(record_line(record), record.id) for record in records]
        return {self.jobs: gr.Dropdown(choices=lines), self.made: existing, self.paths: existing}

    def _records(self) -> Sequence[Record]:
        runner: Runner = self._page.runner
        return runner.history() if self._is_local else []

    def _again(self, values: Values) -> GenerationRequest:
        """Return the recipe with what was changed in it; the page's models play no part, the recipe names its own."""
        recipe: GenerationRequest | None = values[self.recipe]
        if recipe is None:
            raise InputError("There is no recipe yet; drop a picture that has one, or choose one.")
        return self._checked(dataclasses.replace(recipe, **{name: values[self.fields[name]] for name in EDITABLE}))

    def _upscaled(self, values: Values) -> UpscaleRequest:
        """Return the request for the picture at twice its size: by its recipe, else by the page's models."""
        recipe: GenerationRequest | None = values[self.recipe]
        fields: dict[str, Any] = recipe.shared if recipe else self._without_recipe(values)
        picture = encode_png(read_photo(values[self.picture], NO_PICTURE))
        fields |= {"prompt": values[self.fields["prompt"]]}
        return self._checked(UpscaleRequest(picture=picture, **fields))

    def _without_recipe(self, values: Values) -> dict[str, Any]:
        models = self._page.models
        options = models.options(values, "" if values[models["base"]] else self._page.base()[0])
        defaults = defaults_of(options["base"])
        sampling = {
            "guidance_scale": defaults.guidance_scale,
            "num_inference_steps": defaults.num_inference_steps,
            "seed": values[self.fields["seed"]],
        }
        return {name: options[name] for name in ("base", "vae", "loras", "ip_adapter")} | sampling

    def _checked(self, request: R) -> R:
        if not self._is_local:
            check_known(request)
        return request


def build_history_tab(page: Page) -> HistoryTab:
    """Build a tab of the open gr.Tabs."""
    with gr.Tab("History", id=NAME, elem_id=f"{NAME}-tab") as tab:
        return HistoryTab(page, tab)
