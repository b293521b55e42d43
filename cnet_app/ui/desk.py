"""What every condition's tab shares: prompt, settings and pictures. Generate makes the picture of the tab that is open."""

from __future__ import annotations

from typing import Any, Literal

import gradio as gr

from cnet_app.registry.conditions import CONDITIONS, Condition
from cnet_app.ui.generation_form import (
    GenerationForm,
    build_prompt,
    build_repeats,
    build_settings,
    build_strength,
    build_unit_controls,
    controlnet_choices,
)
from cnet_app.ui.output import Output, build_buttons, build_output
from models.catalog import Defaults

NAME = "create"
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
FOLLOWING: dict[str, Any] = HIDDEN | {
    "trigger_mode": "always_last",
    "concurrency_id": "annotate",
    "concurrency_limit": 1,
}
"""What follows every change, however quick they come: the last one counts."""
OPEN = "open"
"""Beside the ControlNets chosen by condition, the condition whose tab is open."""
Order = Literal["go", "remap"]
PRESS_THE_OPEN_TAB = """() => {
    const open = document.querySelector("#tabs > .tab-wrapper [role=tab][aria-selected=true]");
    if (open) document.getElementById(`${open.dataset.tabId}-ORDER`)?.click();
}"""
"""Each tab has buttons of its own that nobody sees: so only the open tab's values are sent."""
PRESS_GENERATE = f'() => document.getElementById("{NAME}-generate").click()'
"""While a job runs the button cannot be pressed, and this does nothing."""
PRESS_ONE_TAB = f"""() => {{
    if (!document.getElementById("{NAME}-generate").disabled) document.getElementById("TAB-go").click();
}}"""


class Desk:
    """Components: two columns of the open gr.Row, beside and below the tabs."""

    def __init__(self, defaults: Defaults) -> None:
        first = CONDITIONS[0]
        with gr.Column(min_width=320, elem_classes="outputs"):
            fields = build_prompt(NAME, _words(first)) | build_repeats(NAME)
            self.output: Output = build_output(NAME, build_buttons(NAME))
        with gr.Column(min_width=320, elem_classes="steering"):
            with gr.Column() as self._of_one_map:
                self.unit = build_strength(NAME)
                with gr.Accordion("When, where and how the map steers", open=False, elem_id=f"{NAME}-fine"):
                    self.unit |= build_unit_controls(NAME, first.id)
            self.form = GenerationForm(fields | build_settings(NAME, defaults))
        self._chosen = gr.State({OPEN: first.id})
        controlnet = self.unit["controlnet"]
        controlnet.input(_choose, [controlnet, self._chosen], self._chosen, queue=False, **HIDDEN)
        self.output.generate.click(None, None, None, js=press("go"), **HIDDEN)
        self.prompt.submit(None, None, None, js=PRESS_GENERATE, **HIDDEN)
        gr.on([side.change for side in self.size], None, None, None, js=press("remap"), **HIDDEN)

    def follow(self, tab: gr.Tab, row: Condition | None = None) -> None:
        """The open tab's condition, None for Compose, says what the prompt suggests and which networks read its map."""

        def opened(chosen: dict[str, str]) -> tuple[Any, ...]:
            words = gr.Textbox(placeholder=_words(row))
            if row is None:
                return words, gr.Column(visible=False), gr.skip(), gr.skip()
            networks, chosen = controlnet_choices(row.id), chosen | {OPEN: row.id}
            value = chosen.get(row.id, "")
            known = value in (id for _, id in networks)
            return words, gr.Column(visible=True), gr.Dropdown(networks, value=value if known else ""), chosen

        changed = [self.prompt, self._of_one_map, self.unit["controlnet"], self._chosen]
        tab.select(opened, self._chosen, changed, queue=False, **HIDDEN)

    @property
    def prompt(self) -> gr.Textbox:
        return self.form.fields["prompt"]

    @property
    def size(self) -> list[Any]:
        """Width and height."""
        return [self.form.fields["width"], self.form.fields["height"]]


def _choose(controlnet: str, chosen: dict[str, str]) -> dict[str, str]:
    """Each condition keeps the network that was chosen for it."""
    return chosen | {chosen[OPEN]: controlnet}


def _words(row: Condition | None) -> str:
    """The grey ones in an empty prompt."""
    return f"For example: {row.example_prompt}" if row else "What the picture shows"


def press(order: Order) -> str:
    """JavaScript: the open tab's button of this name is pressed."""
    return PRESS_THE_OPEN_TAB.replace("ORDER", order)


def start(tab: str) -> str:
    """JavaScript: the tab's picture is made, whichever tab is open by now, unless a job runs."""
    return PRESS_ONE_TAB.replace("TAB", tab)


def build_order(tab: str, order: Order) -> gr.Button:
    """What is pressed while this tab is open: by Generate, or where its map needs another size."""
    return gr.Button(visible="hidden", elem_id=f"{tab}-{order}")
