"""What every condition's tab shares: prompt, settings and pictures. Generate makes the picture of the tab that is open."""

from __future__ import annotations

from typing import Any

import gradio as gr

from cnet_app.ui.generation_form import (
    GenerationForm,
    build_prompt,
    build_settings,
    build_strength,
    build_unit_controls,
)
from cnet_app.ui.output import Output, build_buttons, build_output
from models.catalog import Defaults

NAME = "create"
GO = "go"
PRESS_THE_OPEN_TAB = f"""() => {{
    const buttons = [...document.querySelectorAll(".{GO}")];
    buttons.find((button) => button.closest("[role=tabpanel]").offsetParent)?.click();
}}"""
"""Each tab has a button of its own that nobody sees: so only the open tab's values are sent."""
HIDDEN: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}


class Desk:
    """Components, built inside the open gr.Column."""

    def __init__(self, defaults: Defaults) -> None:
        prompt = build_prompt(NAME, "What the picture shows")
        with gr.Group() as strength:
            self.unit = build_strength(NAME)
        self.output: Output = build_output(NAME, build_buttons(NAME))
        settings = build_settings(NAME, defaults)
        with gr.Accordion("When, where and how the map steers", open=False, elem_id=f"{NAME}-fine") as fine:
            self.unit |= build_unit_controls(NAME)
        self.form = GenerationForm(prompt | settings)
        self._of_one_map = [strength, fine]
        for start in (self.output.generate.click, self.prompt.submit):
            start(None, None, None, js=PRESS_THE_OPEN_TAB, **HIDDEN)

    def follow(self, tab: gr.Tab, example: str, one_map: bool = True) -> None:
        """The prompt's grey words are those of the open tab; the map's own settings are seen where there is one map."""

        def show() -> list[Any]:
            seen = [gr.Group(visible=one_map), gr.Accordion(visible=one_map)]
            words = f"For example: {example}" if example else "What the picture shows"
            return [gr.Textbox(placeholder=words), *seen]

        tab.select(show, None, [self.prompt, *self._of_one_map], queue=False, **HIDDEN)

    @property
    def prompt(self) -> gr.Textbox:
        return self.form.fields["prompt"]

    @property
    def size(self) -> list[Any]:
        """Width and height."""
        return [self.form.fields["width"], self.form.fields["height"]]


def build_go(name: str) -> gr.Button:
    """What Generate presses while this tab is open."""
    return gr.Button(visible="hidden", elem_id=f"{name}-go", elem_classes=GO)
