"""The page: one loop over the conditions beside the one desk, then All maps and History; and how it is served."""

from __future__ import annotations

import asyncio
import html
from pathlib import Path
from typing import Any

import gradio as gr

from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.settings import Settings
from cnet_app.ui.all_maps_tab import build_all_maps_tab
from cnet_app.ui.compose_tab import build_compose_tab
from cnet_app.ui.condition_tab import build_condition_tab
from cnet_app.ui.desk import HIDDEN, Desk
from cnet_app.ui.generation_form import base_values, controlnet_choices
from cnet_app.ui.history_tab import build_history_tab
from cnet_app.ui.panel import Panel
from cnet_app.ui.posted import CheckedBlocks
from cnet_app.ui.studio import Studio, defaults_of, first_defaults, title_of
from models.errors import InputError

STYLE = Path(__file__).with_name("style.css")
SYSTEM_FONTS = ("ui-sans-serif", "system-ui", "sans-serif")
MONO_FONTS = ("ui-monospace", "Consolas", "monospace")
SHOW_THE_OPEN_TAB = """() => setTimeout(() => {
    const open = document.querySelector("#tabs > .tab-wrapper [role=tab][aria-selected=true]");
    if (open) open.scrollIntoView({ block: "nearest", inline: "center" });
}, 300)"""
"""On a phone the tabs are one long line."""
WAITING = "The base model is being chosen …"


def build_app(settings: Settings, runner: Runner) -> gr.Blocks:
    """The whole page. Starts nothing."""
    with CheckedBlocks(title="ControlNet Studio", analytics_enabled=False, delete_cache=(3600, 86400)) as app:
        with gr.Row(elem_classes="head"):
            gr.HTML("<h1>ControlNet Studio</h1>", elem_classes="title", min_width=200)
            base_line = gr.HTML(WAITING, elem_id="base", elem_classes="note", min_width=200)
        panel = Panel()
        with gr.Tabs(elem_id="views", overflow_behavior="wrap") as views:
            with gr.Tab("Create", id="create", elem_id="create-tab"), gr.Row(elem_classes="desk"):
                with gr.Column(min_width=320, elem_classes="sources") as sources:
                    pass
                desk = Desk(first_defaults(settings))
            studio = Studio(settings, runner, panel, desk)
            with sources, gr.Tabs(elem_id="tabs", overflow_behavior="wrap") as tabs:
                conditions = {row.id: build_condition_tab(studio, row) for row in CONDITIONS}
                build_compose_tab(studio)
            build_all_maps_tab(desk, conditions, views, tabs)
            build_history_tab(studio)

        def list_models() -> list[Any]:
            return [*panel.refreshed(), gr.Dropdown(choices=controlnet_choices(CONDITIONS[0].id))]

        def fit_base(base: str) -> list[float]:
            return base_values(defaults_of(base or studio.base()[0]))

        async def tell_base() -> list[Any]:
            base, why = await asyncio.to_thread(studio.base)
            line = f"Base model: <b>{html.escape(title_of(base))}</b>, because {html.escape(why)}."
            wanted = base_values(defaults_of(base))
            # What is already right stays alone: a user may have changed it meanwhile.
            same = wanted == base_values(first_defaults(settings))
            return [line, *(gr.skip() if same else value for value in wanted)]

        def unload() -> None:
            runner.unload()
            gr.Info("The models are let go; the next picture loads what it needs.")

        of_base = desk.form.of_base
        app.load(tell_base, None, [base_line, *of_base], concurrency_limit=None, **HIDDEN)
        app.load(list_models, None, [*panel.choices, desk.unit["controlnet"]], queue=False, **HIDDEN)
        panel.fields["base"].input(fit_base, panel.fields["base"], of_base, **HIDDEN)
        panel.connect(desk.form.fields, HIDDEN)
        tabs.select(None, None, None, js=SHOW_THE_OPEN_TAB, **HIDDEN)
        panel.unload.click(unload, None, None, **HIDDEN)
    return app.queue(max_size=200, default_concurrency_limit=8, api_open=False)


def serve(settings: Settings, runner: Runner) -> None:
    """Until interrupted. The page is there first; then the runner loads what it needs. InputError for a port in use."""
    app = build_app(settings, runner)
    try:
        app.launch(server_name=settings.host, server_port=settings.port or None, **launch_options(settings))
    except OSError as error:
        runner.close()
        raise InputError(
            f"{settings.host}:{settings.port} cannot be listened on; stop what uses it, or choose another --port or --host."
        ) from error
    runner.warm_up()
    try:
        app.block_thread()
    finally:
        runner.close()


def launch_options(settings: Settings) -> dict[str, Any]:
    """Nothing leaves this machine, uploads are bounded, and of the disk only pictures can be fetched."""
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
        "_frontend": False,  # a self-test that takes a busy machine for a broken one
    }


def create_theme() -> Any:
    """Calm, and with fonts every machine has: none is fetched."""
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
