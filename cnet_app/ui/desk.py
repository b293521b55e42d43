"""Prompt, settings and pictures, shared by the conditions' tabs. Generate makes the picture of the open tab."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import gradio as gr

from cnet_app.registry.conditions import CONDITIONS, Condition
from cnet_app.ui.bases import controlnet_choices, defaults_of, family_of, still_offered
from cnet_app.ui.forms.active import Active, build_active
from cnet_app.ui.forms.generation import GenerationForm, build_prompt, build_settings
from cnet_app.ui.forms.seed import build_seed
from cnet_app.ui.forms.unit import UnitControls, build_scale, build_unit_controls
from cnet_app.ui.gradio_seams import HIDDEN, STATEFUL, Component, Updates, Values
from cnet_app.ui.output import Output, build_buttons, build_output
from models.catalog import Family

NAME = "create"
COMPOSE = "compose"
Order = Literal["go", "remap"]
PRESS_THE_OPEN_TAB = """() => {
    const open = document.querySelector("#tabs > .tab-wrapper [role=tab][aria-selected=true]");
    if (open) document.getElementById(`${open.dataset.tabId}-ORDER`)?.click();
}"""
"""Each tab has hidden buttons of its own, so that only the open tab's values are sent."""
PRESS_GENERATE = f'() => document.getElementById("{NAME}-generate").click()'
"""While a job runs the button cannot be pressed, and this does nothing."""
PRESS_ONE_TAB = f"""() => {{
    if (!document.getElementById("{NAME}-generate").disabled) document.getElementById("TAB-go").click();
}}"""


@dataclass(frozen=True)
class Open:
    """The open tab, and the ControlNet that was chosen for each condition."""

    tab: str = CONDITIONS[0].id
    """Id of a condition, or COMPOSE."""
    networks: tuple[tuple[str, str], ...] = ()
    """Pairs of condition and ControlNet; hashable, as Gradio demands of a state with listeners."""

    def with_network(self, network: str) -> Open:
        """Note the ControlNet of the open tab's condition."""
        return replace(
            self, networks=(*((id, one) for id, one in self.networks if id != self.tab), (self.tab, network))
        )

    @property
    def network(self) -> str:
        """The ControlNet that was chosen for the open tab's condition; empty for its own."""
        return dict(self.networks).get(self.tab, "")


class Desk:
    """Components: two columns of the open gr.Row, next to and below the tabs."""

    def __init__(self, base: str) -> None:
        first, self.defaults = CONDITIONS[0], defaults_of(base)
        with gr.Column(min_width=320, elem_classes="outputs"):
            prompt = build_prompt(NAME, _words(first))
            seed = build_seed(NAME)
            self.active = build_active(NAME)
            self.output: Output = build_output(NAME, build_buttons(NAME))
        with gr.Column(min_width=320, elem_classes="steering"):
            with gr.Column() as self._of_one_map:
                scale = build_scale(NAME)
                with gr.Accordion("Control settings", open=False, elem_id=f"{NAME}-fine"):
                    self.unit: UnitControls = build_unit_controls(NAME, scale, first.id, family_of(base))
            self.form: GenerationForm = build_settings(NAME, prompt, seed, self.defaults)
        self.open = gr.State(Open())
        network = self.unit["controlnet"]
        network.input(self._choose, {network, self.open}, [self.open], queue=False, **HIDDEN)
        self.output.generate.click(None, None, None, js=press("go"), **HIDDEN)
        prompt.submit(None, None, None, js=PRESS_GENERATE, **HIDDEN)
        gr.on([*self.form.size.changes(), self.form.defaults.change], None, None, None, js=press("remap"), **HIDDEN)

    @property
    def prompt(self) -> gr.Textbox:
        return self.form.prompt

    @property
    def sized_by(self) -> set[Component]:
        """Components that the picture's size depends on, in addition to its source."""
        return {*self.form.size.components, self.form.defaults}

    def follow(self, tab: gr.Tab, base: gr.Dropdown, known_base: Any, row: Condition | None = None) -> None:
        """Fit the desk to a tab when it is opened: words, networks of its condition, None for Compose; no fault of another."""

        def opened(values: Values) -> Updates:
            state: Open = replace(values[self.open], tab=row.id if row else COMPOSE)
            updates: Updates = {self.prompt: gr.Textbox(placeholder=_words(row)), self.open: state}
            updates[self._of_one_map] = gr.Column(visible=row is not None)
            if row is not None:
                updates |= self.networks(state, family_of(values[base] or known_base()))
            return updates | (self.output.cleared() if values[self.output.failed] else {})

        shown = [self.prompt, self._of_one_map, self.unit["controlnet"], self.open]
        shown += [self.output.progress, self.output.failed]
        tab.select(opened, {self.open, self.output.failed, base}, shown, **STATEFUL)

    def networks(self, state: Open, family: Family | None) -> Updates:
        """Offer the ControlNets of the open tab's condition, with the one that was chosen for it."""
        if state.tab == COMPOSE:
            return {}
        choices = controlnet_choices(state.tab, family)
        chosen = still_offered(state.network, choices)
        return {self.unit["controlnet"]: gr.Dropdown(choices=choices, value=chosen)}

    def active_settings(self, values: Values) -> Iterator[Active]:
        """Yield what of the desk is not at its default."""
        if values[self.open].tab != COMPOSE:
            yield from self.unit.active(values)
        yield from self.form.active(values)

    def _choose(self, values: Values) -> Updates:
        """Each condition keeps the network that was chosen for it."""
        state: Open = values[self.open]
        return {self.open: state.with_network(values[self.unit["controlnet"]])}


def _words(row: Condition | None) -> str:
    """Return the grey words in an empty prompt."""
    return f"For example: {row.example_prompt}" if row else "What the picture shows"


def press(order: Order) -> str:
    """Return JavaScript that presses the open tab's button of this name."""
    return PRESS_THE_OPEN_TAB.replace("ORDER", order)


def start(tab: str) -> str:
    """Return JavaScript that makes a tab's picture, whichever tab is open by now, unless a job runs."""
    return PRESS_ONE_TAB.replace("TAB", tab)


def build_order(tab: str, order: Order) -> gr.Button:
    """Build what is pressed while this tab is open: by Generate, or where its map needs another size."""
    return gr.Button(visible="hidden", elem_id=f"{tab}-{order}")
