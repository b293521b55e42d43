"""The page as Gradio will send it: a tab a condition, nothing open to strangers, nothing fetched from elsewhere."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image
from skimage import data

from annotators.images import load_image
from cnet_app.jobs.runner import Runner
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.units import Lora
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app, create_theme
from cnet_app.ui.generation_form import unit_options
from cnet_app.ui.panel import Panel
from models.errors import InputError
from tests.jobs.fake_engine import FakeEngine


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[gr.Blocks]:
    settings = Settings(output_dir=tmp_path_factory.mktemp("pictures"))
    runner = Runner(settings, FakeEngine().engine())
    yield build_app(settings, runner)
    runner.close()


def find(app: gr.Blocks, elem_id: str) -> Any:
    return next(block for block in app.blocks.values() if block.elem_id == elem_id)


def test_there_is_a_tab_for_every_condition(built: gr.Blocks) -> None:
    titles = [block.label for block in built.blocks.values() if isinstance(block, gr.Tab)]
    assert titles == ["Create", *(row.title for row in CONDITIONS), "Compose", "All maps", "History"]
    for row in CONDITIONS:
        choices = [id for _, id in find(built, f"{row.id}-annotator").choices]
        assert choices[-1] == "own_map"
        assert set(row.annotators) < set(choices)


def test_no_endpoint_is_offered_to_strangers(built: gr.Blocks) -> None:
    assert {fn.api_visibility for fn in built.fns.values()} == {"private"}


def test_the_page_is_not_too_heavy_for_a_slow_machine(built: gr.Blocks) -> None:
    config = built.get_config_file()
    assert len(config["components"]) < 620
    assert len(json.dumps(config, default=str)) < 800_000


def test_only_what_the_open_tab_shows_is_sent(built: gr.Blocks) -> None:
    for row in CONDITIONS:
        go = find(built, f"{row.id}-go")
        (fn,) = [fn for fn in built.fns.values() if (go._id, "click") in fn.targets]
        sent = {component.elem_id for component in fn.inputs if component.elem_id}  # pyright: ignore[reportAttributeAccessIssue]
        others = tuple(f"{id}-" for id in (*(row.id for row in CONDITIONS), "compose") if id != row.id)
        assert {f"{row.id}-photo", "create-prompt", "create-width", "create-controlnet"} < sent
        assert not [id for id in sent if id.startswith(others) and not id.startswith(f"{row.id}-")]


def test_what_acts_for_the_open_tab_sends_nothing(built: gr.Blocks) -> None:
    for id, event in (("generate", "click"), ("prompt", "submit"), ("width", "change"), ("height", "change")):
        block = find(built, f"create-{id}")
        (fn,) = [fn for fn in built.fns.values() if (block._id, event) in fn.targets]
        assert fn.js and not fn.fn and not fn.inputs


def test_an_opened_tab_suggests_its_example_and_offers_its_networks(built: gr.Blocks) -> None:
    def opened(id: str, **chosen: str) -> tuple[Any, ...]:
        tab = find(built, f"{id}-tab")
        (fn,) = [fn.fn for fn in built.fns.values() if (tab._id, "select") in fn.targets and fn.name == "opened"]
        return fn(chosen)  # pyright: ignore[reportOptionalCall]

    for row in CONDITIONS:
        prompt, of_one_map, controlnet, chosen = opened(row.id)
        assert chosen == {"open": row.id}
        assert prompt.placeholder == f"For example: {row.example_prompt}"
        assert (controlnet.value, controlnet.choices[0]) == ("", ("The condition's own", ""))
        assert of_one_map.visible
    assert not opened("compose")[1].visible
    assert opened("depth", depth="t2iadapter_depth_sd15", canny="other")[2].value == "t2iadapter_depth_sd15"
    assert opened("depth", depth="gone.safetensors")[2].value == ""


def test_the_theme_fetches_nothing() -> None:
    theme = create_theme()
    assert theme._stylesheets == []
    assert "http" not in theme._get_theme_css().replace("http://www.w3.org", "")


def test_every_example_gives_a_picture_an_annotator_and_a_prompt(built: gr.Blocks) -> None:
    for row in CONDITIONS:
        button = find(built, f"{row.id}-example")
        (fn,) = [fn for fn in built.fns.values() if (button._id, "click") in fn.targets]
        picture, annotator, prompt, *begun = fn.fn()  # pyright: ignore[reportOptionalCall]
        assert picture.ndim == 3
        assert annotator in row.annotators
        assert prompt == row.example_prompt
        assert bool(begun) == row.masked


def run(app: gr.Blocks, elem_id: str, event: str, values: dict[str, Any], *first: Any) -> list[Any]:
    """Calls the handler of an event with the components' own values but for the given ones, and lists what it yields."""
    block = find(app, elem_id)
    (fn,) = [fn for fn in app.fns.values() if (block._id, event) in fn.targets and fn.fn]
    given = [values.get(component.elem_id or "", component.value) for component in fn.inputs]  # pyright: ignore[reportAttributeAccessIssue]
    return list(fn.fn(*first, *given))  # pyright: ignore[reportOptionalCall]


def test_the_map_follows_the_parameters(built: gr.Blocks, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()[::4, ::4]).save(path)
    photo = {"canny-photo": str(path), "create-width": 128, "create-height": 64}
    ((strict, *_),) = run(
        built, "canny-photo", "change", photo | {"canny-canny-high_threshold": 255, "canny-canny-low_threshold": 200}
    )
    ((lax, *_),) = run(
        built, "canny-photo", "change", photo | {"canny-canny-high_threshold": 60, "canny-canny-low_threshold": 30}
    )
    assert strict.shape == lax.shape == (64, 128, 3)
    assert (lax > 0).sum() > 1.3 * (strict > 0).sum()


