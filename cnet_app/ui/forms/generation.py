"""The fields that every picture needs: prompt, seed, size, steps, guidance and sampler."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from cnet_app.registry.samplers import SAMPLERS
from cnet_app.request.generation import REQUEST_LIMITS
from cnet_app.request.limits import MAX_PROMPT
from cnet_app.ui.forms.active import Active
from cnet_app.ui.forms.controls import parameter_input
from cnet_app.ui.forms.form import Form
from cnet_app.ui.forms.seed import SeedForm
from cnet_app.ui.forms.size import Frame, SizeForm, build_size
from cnet_app.ui.gradio_seams import Component, Updates, Values
from cnet_app.ui.labels import label_of
from models.catalog import Defaults

SAMPLER_TITLES = {row.id: row.title for row in SAMPLERS}


class SamplingForm(Form):
    """Steps, guidance, sampler and what else holds for the whole picture."""

    def active(self, values: Values, defaults: Defaults) -> Iterator[Active]:
        """Yield what is not at the base's default."""
        given = self.read(values)
        usual = {
            **_PLAIN,
            "num_inference_steps": defaults.num_inference_steps,
            "guidance_scale": defaults.guidance_scale,
        }
        for name, value in given.items():
            if value != usual[name]:
                yield Active(name, _text(name, value), {self[name]: usual[name]})

    def of_base(self, defaults: Defaults) -> Updates:
        """Set what starts with other values on another base."""
        return self.updates(
            {"num_inference_steps": defaults.num_inference_steps, "guidance_scale": defaults.guidance_scale}
        )


_PLAIN: dict[str, Any] = {
    "scheduler": "default", "eta": 0.0, "guess_mode": False, "norm_preserving": False, "negative_prompt": "",
}  # fmt: skip


def _text(name: str, value: Any) -> str:
    """Return a setting in a few words, as the list of those in effect shows it."""
    if name == "num_inference_steps":
        return f"{value:g} steps"
    if name == "scheduler":
        return f"{SAMPLER_TITLES[value]}"
    if isinstance(value, bool) or name == "negative_prompt":
        return label_of(name)
    return f"{label_of(name)} {value:g}"


@dataclass(frozen=True)
class GenerationForm:
    """Prompt, seed, size and sampling of the picture."""

    prompt: gr.Textbox
    seed: SeedForm
    size: SizeForm
    sampling: SamplingForm
    defaults: gr.State
    """models.catalog.Defaults of the base in use."""

    @property
    def components(self) -> set[Component]:
        """All, as inputs of a listener."""
        parts = (self.seed, self.size, self.sampling)
        return {self.prompt, self.defaults, *(component for part in parts for component in part.components)}

    def frame(self, values: Values, source: Any) -> Frame:
        """Return the picture's size for a source. Raises InputError."""
        return self.size.frame(values, values[self.defaults].size, source)

    def options(self, values: Values, frame: Frame) -> dict[str, Any]:
        """Return fields of a request. Raises InputError."""
        size = {"width": frame.width, "height": frame.height}
        return {"prompt": values[self.prompt], **self.seed.options(values), **size, **self.sampling.read(values)}

    def active(self, values: Values) -> Iterator[Active]:
        """Yield what is not at its default."""
        yield from self.size.active(values)
        yield from self.sampling.active(values, values[self.defaults])

    def of_base(self, defaults: Defaults) -> Updates:
        """Set what starts with other values on another base."""
        size = self.size.updates({"width": defaults.size, "height": defaults.size})
        return {self.defaults: defaults, **size, **self.sampling.of_base(defaults)}


def build_prompt(name: str, placeholder: str) -> gr.Textbox:
    """Build the prompt: one line that grows, so that Enter sends it."""
    return gr.Textbox(
        "", label=label_of("prompt"), lines=1, max_lines=6, placeholder=placeholder, max_length=MAX_PROMPT,
        elem_id=f"{name}-prompt",
    )  # fmt: skip


def build_settings(name: str, prompt: gr.Textbox, seed: SeedForm, defaults: Defaults) -> GenerationForm:
    """Build size, steps, guidance and the rest, folded away."""
    fields: dict[str, Any] = {}

    def add(field: str, **options: Any) -> None:
        fields[field] = parameter_input(field, REQUEST_LIMITS[field], elem_id=f"{name}-{field}", **options)

    with gr.Accordion("Size, steps, guidance", open=False, elem_id=f"{name}-more"):
        size = build_size(name, defaults.size)
        with gr.Row():
            add("num_inference_steps", value=defaults.num_inference_steps, min_width=250)
            add("guidance_scale", value=defaults.guidance_scale, min_width=250)
        with gr.Row(equal_height=True):
            fields["scheduler"] = gr.Dropdown(
                [(title, id) for id, title in SAMPLER_TITLES.items()], value="default", label=label_of("scheduler"),
                elem_id=f"{name}-scheduler", min_width=160,
            )  # fmt: skip
            add("eta", info="New noise at every step. Only for DDIM and TCD.", min_width=160)
        fields["guess_mode"] = gr.Checkbox(
            label=label_of("guess_mode"),
            info="The map alone decides: the prompt may be empty. Best with 50 steps and guidance 3 to 5.",
            elem_id=f"{name}-guess_mode",
        )
        fields["norm_preserving"] = gr.Checkbox(
            label=label_of("norm_preserving"),
            info="Several layers together act no stronger than the strongest of them.",
            elem_id=f"{name}-norm_preserving",
        )
        fields["negative_prompt"] = gr.Textbox(
            "", label=label_of("negative_prompt"), info="What the picture should not show. Needs guidance above 1.",
            max_length=MAX_PROMPT, elem_id=f"{name}-negative_prompt",
        )  # fmt: skip
    return GenerationForm(prompt, seed, size, SamplingForm(fields), gr.State(defaults))
