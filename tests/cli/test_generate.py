"""`generate`: pictures from control images, remakes, and what flags and environment leave open."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin
from safetensors.torch import save_file

from annotators.canny import Canny
from annotators.sources.images import load_image
from cnet_app.cli import build_parser
from cnet_app.cli.arguments.request import NOT_WITH_RECIPE
from cnet_app.engine.torch_engine import REPRODUCIBLE
from cnet_app.registry.presets import preset
from cnet_app.request.recipe import MADE_CHUNK, read_request
from models.catalogue.catalog import entry
from models.catalogue.resolve import resolve
from models.loader import save_network
from models.tiny import tiny_base
from models.tiny.unets import save_tiny_ip_adapter
from tests.cli.conftest import Call, pixels

pytestmark = pytest.mark.slow


@pytest.mark.usefixtures("tiny_models")
def test_generate_makes_pictures_that_remake_themselves(call: Call, photo: Path, tmp_path: Path) -> None:
    control = f"canny={photo},scale=0.7,end=0.6,low_threshold=80"
    words = ("--prompt", "a red ball", "--steps", 2, "--num-images", 2, "--seed", 7, "--size", "64x64", "--json")
    code, out, _ = call("generate", "--control", control, *words, "--output", tmp_path / "made")
    result = json.loads(out)
    unit = result["request"]["units"][0]
    assert code == 0
    assert result["seeds"] == [7, 8]
    assert result["seconds"] > 0
    assert (unit["conditioning_scale"], unit["control_guidance_end"]) == (0.7, 0.6)
    assert unit["annotator_parameters"]["low_threshold"] == 80
    (norms,) = result["residual_norms"]
    assert len(norms) > 2
    assert min(norms) > 0

    code, out, _ = call("generate", "--recipe", result["paths"][1], "--output", tmp_path / "again", "--json")
    (again,) = json.loads(out)["paths"]
    assert code == 0
    np.testing.assert_array_equal(pixels(again), pixels(result["paths"][1]))
    assert not np.array_equal(pixels(result["paths"][0]), pixels(result["paths"][1]))


@pytest.mark.usefixtures("tiny_models")
def test_the_part_around_a_mask_is_made_anew_in_the_whole_picture(
    generate: Any, call: Call, photo: Path, tmp_path: Path
) -> None:
    white = np.zeros((96, 128, 3), np.uint8)
    white[20:60, 30:70] = 255
    for name, level in (("mask", 1), ("black", 0)):
        Image.fromarray(white * level).save(tmp_path / f"{name}.png")
    words = ("--size", "64x64", "--steps", 2, "--seed", 3, "--image", photo, "--inpaint-area", "mask")
    control = ("--control", f"canny={photo},prompt=a blue cone,depth_curve=0:1/1:0.5")
    made = generate(*words, "--inpaint-mask", tmp_path / "mask.png", "--inpaint-padding", 12, *control, "--json-maps")
    (path,), request = made["paths"], made["request"]
    assert (request["inpaint_area"], request["inpaint_padding"]) == ("mask", 12)
    old, new, outside = pixels(photo), pixels(path), white[..., 0] == 0
    np.testing.assert_array_equal(new[outside], old[outside])
    assert (new[~outside] != old[~outside]).any()
    (unit,) = request["units"]
    assert (unit["prompt"], unit["depth_curve"]) == ("a blue cone", [[0, 1], [1, 0.5]])
    map = load_image(base64.b64decode(unit["control_image"]))
    np.testing.assert_array_equal(map, Canny()(old[8:72, 18:82]))  # of the part, 40 px of mask and 12 around it
    np.testing.assert_array_equal(pixels(generate("--recipe", path)["paths"][0]), new)

    for mask, sentence in (
        (("--inpaint-mask", tmp_path / "black.png"), "inpaint_mask covers nothing: paint the part to change white"),
        ((), "inpaint_area is mask, but there is no inpaint_mask to paint in"),
    ):
        code, _, err = call("generate", *words, *mask, "--output", tmp_path)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(sentence)


@pytest.mark.usefixtures("tiny_models")
def test_generate_follows_people_brought_as_data(call: Call, people: Path, tmp_path: Path) -> None:
    words = ("--steps", 1, "--size", "64x64", "--output", tmp_path, "--json")
    for control in (f"openpose={people}", f"openpose={people},annotator=none,faces=false,scale=0.5"):
        code, out, err = call("generate", "--control", control, *words)
        assert code == 0, err
        assert json.loads(out)["request"]["units"][0]["annotator"] is None


@pytest.mark.usefixtures("tiny_models")
def test_generate_takes_what_is_not_said_from_the_base(call: Call, tmp_path: Path) -> None:
    defaults = resolve("sd15", "base").defaults
    _, out, _ = call("generate", "--steps", 1, "--output", tmp_path, "--json")
    request = json.loads(out)["request"]
    assert (request["base"], request["width"], request["height"]) == ("sd15", defaults.size, defaults.size)
    assert (request["guidance_scale"], request["num_inference_steps"]) == (defaults.guidance_scale, 1)


def save_lora(path: Path, number: float = 1.0) -> Path:
    """A LoRA of rank 1 for the miniature of SD 1.5."""
    layer = "mid_block.attentions.0.proj_in"
    channels, width = tiny_base("sd15").network.get_submodule(layer).weight.shape[:2]
    down, up = torch.full((1, width, 1, 1), number), torch.ones(channels, 1, 1, 1)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({f"unet.{layer}.lora_A.weight": down, f"unet.{layer}.lora_B.weight": up}, path)
    return path


@pytest.fixture
def generate(call: Call, tmp_path: Path) -> Any:
    """Makes pictures and returns the JSON of the result."""

    def run(*words: object) -> Any:
        code, out, err = call("generate", *words, "--output", tmp_path / "made", "--json")
        assert code == 0, err
        return json.loads(out)

    return run


@pytest.mark.usefixtures("tiny_models")
def test_generate_uses_additions_and_a_remake_keeps_them(generate: Any, photo: Path, tmp_path: Path) -> None:
    adapter = save_tiny_ip_adapter(tiny_base("sd15"), tmp_path / "adapter")
    lora, vae = save_lora(tmp_path / "style.safetensors"), tmp_path / "vae"
    save_network(tiny_base("sd15", seed=5).vae, vae)
    plain = ("--steps", 2, "--seed", 3, "--size", "64x64", "--control", f"canny={photo}", "--residual-interval", 2)
    added = ("--lora", f"{lora}:0.5", "--vae", vae, "--ip-adapter", adapter, "--ip-image", photo, "--ip-scale", 0.9)
    made = generate(*plain, *added)
    request = made["request"]
    assert request["loras"] == [{"name": str(lora), "scale": 0.5}]
    assert (request["vae"], request["residual_interval"]) == (str(vae), 2)
    assert (request["ip_adapter"]["name"], request["ip_adapter"]["scale"]) == (str(adapter), 0.9)
    (path,), (again,) = made["paths"], generate("--recipe", made["paths"][0])["paths"]
    np.testing.assert_array_equal(pixels(again), pixels(path))
    for fewer in (added[2:], added[:2] + added[4:], added[:4]):
        assert not np.array_equal(pixels(generate(*plain, *fewer)["paths"][0]), pixels(path))


@pytest.mark.usefixtures("tiny_models")
def test_a_picture_holds_how_it_was_made(generate: Any) -> None:
    (path,) = generate("--steps", 1, "--size", "64x64", "--speed", "exact")["paths"]
    facts = json.loads(Image.open(path).info[MADE_CHUNK])
    assert facts["device"].startswith("cpu (")
    assert (facts["number_format"], facts["memory"], facts["speed"]) == ("float32", "full", "exact")
    assert (facts["torch"], facts["reproducible"]) == (torch.__version__, REPRODUCIBLE)
    assert set(facts) > {"diffusers", "controlnet_studio"}


@pytest.mark.usefixtures("tiny_models")
def test_a_remake_names_files_that_are_not_the_same_any_more(generate: Any, call: Call, tmp_path: Path) -> None:
    lora = save_lora(tmp_path / "style.safetensors")
    (path,) = generate("--steps", 3, "--size", "64x64", "--lora", lora)["paths"]
    assert generate("--recipe", path)["notes"] == []
    save_lora(lora, number=-2.0)
    note = f"LoRA {lora} is not the file that this picture was made with (its content differs): the picture will be another one."
    assert generate("--recipe", path)["notes"] == [note]
    assert note in call("generate", "--recipe", path, "--output", tmp_path)[1].splitlines()


def test_a_preset_sets_what_the_user_leaves_open(generate: Any, tiny_models: Path) -> None:
    row = preset("hyper_sd15", "sd15")
    save_lora(tiny_models / row.lora / entry(row.lora).files[0].name)
    save_lora(tiny_models / "loras" / "style.safetensors")

    def request(*words: object) -> Any:
        return generate("--preset", "hyper_sd15", "--size", "64x64", *words)["request"]

    made = request()
    assert made["loras"] == [{"name": row.lora, "scale": 1.0}]
    for name in ("scheduler", "num_inference_steps", "guidance_scale"):
        assert made[name] == getattr(row, name)
    own = request("--steps", 2, "--scheduler", "lcm", "--lora", f"{row.lora}:0.7", "--lora", "style:0.5")
    assert (own["num_inference_steps"], own["scheduler"], own["guidance_scale"]) == (2, "lcm", row.guidance_scale)
    assert own["loras"] == [{"name": row.lora, "scale": 0.7}, {"name": "style", "scale": 0.5}]


@pytest.mark.usefixtures("tiny_models")
def test_json_has_maps_by_hash_and_whole_only_where_asked(call: Call, photo: Path, tmp_path: Path) -> None:
    words = ("generate", "--control", f"canny={photo}", "--steps", 1, "--size", "64x64", "--output", tmp_path)
    by_hash, whole = (
        json.loads(call(*words, flag)[1])["request"]["units"][0]["control_image"] for flag in ("--json", "--json-maps")
    )
    png = base64.b64decode(whole)
    assert load_image(png).shape == (64, 64, 3)
    assert by_hash == {"sha256": hashlib.sha256(png).hexdigest(), "bytes": len(png)}


def test_the_environment_is_obeyed_where_no_flag_is_given(
    generate: Any, tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tiny_models / "mine").symlink_to(tiny_models / "sd15")
    monkeypatch.setenv("CNET_BASE", str(tiny_models / "mine"))
    plain = ("--steps", 1, "--size", "64x64")
    for speed, words, used in (("exact", (), "exact"), ("near", (), "near"), ("near", ("--speed", "exact"), "exact")):
        monkeypatch.setenv("CNET_SPEED", speed)
        made = generate(*plain, *words)
        assert made["request"]["base"] == str(tiny_models / "mine")
        assert json.loads(Image.open(made["paths"][0]).info[MADE_CHUNK])["speed"] == used
    assert generate(*plain, "--base", "sd15")["request"]["base"] == "sd15"


@pytest.mark.parametrize("command", ["generate", "annotate", "upscale"])
def test_an_unknown_device_is_one_sentence(call: Call, tmp_path: Path, command: str) -> None:
    words = {"generate": [], "annotate": ["canny", "photo.png"], "upscale": ["photo.png"]}[command]
    code, out, err = call(command, *words, "--output", tmp_path, "--device", "lamp")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("Argument --device: 'lamp' is not one of auto, cpu, cuda, cuda:1, mps")


@pytest.mark.usefixtures("tiny_models")
def test_a_device_that_is_not_here_is_one_sentence(call: Call, tmp_path: Path) -> None:
    code, out, err = call("generate", "--steps", 1, "--output", tmp_path, "--device", "cuda:77")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("The device is 'cuda:77', but this machine has: auto, cpu")


def test_a_wrong_variable_is_one_sentence(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_SPEED", "quick")
    code, out, err = call("generate", "--steps", 1, "--output", tmp_path)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "'quick' is not one of exact, near, compiled" in err


def test_a_recipe_says_it_all() -> None:
    parser = build_parser(["generate"])
    given = vars(parser.parse_args(["generate", "--output", "x"]))
    assert set(given) - set(NOT_WITH_RECIPE) == {
        "recipe", "output", "device", "speed", "yes", "json", "json_maps", "run",
    }  # fmt: skip


@pytest.mark.usefixtures("tiny_models")
def test_a_picture_of_another_program_is_made_by_its_settings(call: Call, tmp_path: Path) -> None:
    def foreign(model: str) -> Path:
        info = PngImagePlugin.PngInfo()
        unit = '"Module: canny, Model: control_v11p_sd15_canny, Weight: 0.8"'
        line = f"Steps: 2, Sampler: Euler a, CFG scale: 6, Seed: 77, Size: 64x64, Model: {model}, ControlNet 0: {unit}"
        info.add_text("parameters", f"a castle\n{line}")
        Image.new("RGB", (64, 64)).save(tmp_path / "foreign.png", pnginfo=info)
        return tmp_path / "foreign.png"

    words = ("--output", tmp_path / "made", "--json")
    code, out, err = call("generate", "--recipe", foreign("v1-5-pruned-emaonly"), *words)
    assert code == 0, err
    result = json.loads(out)
    request = result["request"]
    assert (request["base"], request["scheduler"], request["seed"], request["units"]) == ("sd15", "euler_a", 77, [])
    assert "left out: ControlNet Canny, control_v11p_sd15_canny" in result["notes"][0]
    code, out, err = call("generate", "--recipe", foreign("mix"), *words)
    assert (code, out) == (2, "")
    assert "names the base model mix, which is not here" in err and "--base" in err
    code, out, err = call("generate", "--recipe", foreign("mix"), "--base", "sd15", *words)
    assert code == 0, err
    made = json.loads(out)["paths"][0]
    code, _, err = call("generate", "--recipe", made, "--base", "sd15", *words)
    assert code == 2 and "leave out --base" in err


@pytest.mark.usefixtures("tiny_models")
def test_a_hole_rubbed_into_the_initial_image_is_its_mask(call: Call, photo: Path, tmp_path: Path) -> None:
    picture = Image.open(photo).convert("RGBA")
    alpha = np.full((picture.height, picture.width), 255, np.uint8)
    alpha[20:60, 30:70] = 0
    picture.putalpha(Image.fromarray(alpha))
    picture.save(tmp_path / "cut.png")
    words = (
        "--image",
        tmp_path / "cut.png",
        "--strength",
        0.6,
        "--steps",
        4,
        "--seed",
        1,
        "--size",
        "128x96",
        "--json",
    )
    code, out, _ = call("generate", "--prompt", "a ball", *words, "--output", tmp_path / "made")
    result = json.loads(out)
    assert code == 0
    mask = read_request(Path(result["paths"][0])).inpaint_mask
    assert mask is not None and np.array_equal(load_image(mask)[..., 0] == 255, alpha == 0)
    assert any("transparent in parts, which are the mask" in note for note in result["notes"])
    made, plain = pixels(Path(result["paths"][0])), pixels(photo)
    assert np.array_equal(made[alpha == 255], plain[alpha == 255])
    Image.fromarray(np.full((96, 128), 255, np.uint8)).save(tmp_path / "mask.png")
    code, out, _ = call("generate", "--prompt", "a", *words, "--inpaint-mask", tmp_path / "mask.png", "--output", tmp_path / "b")  # fmt: skip
    assert any("the mask is the one given" in note for note in json.loads(out)["notes"])