def test_a_unit_of_compose_has_parameters_too(built: gr.Blocks, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.fromarray(data.astronaut()[::4, ::4]).save(path)

    def made(written: str) -> tuple[Any, str]:
        values = {"compose-3-photo": str(path), "compose-3-annotator": "canny", "compose-3-parameters": written}
        ((pixels, note, *_),) = run(built, "compose-3-photo", "change", values)
        return pixels, note

    assert find(built, "compose-3-parameters").placeholder == "low_threshold=100, high_threshold=200, automatic=false"
    assert (made("low_threshold=30, high_threshold=60")[0] > 0).sum() > 1.3 * (made("")[0] > 0).sum()
    for written, told in (
        ("blur=3", "its parameters are: low_threshold, high_threshold, automatic"),
        ("30", "NAME=VALUE"),
    ):
        pixels, note = made(written)
        assert pixels is None
        assert told in note


def test_a_bad_file_leaves_a_sentence_in_sight_and_tells_it(built: gr.Blocks, tmp_path: Path) -> None:
    path = tmp_path / "text.png"
    path.write_text("<b>no picture</b>")
    seen: list[Any] = []
    block = find(built, "canny-photo")
    (fn,) = [fn for fn in built.fns.values() if (block._id, "change") in fn.targets]
    given = [str(path) if c is block else c.value for c in fn.inputs]  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.warns(UserWarning, match=r"text\.png"):
        seen.extend(fn.fn(*given))  # pyright: ignore[reportOptionalCall]
    ((control_image, note, *_),) = seen
    assert control_image is None
    assert "text.png" in note
    assert str(tmp_path) not in note


def test_the_panel_says_what_every_request_has(tmp_path: Path) -> None:
    photo, strokes = tmp_path / "photo.png", tmp_path / "strokes.png"
    Image.fromarray(data.astronaut()[::4, ::4]).save(photo)
    painted = np.zeros((64, 64, 4), np.uint8)
    painted[:32] = (20, 184, 166, 255)
    Image.fromarray(painted).save(strokes)
    with gr.Blocks():
        panel = Panel()
    values = {name: component.value for name, component in panel.fields.items()}

    def read(**given: Any) -> GenerationRequest:
        return GenerationRequest(**panel.read(list((values | given).values()), "the best"))

    plain = read()
    assert (plain.base, plain.vae, plain.loras, plain.ip_adapter) == ("the best", None, (), None)
    assert (plain.initial_image, plain.inpaint_mask, plain.strength) == (None, None, 1)
    begun = read(picture=[str(photo), str(strokes)], base="mine.safetensors", vae="soft.pt", lora_2="ink", scale_2=0.5)
    assert (begun.base, begun.vae, begun.loras) == ("mine.safetensors", "soft.pt", (Lora(name="ink", scale=0.5),))
    assert begun.strength == values["strength"] < 1
    assert begun.initial_image is not None
    assert np.array_equal(load_image(begun.initial_image), data.astronaut()[::4, ::4])
    assert begun.inpaint_mask is not None
    mask = load_image(begun.inpaint_mask)
    assert mask.shape == (128, 128, 3)
    assert (mask[:64] == 255).all() and (mask[64:] == 0).all()
    assert read(picture=[str(photo)]).inpaint_mask is None
    assert read(ip_adapter="one", ip_image=str(photo)).ip_adapter is not None
    with pytest.raises(InputError, match="has no picture yet"):
        read(ip_adapter="one")


def test_dropped_models_can_be_chosen_once_the_page_is_loaded_again(
    built: gr.Blocks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    for folder in ("controlnets", "checkpoints", "loras", "vae"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.pth").write_bytes(b"?")
    (load,) = [fn.fn for fn in built.fns.values() if fn.fn and fn.fn.__name__ == "list_models"]
    base, vae, lora, *_, controlnet = load()
    for update, name in ((base, "checkpoints"), (vae, "vae"), (lora, "loras"), (controlnet, "controlnets")):
        assert (f"{name}.pth", f"{name}.pth") in update.choices


def test_what_is_written_as_text_becomes_numbers() -> None:
    names = ["controlnet", "mask", "strength_curve", "block_weights", "unconditional_block_weights"]
    empty = unit_options(names, ["", None, "", "", ""])
    assert empty == dict.fromkeys(names[:2]) | dict.fromkeys(names[2:], ())
    full = unit_options(names, ["mine.pth", None, "0:1/0.5:0.2", "1/0.5", "0.25"])
    assert full == dict(zip(names, ["mine.pth", None, ((0, 1), (0.5, 0.2)), (1, 0.5), (0.25,)], strict=True))
    with pytest.raises(InputError, match="block_weights is 'a', but it must be numbers joined by slashes"):
        unit_options(names, ["", None, "", "a", ""])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 63, 10**9, -1])
def test_numbers_that_are_none_are_told_in_a_sentence(value: Any, built: gr.Blocks, tmp_path: Path) -> None:
    path = tmp_path / "photo.png"
    Image.new("RGB", (64, 64), "teal").save(path)
    wrong = {"canny-photo": str(path), "create-width": value}
    with pytest.raises(gr.Error, match="width is"):
        run(built, "canny-go", "click", wrong, gr.Request(session_hash="me"))


def test_the_base_line_says_which_model_and_why(built: gr.Blocks) -> None:
    (fn,) = [fn for fn in built.fns.values() if fn.fn and fn.fn.__name__ == "tell_base"]
    line, *updates = asyncio.run(fn.fn())  # pyright: ignore[reportOptionalCall]
    assert "because this is a test" in line
    assert all(update == gr.skip() for update in updates)
