"""The History tab: what it shows of a recipe, and whose recipe makes the next picture."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cnet_app.jobs.runner import Runner
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import save_picture
from cnet_app.request.tasks import Task
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.ui.recipe_text import recipe_html
from models.errors import InputError
from tests.ui.handlers import by_id, call, find, listeners, run

PNG = encode_png(np.zeros((64, 64, 3), np.uint8))


def test_a_recipe_names_what_makes_the_picture_and_escapes_it() -> None:
    request = GenerationRequest(
        units=(ControlUnit(condition="canny", control_image=PNG),),
        negative_prompt="<b>dull</b>",
        scheduler="lcm",
        loras=(Lora(name="<i>.pt", scale=0.5), Lora(name="style")),
        vae="a&b",
        ip_adapter=IpAdapter(name="<u>", image=PNG, scale=0.7),
        residual_interval=2,
        initial_image=PNG,
        inpaint_mask=PNG,
        strength=0.6,
    )
    lines = recipe_html(request).split("<br>")
    assert "sampler: LCM" in lines[0]
    assert lines[1:] == [
        "negative prompt: &lt;b&gt;dull&lt;/b&gt;",
        "Canny (own map), control strength 1, from 0% to 100% of the steps",
        "LoRA &lt;i&gt;.pt, weight 0.5",
        "LoRA style, weight 1",
        "autoencoder (VAE) a&amp;b",
        "reference image with &lt;u&gt;, weight 0.7",
        "ControlNet output reused for 2 steps",
        "from a picture, only its masked part, denoising strength 0.6",
    ]


def test_a_recipe_says_nothing_of_what_it_does_without() -> None:
    assert recipe_html(GenerationRequest()).count("<br>") == 0


RECIPE = GenerationRequest(
    base="sd15", prompt="a cat", negative_prompt="dull", guidance_scale=7.5, num_inference_steps=31, scheduler="ddim",
    loras=(Lora(name="lcm_lora_sd15", scale=0.5),), seed=9, width=64, height=64,
)  # fmt: skip


@pytest.fixture
def picture(tmp_path: Path) -> str:
    """A picture that was made by RECIPE."""
    return str(save_picture(tmp_path, np.full((64, 64, 3), 128, np.uint8), RECIPE, 0))


def recipe_of(app: gr.Blocks) -> Any:
    """The state that holds the recipe."""
    (fn,) = listeners(app, "history-picture", "upload")
    return next(c for c in fn.outputs if isinstance(c, gr.State))


def loaded(app: gr.Blocks, path: str | None) -> dict[Any, Any]:
    """Return what a picture that was dropped changes."""
    (fn,) = listeners(app, "history-picture", "upload")
    return call(fn, {"history-picture": path})


def sent(app: gr.Blocks, runner: Runner, button: str, values: dict[Any, Any]) -> UpscaleRequest:
    *_, updates = run(app, f"history-{button}", "click", values, gr.Request(session_hash="me"))
    request = runner.state(next(v for v in updates.values() if isinstance(v, str) and len(v) == 16)).request
    assert isinstance(request, UpscaleRequest)
    return request


def test_a_picture_brings_its_recipe(built: gr.Blocks, picture: str) -> None:
    updates = loaded(built, picture)
    assert updates[recipe_of(built)] == RECIPE
    assert by_id(updates)["history-prompt"] == "a cat"


def test_a_removed_or_refused_picture_takes_its_recipe_along(built: gr.Blocks, tmp_path: Path) -> None:
    recipe, foreign = recipe_of(built), tmp_path / "foreign.png"
    foreign.write_bytes(PNG)
    for path in (None, str(foreign)):
        updates = loaded(built, path)
        assert updates[recipe] is None
        assert by_id(updates)["history-prompt"] == ""
    assert "holds no recipe" in by_id(loaded(built, str(foreign)))["history-recipe"]
    *_, refused = run(built, "history-generate", "click", {recipe: None}, gr.Request(session_hash="me"))
    assert "There is no recipe yet" in refused["history-progress"]


def test_removing_a_picture_is_noticed(built: gr.Blocks) -> None:
    assert listeners(built, "history-picture", "clear") == listeners(built, "history-picture", "upload")


def test_a_picture_is_upscaled_by_its_own_recipe(built: gr.Blocks, runner: Runner, picture: str) -> None:
    values = {recipe_of(built): RECIPE, "history-picture": picture, "history-prompt": "a dog", "model-base": "sdxl"}
    request = sent(built, runner, "upscale", values)
    assert (*request.size, request.prompt) == (128, 128, "a dog")
    for name in ("base", "negative_prompt", "guidance_scale", "num_inference_steps", "scheduler", "loras", "seed"):
        assert getattr(request, name) == getattr(RECIPE, name), name
    assert request.strength < 1


def test_without_a_recipe_a_picture_is_upscaled_by_what_its_base_needs(
    built: gr.Blocks, runner: Runner, tmp_path: Path
) -> None:
    (tmp_path / "foreign.png").write_bytes(PNG)
    values = {"history-picture": str(tmp_path / "foreign.png"), "model-base": "sd15"}
    request = sent(built, runner, "upscale", values)
    assert (request.base, request.guidance_scale, request.num_inference_steps) == ("sd15", 9.0, 20)


def test_the_list_is_read_again_after_a_run(built: gr.Blocks) -> None:
    tab, button = find(built, "history-tab"), find(built, "history-generate")
    (refresh,) = [fn for fn in built.fns.values() if (tab._id, "select") in fn.targets and fn.fn]
    followed = [fn for fn in built.fns.values() if fn.fn and fn.name == refresh.name]
    assert len(followed) == 3  # the tab is opened, a picture was made again, one was upscaled
    assert listeners(built, "history-generate", "click") and button


def test_a_record_that_cannot_be_read_is_listed_and_breaks_nothing(
    built: gr.Blocks, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        id, created, status, paths, prompt = "x", 0.0, "done", (), "a future prompt"

    def request(id: str) -> Task:
        raise InputError("request has no field 'future'.")

    monkeypatch.setattr(runner, "request", request)
    monkeypatch.setattr(runner, "history", lambda: [Broken()])
    tab = find(built, "history-tab")
    (refresh,) = [fn for fn in built.fns.values() if (tab._id, "select") in fn.targets and fn.fn]
    updates = by_id(call(refresh, {}))
    assert "a future prompt" in updates["history-jobs"].choices[0][0]
    (load,) = listeners(built, "history-jobs", "input")
    assert "future" in by_id(call(load, {"history-jobs": "x"}))["history-recipe"]


FOREIGN = (
    "a <b>castle</b>\nNegative prompt: dull\nSteps: 12, Sampler: Euler a, CFG scale: 6, Seed: 77, Size: 512x640, Clip skip: 2, "
    'Model: {model}, ControlNet 0: "Module: canny, Model: control_v11p_sd15_canny [d14c016b], Weight: 0.8"'
)


def foreign_picture(folder: Path, model: str) -> str:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", FOREIGN.format(model=model))
    Image.new("RGB", (64, 64)).save(folder / "foreign.png", pnginfo=info)
    return str(folder / "foreign.png")


def test_a_picture_of_another_program_fills_the_form_and_names_what_is_left_out(
    built: gr.Blocks, tmp_path: Path
) -> None:
    updates = loaded(built, foreign_picture(tmp_path, "v1-5-pruned-emaonly"))
    request, shown = updates[recipe_of(built)], by_id(updates)
    assert (request.base, request.scheduler, request.width, request.height) == ("sd15", "euler_a", 512, 640)
    assert (request.negative_prompt, request.guidance_scale, request.num_inference_steps) == ("dull", 6.0, 12)
    assert (shown["history-prompt"], shown["history-seed"]) == ("a <b>castle</b>", 77)
    text = shown["history-recipe"]
    assert "Settings of a picture by AUTOMATIC1111&#x27;s web UI" in text
    assert "<li>clip skip: 2</li>" in text and "ControlNet Canny, control_v11p_sd15_canny" in text
    assert "takes its place" not in text


def test_where_its_base_model_is_not_here_the_page_s_takes_its_place(built: gr.Blocks, tmp_path: Path) -> None:
    (fn,) = listeners(built, "history-picture", "upload")
    path = foreign_picture(tmp_path, "<i>mix</i>")
    updates = call(fn, {"history-picture": path, "model-base": "sdxl"})
    assert updates[recipe_of(built)].base == "sdxl"
    text = by_id(updates)["history-recipe"]
    assert "Its base model &lt;i&gt;mix&lt;/i&gt; is not here: Stable Diffusion XL 1.0 takes its place" in text
    assert updates[recipe_of(built)].loras == ()


def test_a_picture_of_another_program_is_made_again_as_text(built: gr.Blocks, runner: Runner, tmp_path: Path) -> None:
    recipe = recipe_of(built)
    request = loaded(built, foreign_picture(tmp_path, "embedded"))[recipe]
    values = {recipe: request, "history-prompt": "a dog", "history-seed": 3, "history-num_images": 1}
    *_, updates = run(built, "history-generate", "click", values, gr.Request(session_hash="me"))
    job = next(v for v in updates.values() if isinstance(v, str) and len(v) == 16)
    sent_request = runner.state(job).request
    assert isinstance(sent_request, GenerationRequest)
    assert (sent_request.prompt, sent_request.seed, sent_request.units) == ("a dog", 3, ())
