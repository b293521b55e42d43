"""The page: a tab for each condition next to the one desk, then All maps and History; and how it is served."""

from __future__ import annotations

import asyncio
import html
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.maps.annotate import Maps
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.settings import Settings
from cnet_app.ui.bases import defaults_of, family_of, first_base, title_of
from cnet_app.ui.consent import Consent
from cnet_app.ui.desk import Desk
from cnet_app.ui.endpoints import build_endpoints
from cnet_app.ui.engine_line import EngineLine
from cnet_app.ui.forms.active import Active, connect_active
from cnet_app.ui.forms.models import ModelsForm
from cnet_app.ui.gradio_seams import HIDDEN, CheckedBlocks, Component, Skip, Updates, Values
from cnet_app.ui.importing import without_garbage_collection
from cnet_app.ui.page import Page
from cnet_app.ui.sources.drawing import AFTER_STROKES
from cnet_app.ui.sources.paint import PaintSource
from cnet_app.ui.tabs.all_maps import build_all_maps_tab
from cnet_app.ui.tabs.compose import ComposeTab, build_compose_tab
from cnet_app.ui.tabs.condition import ConditionTab, build_condition_tab
from cnet_app.ui.tabs.history import build_history_tab
from models.catalog import entry
from models.errors import InputError

STYLE = Path(__file__).with_name("style.css")
SYSTEM_FONTS = ("ui-sans-serif", "system-ui", "sans-serif")
MONO_FONTS = ("ui-monospace", "Consolas", "monospace")
SHOW_THE_OPEN_TAB = """() => setTimeout(() => {
    const open = document.querySelector("#tabs > .tab-wrapper [role=tab][aria-selected=true]");
    if (open) open.scrollIntoView({ block: "nearest", inline: "center" });
}, 300)"""
"""On a phone the tabs are one long line."""
WAITING = "Looking for the base model …"
UNLOADED = "Models unloaded; they reload with the next picture."


def build_app(settings: Settings, runner: Runner, maps: Maps) -> gr.Blocks:
    """Build the whole page. Starts nothing."""
    base = first_base(settings)
    with CheckedBlocks(title="ControlNet Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as app:
        build_endpoints(settings, runner, maps)
        with gr.Row(elem_classes="head"):
            gr.HTML("<h1>ControlNet Studio</h1>", elem_classes="title", min_width=200)
            base_line = gr.HTML(WAITING, elem_id="base", elem_classes="note", min_width=200)
            offer = gr.Button("Get Stable Diffusion …", size="sm", scale=0, visible=False, elem_id="base-offer")
        EngineLine(runner)
        consent = Consent(runner)
        models = ModelsForm(family_of(base))
        with gr.Accordion("Image to image & inpaint", open=False, elem_id="start"):
            begun = PaintSource("start")
        with gr.Tabs(elem_id="views", overflow_behavior="wrap") as views:
            with gr.Tab("Create", id="create", elem_id="create-tab"), gr.Row(elem_classes="desk"):
                with gr.Column(min_width=320, elem_classes="sources") as sources:
                    pass
                desk = Desk(base)
            page = Page(settings, runner, maps, consent, models, begun, desk)
            with sources, gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
                conditions = {row.id: build_condition_tab(page, row) for row in CONDITIONS}
                compose = build_compose_tab(page)
            build_all_maps_tab(page, conditions, views, tabs)
            build_history_tab(page)
        models.connect_preset(desk.form.sampling)
        consent.connect()
        _connect_offer(app, page, offer)
        _connect_base(app, page, compose, base_line)
        _connect_active(page, conditions)
        app.load(None, None, None, js=AFTER_STROKES, **HIDDEN)
        tabs.select(None, None, None, js=SHOW_THE_OPEN_TAB, **HIDDEN)
        models.unload.click(lambda: _unload(runner), None, None, **HIDDEN)
    return app.queue(max_size=200, default_concurrency_limit=8, api_open=False)


def _unload(runner: Runner) -> None:
    runner.unload()
    gr.Info(UNLOADED)


def _connect_base(app: gr.Blocks, page: Page, compose: ComposeTab, base_line: gr.HTML) -> None:
    """Fit the page to the base model, when it is known at last and when another is chosen."""
    models, desk, form = page.models, page.desk, page.desk.form

    def fit(values: Values, base: str) -> Updates:
        family = family_of(base)
        fitted = {**models.fit(values, family, form.sampling), **desk.networks(values[desk.open], family)}
        return {**fitted, **compose.fit(values, family)}

    def list_models(values: Values) -> Updates:
        return {**models.listed(), **fit(values, values[models["base"]] or page.known_base())}

    def choose_base(values: Values) -> Updates:
        chosen = values[models["base"]]
        base, why = (chosen, "your choice") if chosen else page.base()
        of_base = form.of_base(defaults_of(base))
        if models.keeps_preset(values, family_of(base)):  # its steps and guidance hold for every base of the family
            of_base = {key: value for key, value in of_base.items() if key not in form.sampling.components}
        return {**fit(values, base), **of_base, base_line: _base_html(base, why)}

    async def show_base(values: Values) -> Updates:
        base, why = await asyncio.to_thread(page.base)
        # What is right already stays as it is: a user may have changed it meanwhile.
        is_first = defaults_of(base) == desk.defaults
        return {base_line: _base_html(base, why), **({} if is_first else form.of_base(defaults_of(base)))} | fit(
            values, base
        )

    read: set[Component] = {*models.components, models.before, desk.open, *compose.fitted, *form.components}
    changed = [*read - {desk.open}, base_line, desk.unit["controlnet"]]
    app.load(show_base, read, changed, concurrency_limit=None, **HIDDEN)
    app.load(list_models, read, changed, queue=False, **HIDDEN)
    models["base"].change(choose_base, read, changed, **HIDDEN)


def _connect_offer(app: gr.Blocks, page: Page, offer: gr.Button) -> None:
    """Offer the download of a better base, where the engine names one."""

    async def show() -> gr.Button:
        await asyncio.to_thread(page.base)
        return gr.Button(visible=bool(page.runner.engine_status().base_offer))

    def ask() -> Updates | Skip:
        id = page.runner.engine_status().base_offer
        return page.consent.ask([entry(id)] if id else []) or gr.skip()

    app.load(show, None, offer, concurrency_limit=None, **HIDDEN)
    offer.click(ask, None, [*page.consent.components], queue=False, **HIDDEN)


def _base_html(base: str, why: str) -> str:
    title = html.escape(title_of(base))
    return f"Base model: <b>{title}</b>, {defaults_of(base).size} px: {html.escape(why)}."


def _connect_active(page: Page, conditions: Mapping[str, ConditionTab]) -> None:
    """List next to Generate what is not at its default, for the open tab."""
    models, desk = page.models, page.desk
    form, unit = desk.form, desk.unit
    own = {id: tab.paint for id, tab in conditions.items() if tab.paint}
    starts = [page.start, *own.values()]

    def active(values: Values) -> list[Active]:
        start = own.get(values[desk.open].tab, page.start)
        return [*start.active(values), *models.active(values, form.sampling), *desk.active_settings(values)]

    read: set[Component] = {*models.components, models.before, desk.open, *unit.components, *form.components}
    read |= {component for start in starts for component in (start.held, start.strength)}
    reset = [component for start in starts for component in start.filled_parts]
    changes = [*models.changes(), *unit.changes(), *form.size.changes(), *form.sampling.changes(), form.defaults.change]
    changes += [desk.open.change]
    for start in starts:
        changes += [start.held.change, start.strength.change]
    connect_active(desk.active, read, reset, changes, active)


def serve(settings: Settings, runner: Runner, maps: Maps) -> None:
    """Serve until interrupted. The page is there first; then the runner loads models. Raises InputError for a port in use."""
    with without_garbage_collection():
        app = build_app(settings, runner, maps)
    try:
        app.launch(server_name=settings.host, server_port=settings.port or None, **launch_options(settings))
    except OSError as error:
        runner.close()
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on; stop what uses it, or choose another --port or --host."
        ) from error
    runner.start()
    try:
        app.block_thread()
    finally:
        runner.close()


