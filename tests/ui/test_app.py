"""The page as Gradio will send it: a tab for each condition, nothing open to strangers, nothing fetched from elsewhere."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from annotators.base import parameters
from annotators.registry import annotator
from cnet_app.api.endpoints import NAMES
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.ui.app import create_theme
from cnet_app.ui.desk import Open
from tests.source import ROOT
from tests.ui.handlers import by_id, call, find, listeners, named


def test_there_is_a_tab_for_every_condition(built: gr.Blocks) -> None:
    titles = [block.label for block in built.blocks.values() if isinstance(block, gr.Tab)]
    assert titles == ["Create", *(row.title for row in CONDITIONS), "Compose", "All maps", "History"]
    for row in CONDITIONS:
        choices = [id for _, id in find(built, f"{row.id}-annotator").choices]
        assert choices[-1] == "own_map"
        assert set(row.annotators) < set(choices)


def test_programs_are_offered_the_endpoints_alone(built: gr.Blocks) -> None:
    assert [fn.api_name for fn in built.fns.values() if fn.api_visibility != "private"] == list(NAMES)


def test_a_tab_costs_the_page_little_besides_its_parameters(built: gr.Blocks) -> None:
    config = built.get_config_file()
    shown = [component for component in config["components"] if component["type"] != "api"]
    declared = sum(len(parameters(annotator(id))) for row in CONDITIONS for id in row.annotators)
    groups = sum(len(row.annotators) for row in CONDITIONS)
    assert len(shown) < 300 + 16 * len(CONDITIONS) + declared + groups
    assert len(json.dumps(config, default=str)) < 1_500 * len(shown)


def test_only_what_the_open_tab_shows_is_sent(built: gr.Blocks) -> None:
    for row in CONDITIONS:
        (fn,) = listeners(built, f"{row.id}-go", "click")
        sent = {component.elem_id for component in fn.inputs if component.elem_id}
        others = tuple(f"{id}-" for id in (*(row.id for row in CONDITIONS), "compose") if id != row.id)
        own = f"{row.id}-picture" if row.masked else f"{row.id}-photo"
        assert {own, "create-prompt", "create-width", "create-controlnet"} < sent
        assert not [id for id in sent if id.startswith(others) and not id.startswith(f"{row.id}-")]


def test_what_acts_for_the_open_tab_sends_nothing(built: gr.Blocks) -> None:
    for id, event in (("generate", "click"), ("prompt", "submit"), ("width", "change"), ("size", "change")):
        block = find(built, f"create-{id}")
        fns = [fn for fn in built.fns.values() if (block._id, event) in fn.targets and fn.js and not fn.fn]
        assert fns and not fns[0].inputs


def test_handlers_are_given_their_values_by_component(built: gr.Blocks) -> None:
    """None reads a list by position: what has more than one value is given by component."""
    assert not [
        fn.name
        for fn in built.fns.values()
        if fn.fn and len(fn.inputs) > 1 and not (fn.inputs_as_dict or fn.api_name in NAMES)
    ]


def opened(app: gr.Blocks, id: str, state: Open, **values: Any) -> dict[str, Any]:
    fns = [fn for fn in listeners(app, f"{id}-tab", "select") if fn.name == "opened"]
    (fn,) = fns
    return by_id(call(fn, {state_of(fn): state, **values}))


def state_of(fn: Any) -> gr.State:
    """The state of the open tab among a handler's inputs."""
    return next(c for c in fn.inputs if isinstance(c, gr.State) and isinstance(c.value, Open))


def test_an_opened_tab_suggests_its_example_and_offers_its_networks(built: gr.Blocks) -> None:
    for row in CONDITIONS:
        updates = opened(built, row.id, Open())
        assert updates["create-prompt"].placeholder == f"For example: {row.example_prompt}"
        assert updates["create-controlnet"].choices[0] == ("The condition's own", "")
        assert updates["create-controlnet"].value == ""
        assert columns_shown(updates) == [True]
        assert Open(tab=row.id) in updates.values()
    of_compose = opened(built, "compose", Open())
    assert "create-controlnet" not in of_compose
    assert columns_shown(of_compose) == [False]


def columns_shown(updates: dict[str, Any]) -> list[Any]:
    """Whether the controls of one map are shown."""
    return [value.visible for value in updates.values() if isinstance(value, gr.Column)]


def test_each_condition_keeps_the_network_that_was_chosen_for_it(built: gr.Blocks) -> None:
    chosen = Open(tab="canny").with_network("other")
    both = Open(tab="depth", networks=chosen.networks).with_network("t2iadapter_depth_sd15")
    updates = opened(built, "depth", both, **{"model-base": "sd15"})
    assert updates["create-controlnet"].value == "t2iadapter_depth_sd15"
    assert opened(built, "canny", both)["create-controlnet"].value == ""  # no such network any more
    gone = Open(tab="depth").with_network("gone.safetensors")
    assert opened(built, "depth", gone)["create-controlnet"].value == ""


def test_the_theme_fetches_nothing() -> None:
    theme = create_theme()
    assert theme._stylesheets == []
    assert "http" not in theme._get_theme_css().replace("http://www.w3.org", "")


def test_dropped_models_can_be_chosen_once_the_page_is_loaded_again(
    built: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    for folder in ("controlnets", "checkpoints", "loras", "vae"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.pth").write_bytes(b"?")
    updates = by_id(call(named(built, "list_models"), {}))
    listed = {
        "model-base": "checkpoints",
        "model-vae": "vae",
        "model-lora_1": "loras",
        "create-controlnet": "controlnets",
    }
    for id, name in listed.items():
        assert (f"{name}.pth", f"{name}.pth") in updates[id].choices


def test_the_base_line_says_which_model_and_why(built: gr.Blocks) -> None:
    updates = by_id(asyncio.run(call(named(built, "show_base"), {})))
    assert updates["base"] == "Base model: <b>Embedded model</b>, 256 px: this is a test."
    assert "create-num_inference_steps" not in updates  # a user may have changed it


def test_the_base_line_follows_the_base_that_is_chosen(built: gr.Blocks) -> None:
    updates = by_id(call(named(built, "choose_base"), {"model-base": "sd15"}))
    assert updates["base"] == "Base model: <b>Stable Diffusion 1.5</b>, 512 px: your choice."
    assert (updates["create-num_inference_steps"], updates["create-guidance_scale"]) == (20, 9.0)
    assert (updates["create-width"], updates["create-height"]) == (512, 512)


@pytest.mark.slow
def test_the_page_imports_no_library_that_runs_models() -> None:
    """Beside the runner, which is given to it."""
    code = (
        "import sys, cnet_app.ui.tabs.condition, cnet_app.ui.tabs.all_maps, cnet_app.ui.tabs.compose\n"
        "import cnet_app.ui.tabs.history, cnet_app.ui.app\n"
        "from cnet_app.ui.examples import example_image\n"
        "from cnet_app.registry.conditions import CONDITIONS\n"
        "[example_image(row) for row in CONDITIONS]\n"
        "found = {'torch', 'diffusers', 'transformers'} & set(sys.modules)\n"
        "assert not found, found"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
