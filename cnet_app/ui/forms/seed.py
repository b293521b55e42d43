"""The seed: random by default, shown once it is drawn; unticking Random locks it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import gradio as gr

from cnet_app.request.generation import MAX_SEED, REQUEST_LIMITS
from cnet_app.ui.forms.controls import parameter_input
from cnet_app.ui.forms.form import Form
from cnet_app.ui.gradio_seams import HIDDEN, Component, Updates, Values


class SeedForm(Form):
    """Fields `num_images`, `seed` and `random`; `last` holds the seed of the last job, None before the first."""

    def __init__(self, fields: Mapping[str, Component], last: gr.State) -> None:
        super().__init__(fields)
        self.last = last

    def options(self, values: Values) -> dict[str, int]:
        """Return the request's fields; a random seed is drawn now. Raises InputError."""
        given = self.read(values)
        count = int(REQUEST_LIMITS["num_images"].check("num_images", given["num_images"]))
        seed = draw_seed(count) if given["random"] else given["seed"]
        return {"num_images": count, "seed": seed}

    @property
    def shown(self) -> list[Component]:
        """Components changed by `used`."""
        return [self["seed"], self.last]

    def used(self, seed: int) -> Updates:
        """Show the seed of a job that was just sent."""
        return {self["seed"]: seed, self.last: seed}


def draw_seed(num_images: int) -> int:
    """Return a random seed of which every picture's, seed + 1 and so on, is a seed too."""
    return secrets.randbelow(MAX_SEED - num_images + 2)


def build_seed(name: str) -> SeedForm:
    """Build the number of pictures, the seed, and its lock, in one line."""
    fields: dict[str, Any] = {}
    with gr.Row(elem_classes="repeats"):
        for field in ("num_images", "seed"):
            limit = REQUEST_LIMITS[field]
            fields[field] = parameter_input(field, limit, elem_id=f"{name}-{field}", info=None, min_width=110)
        with gr.Column(min_width=110, scale=0, elem_classes="seed-lock"):
            fields["random"] = gr.Checkbox(value=True, label="Random", elem_id=f"{name}-random", min_width=110)
            reuse = gr.Button("Reuse last", size="sm", elem_id=f"{name}-reuse-seed", min_width=110)
    form = SeedForm(fields, gr.State(None))

    def reuse_last(values: Values) -> Any:
        last = values[form.last]
        return gr.skip() if last is None else {form["seed"]: last, form["random"]: False}

    outputs = [form["seed"], form["random"]]
    # A seed that was typed is meant; without this the next click would draw another.
    form["seed"].input(lambda: False, None, form["random"], queue=False, **HIDDEN)
    reuse.click(reuse_last, {form.last}, outputs, queue=False, **HIDDEN)
    return form