def launch_options(settings: Settings) -> dict[str, Any]:
    """Return how the page is served: nothing leaves this machine, uploads are bounded, only pictures can be fetched."""
    pictures = settings.output_dir.resolve()
    return {
        "prevent_thread_lock": True,
        "share": False,
        "show_error": False,
        "max_file_size": f"{settings.max_upload_mb}mb",
        "allowed_paths": [str(pictures)],
        "blocked_paths": [f"{pictures / HISTORY}{ending}" for ending in ("", "-wal", "-shm")],
        "strict_cors": True,
        "ssr_mode": False,
        "run_history": False,
        "enable_monitoring": False,
        "footer_links": [],
        "theme": create_theme(),
        "css_paths": STYLE,
        "state_session_capacity": 256,  # 1 to 6 MB each, and Gradio keeps those of closed pages too
        "_frontend": False,  # a self-test that takes a busy machine for a broken one
    }


def create_theme() -> Any:
    """Return a calm theme with fonts that every machine has: none is fetched."""
    theme = gr.themes.Soft(
        primary_hue="teal", secondary_hue="teal", neutral_hue="slate", font=SYSTEM_FONTS, font_mono=MONO_FONTS
    )
    # Quiet labels, help that can still be read, and an accent dark enough for white text upon it.
    return theme.set(
        body_text_color_subdued="*neutral_500",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_500",
        block_info_text_color_dark="*neutral_400",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        input_border_width="1px",
        input_border_width_dark="1px",
        input_border_color="*neutral_300",
        checkbox_border_color="*neutral_400",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
        block_title_background_fill="none",
        block_title_background_fill_dark="none",
        block_title_padding="0",
        block_title_text_color="*neutral_700",
        block_title_text_color_dark="*neutral_200",
        block_title_text_weight="550",
        block_label_background_fill="*neutral_50",
        block_label_background_fill_dark="*neutral_800",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_300",
        block_label_text_weight="500",
        block_border_width="1px",
        block_shadow="none",
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_600",
        button_primary_text_color_dark="white",
        button_secondary_background_fill_hover_dark="*neutral_500",
    )
