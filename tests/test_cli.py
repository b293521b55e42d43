"""The command line, with real annotators and a real model at tiny size behind the engine's seam."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators.poses import Pose
from cnet_app.cli import build_parser, main
from cnet_app.cli.generate import NOT_WITH_RECIPE
from cnet_app.cli.texts import parse_control, parse_lora, parse_size
from cnet_app.embedded.world import create_sample
from cnet_app.engine.engine import Engine
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.registry.presets import preset
from cnet_app.request.recipe import MADE_CHUNK
from cnet_app.request.units import Lora
from cnet_app.settings import Settings
from models.errors import InputError
from tests.source import ROOT

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> Call:
    """Runs a command in this process: exit code, standard output, standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        try:
            code = main([str(word) for word in words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return run


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.full((96, 128, 3), 30, np.uint8)
    pixels[24:72, 40:90] = (220, 180, 60)
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """One person on a canvas of 128x96, in OpenPose's JSON."""
    body = [number for joint in range(18) for number in (10.0 + 6 * joint, 10.0 + 4 * (joint % 9), 1.0)]
    face = [number for point in range(70) for number in (60.0, 20.0 + 0.3 * point, 1.0)]
    person = {"pose_keypoints_2d": body, "face_keypoints_2d": face}
    path = tmp_path / "people.json"
    path.write_text(json.dumps({"people": [person], "canvas_width": 128, "canvas_height": 96}))
    return path


def create_tiny_engine(settings: Settings) -> Engine:
    """Random miniatures of the embedded family and of SD 1.5 take the place of weights."""
    from cnet_app.diffusion import pipeline
    from models.tiny import tiny_base, tiny_controlnet

    return Engine(
        choose_base=lambda: ("embedded", "it is tiny"),
        load_base=lambda id, rung: tiny_base("sd15" if id.endswith("sd15") else "embedded"),
        load_controlnet=lambda id, base: tiny_controlnet(base),
        generate=pipeline.generate,
        load_vae=lambda id, base: base.vae,
    )


@pytest.fixture
def tiny_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for command in ("generate", "upscale"):
        monkeypatch.setattr(f"cnet_app.cli.{command}.create_engine", create_tiny_engine)


def test_annotate_writes_a_map_and_one_json_object(call: Call, photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.png"
    code, out, _ = call("annotate", "canny", photo, "--output", output, "--set", "low_threshold=80", "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["annotator"], result["parameters"]["low_threshold"]) == ("canny", 80)
    assert Image.open(output).size == (128, 96)


@pytest.mark.usefixtures("tiny_engine")
def test_upscale_makes_a_picture_larger_by_its_own_recipe(call: Call, photo: Path, tmp_path: Path) -> None:
    _, out, _ = call("generate", "--base", "sd15", "--prompt", "a red ball", "--seed", "5", "--size", "64x64", "--output", tmp_path, "--json")  # fmt: skip
    small = json.loads(out)["paths"][0]
    code, out, err = call("upscale", small, "--factor", "1.5", "--output", tmp_path, "--json")
    assert code == 0, err
    made = json.loads(out)
    assert Image.open(made["paths"][0]).size == (96, 96)
    assert [made["request"][name] for name in ("prompt", "seed", "base", "strength")] == [
        "a red ball",
        5,
        "tiny_sd15",
        0.4,
    ]
    assert call("upscale", photo, "--factor", "1", "--output", tmp_path)[0] == 0  # the embedded model can, too
    code, _, err = call("upscale", photo, "--factor", "9", "--output", tmp_path)
    assert (code, err) == (2, "factor is 9, but it must be from 1 to 4.\n")


def test_annotate_all_writes_every_map_it_can(call: Call, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "maps"
    code, out, _ = call("annotate", "all", photo, "--output", folder, "--size", "64x64", "--json")
    made = json.loads(out)
    assert (code, made["left_out"]) == (0, {})
    assert {name.partition("-")[0] for name in made["maps"]} == {row.id for row in CONDITIONS}
    assert all(Image.open(path).size == (64, 64) for path in made["maps"].values())
    code, out, _ = call("annotate", "all", photo, "--output", folder, "--size", "64x64", "--every", "--json")
    assert "needs MiDaS" in json.loads(out)["left_out"]["depth-midas"]
    assert call("annotate", "all", photo, "--output", folder, "--annotator", "canny")[0] == 2


def test_annotate_warns_of_a_map_that_steers_nothing(call: Call, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    Image.new("RGB", (64, 64), (90, 90, 90)).save(flat)
    code, out, _ = call("annotate", "canny", flat, "--output", tmp_path / "map.png", "--json")
    assert code == 0
    assert "No edges were found" in json.loads(out)["warnings"][0]


def _text_as_png(path: Path) -> None:
    path.write_text("not a picture")


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("make", [_text_as_png, _nothing])
def test_bad_files_end_in_one_sentence_and_code_2(call: Call, tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "bad.png"
    make(path)
    code, out, err = call("annotate", "canny", path, "--output", tmp_path / "map.png", "--json")
    assert (code, out) == (2, "")
    assert "bad.png" in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("annotate cany {photo} --output {dir}/m.png", "There is no condition 'cany'"),
        ("annotate canny {dir}/none.png --output {dir}/m.png", "There is no file"),
        ("annotate canny {photo} --output {dir}/m.png --set low=1", "canny has no parameter 'low'"),
        ("annotate canny {photo} --output {dir}/m.png --set low_threshold=nan", "low_threshold is nan"),
        ("annotate canny {photo} --output {dir}/m.png --size 12", "--size is '12'"),
        ("annotate canny {photo} --output {dir}/m.png --annotator midas", "midas makes no map for canny"),
        ("annotate canny", "required: PHOTO, --output"),
        ("annotate canny {photo} --output {dir}/m.png --data {dir}/m.json", "canny finds neither people nor classes"),
        ("annotate canny {people} --output {dir}/m.png", "Canny reads pictures, not people as data"),
        (
            "annotate openpose {people} --output {dir}/m.png --annotator dwpose",
            "drawn as they are; leave out the annotator",
        ),
        (
            "annotate openpose {people} --output {dir}/m.png --set detect_resolution=64",
            "pose has no parameter 'detect_resol",
        ),
        ("annotate openpose {people} --output {dir}/m.png --set person=2", "person is 2, but 1 person was found"),
        ("annotate openpose {dir}/none.json --output {dir}/m.png", "There is no file none.json"),
        (
            "generate --output {dir} --control openpose={people},threshold=1",
            "--control openpose has no setting 'thresh",
        ),
        ("generate --output {dir} --control canny", "--control is 'canny'"),
        ("generate --output {dir} --control canny={photo},scal=1", "--control canny has no setting 'scal'"),
        ("generate --output {dir} --control canny={photo},scale=3", "conditioning_scale is 3"),
        ("generate --output {dir} --control canny={photo},scale=much", "conditioning_scale is 'much'"),
        ("generate --output {dir} --control canny={photo},weights=1/many", "block_weights is '1/many', but it must be"),
        ("generate --output {dir} --control canny={photo},curve=0-1", "strength_curve is '0-1', but it must be"),
        ("generate --output {dir} --control canny={photo},mask=no.png", "no.png"),
        ("generate --output {dir} --control canny={photo},start=0.9,end=0.1", "must not be after"),
        ("generate --output {dir} --steps 0", "num_inference_steps is 0"),
        ("generate --output {dir} --guidance-scale nan", "guidance_scale is nan"),
        ("generate --output {dir} --seed -1", "seed is -1"),
        ("generate --output {dir} --seed 1.5", "Argument --seed: invalid int value: '1.5'"),
        ("generate --output {dir} --size 50x100", "width is 50"),
        ("generate --output {dir} --scheduler best", "There is no scheduler 'best'"),
        ("generate --output {dir} --recipe {photo}", "holds no recipe"),
        ("generate --output {dir} --recipe {photo} --steps 3", "leave out --steps"),
        ("generate --output {dir} --recipe {photo} --ip-scale 1", "leave out --ip-scale"),
        ("generate --output {dir} --lora :0.5", "--lora is ':0.5', but it must be NAME or NAME:WEIGHT"),
        (
            "generate --output {dir} --lora style:much",
            "The weight of LoRA style is 'much', but it must be a number from",
        ),
        ("generate --output {dir} --lora style:-3", "The weight of LoRA style is -3, but it must be from -2 to 2"),
        (
            "generate --output {dir} --ip-adapter ip_adapter_sd15",
            "there is no reference image; give one with --ip-image",
        ),
        ("generate --output {dir} --ip-image {photo}", "--ip-image is given, but no IP-Adapter"),
        ("generate --output {dir} --ip-scale 0.5", "--ip-scale is given, but no IP-Adapter"),
        ("generate --output {dir} --ip-adapter x --ip-image {photo} --ip-scale 2", "ip_scale is 2, but it must be"),
        ("generate --output {dir} --ip-adapter x --ip-image {dir}/none.png", "There is no file"),
        ("generate --output {dir} --residual-interval 0", "residual_interval is 0"),
        ("generate --output {dir} --preset magic", "Argument --preset: there is no 'magic'"),
        (
            "generate --output {dir} --preset lcm_sd15",
            "lcm_sd15 is made for SD 1.5, but the base is the embedded model",
        ),
        ("models show nothing", "There are no weights 'nothing'"),
        ("world --output {dir} --count 0", "count is 0"),
        ("dance", "there is no 'dance'"),
    ],
)
def test_mistakes_end_in_one_sentence_and_code_2(
    call: Call, photo: Path, people: Path, tmp_path: Path, tiny_engine: None, words: str, sentence: str
) -> None:
    code, out, err = call(*words.format(photo=photo, people=people, dir=tmp_path).split())
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_missing_weights_end_in_code_3_and_name_the_file(call: Call, photo: Path, tmp_path: Path) -> None:
    code, out, err = call("annotate", "softedge", photo, "--annotator", "hed", "--output", tmp_path / "map.png")
    assert (code, out) == (3, "")
    assert "ControlNetHED.pth" in err
    assert len(err.splitlines()) == 1


def test_a_place_that_cannot_be_written_ends_in_code_1(call: Call, photo: Path, tmp_path: Path) -> None:
    code, _, err = call("annotate", "canny", photo, "--output", tmp_path / "nowhere" / "map.png")
    assert code == 1
    assert "cannot be written" in err


def test_generate_makes_pictures_that_remake_themselves(
    call: Call, photo: Path, tmp_path: Path, tiny_engine: None
) -> None:
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
    np.testing.assert_array_equal(_pixels(again), _pixels(result["paths"][1]))
    assert not np.array_equal(_pixels(result["paths"][0]), _pixels(result["paths"][1]))


def test_people_come_as_data_and_go_as_data(call: Call, people: Path, tmp_path: Path) -> None:
    output, again = tmp_path / "map.png", tmp_path / "again.json"
    code, out, _ = call("annotate", "openpose", people, "--output", output, "--data", again, "--json")
    assert (code, json.loads(out)["annotator"]) == (0, None)
    assert Image.open(output).size == (128, 96)
    assert again.read_text() == json.dumps(Pose.from_json(json.loads(people.read_text())).to_json())
    usual = _pixels(str(output)).any(axis=2)
    call("annotate", "openpose", again, "--output", output, "--set", "sticks=thick", "--size", "1024x768")
    assert Image.open(output).size == (1024, 768)
    assert _pixels(str(output)).any(axis=2).mean() > usual.mean()
    code, out, _ = call("annotate", "openpose", people, "--output", output, "--set", "body=false", "--set", "faces=no")
    assert code == 2
    call("annotate", "openpose", people, "--output", output, "--set", "body=false")
    assert set(map(tuple, _pixels(str(output)).reshape(-1, 3))) == {(0, 0, 0), (255, 255, 255)}


def test_what_an_annotator_finds_is_written(call: Call, tmp_path: Path) -> None:
    photo, data = tmp_path / "scene.png", tmp_path / "people.json"
    Image.fromarray(create_sample(7, 128).image).save(photo)
    words = ("annotate", "openpose", photo, "--annotator", "openpose_embedded", "--output")
    code, _, err = call(*words, tmp_path / "map.png", "--data", data)
    assert code == 0, err
    call("annotate", "openpose", data, "--output", tmp_path / "again.png")
    assert np.array_equal(_pixels(str(tmp_path / "again.png")), _pixels(str(tmp_path / "map.png")))


def test_generate_follows_people_brought_as_data(call: Call, people: Path, tmp_path: Path, tiny_engine: None) -> None:
    words = ("--steps", 1, "--size", "64x64", "--output", tmp_path, "--json")
    for control in (f"openpose={people}", f"openpose={people},annotator=none,faces=false,scale=0.5"):
        code, out, err = call("generate", "--control", control, *words)
        assert code == 0, err
        assert json.loads(out)["request"]["units"][0]["annotator"] is None


def _pixels(path: str) -> Any:
    return np.asarray(Image.open(path))


def test_generate_takes_what_is_not_said_from_the_base(call: Call, tmp_path: Path, tiny_engine: None) -> None:
    from models.tiny import tiny_base

    defaults = tiny_base("embedded").defaults
    _, out, _ = call("generate", "--steps", 1, "--output", tmp_path, "--json")
    request = json.loads(out)["request"]
    assert (request["width"], request["guidance_scale"]) == (defaults.size, defaults.guidance_scale)


@pytest.mark.parametrize(
    ("text", "name", "scale"),
    [
        ("style", "style", 1.0),
        ("style.v2:0.8", "style.v2", 0.8),
        ("/loras/a b/style.safetensors:-.5", "/loras/a b/style.safetensors", -0.5),
        ("C:\\loras\\style.safetensors", "C:\\loras\\style.safetensors", 1.0),
        ("C:/loras/style.safetensors:2", "C:/loras/style.safetensors", 2.0),
        ("at 3:4.pt:1", "at 3:4.pt", 1.0),
    ],
)
def test_a_loras_weight_follows_the_last_colon_that_is_no_paths(text: str, name: str, scale: float) -> None:
    assert parse_lora(text) == Lora(name=name, scale=scale)


def test_generate_uses_additions_and_a_remake_keeps_them(
    call: Call, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch
    from safetensors.torch import save_file

    from cnet_app.engine.workshop import REPRODUCIBLE, Workshop
    from models.tiny import save_tiny_ip_adapter, tiny_base

    def create(settings: Settings) -> Engine:
        real = Workshop(settings)
        return dataclasses.replace(create_tiny_engine(settings), generate=real.generate, describe=real.describe)

    monkeypatch.setattr("cnet_app.cli.generate.create_engine", create)
    base = tiny_base("embedded")
    adapter = save_tiny_ip_adapter(base, tmp_path / "adapter")
    layer = "mid_block.attentions.0.proj_in"
    channels, width = base.unet.get_submodule(layer).weight.shape
    lora = tmp_path / "style.safetensors"
    save_file(
        {f"unet.{layer}.lora_A.weight": torch.ones(1, width), f"unet.{layer}.lora_B.weight": torch.ones(channels, 1)},
        lora,
    )

    def generate(*words: object) -> Any:
        code, out, err = call("generate", *words, "--output", tmp_path / "made", "--device", "cpu", "--json")
        assert code == 0, err
        return json.loads(out)

    plain = ("--steps", 2, "--seed", 3, "--size", "64x64", "--control", f"canny={photo}", "--residual-interval", 2)
    added = ("--lora", f"{lora}:0.5", "--vae", "own", "--ip-adapter", adapter, "--ip-image", photo, "--ip-scale", 0.9)
    made = generate(*plain, *added)
    request = made["request"]
    assert request["loras"] == [{"name": str(lora), "scale": 0.5}]
    assert (request["vae"], request["residual_interval"]) == ("own", 2)
    assert (request["ip_adapter"]["name"], request["ip_adapter"]["scale"]) == (str(adapter), 0.9)
    (path,), (again,) = made["paths"], generate("--recipe", made["paths"][0])["paths"]
    np.testing.assert_array_equal(_pixels(again), _pixels(path))
    for fewer in (added[2:], added[:4]):
        assert not np.array_equal(_pixels(generate(*plain, *fewer)["paths"][0]), _pixels(path))

    told = json.loads(Image.open(path).info[MADE_CHUNK])
    assert told["device"].startswith("cpu (")
    assert (told["number_format"], told["memory"], told["speed"]) == ("float32", "full", "near")
    assert (told["torch"], told["reproducible"]) == (torch.__version__, REPRODUCIBLE)
    assert set(told) > {"diffusers", "controlnet_studio"}


def test_a_preset_sets_what_the_user_leaves_open(call: Call, tmp_path: Path, tiny_engine: None) -> None:
    def request(*words: object) -> Any:
        given = ("--base", "sd15", "--size", "64x64", "--output", tmp_path, "--json")
        return json.loads(call("generate", "--preset", "hyper_sd15", *given, *words)[1])["request"]

    row, made = preset("hyper_sd15", "sd15"), request()
    assert made["loras"] == [{"name": row.lora, "scale": 1.0}]
    for name in ("scheduler", "num_inference_steps", "guidance_scale"):
        assert made[name] == getattr(row, name)
    own = request("--steps", 2, "--scheduler", "lcm", "--lora", f"{row.lora}:0.7", "--lora", "style:0.5")
    assert (own["num_inference_steps"], own["scheduler"], own["guidance_scale"]) == (2, "lcm", row.guidance_scale)
    assert own["loras"] == [{"name": row.lora, "scale": 0.7}, {"name": "style", "scale": 0.5}]


def test_a_recipe_says_it_all() -> None:
    parser = build_parser(["generate"])
    given = vars(parser.parse_args(["generate", "--output", "x"]))
    assert set(given) - set(NOT_WITH_RECIPE) == {"recipe", "output", "device", "speed", "json", "run"}


def test_control_reads_a_map_of_ones_own() -> None:
    steered = parse_control("canny=a.png,mode=custom,weights=1/0.5,unconditional_weights=0/2,curve=0:1/0.5:0,feather=8")
    assert steered.options == {
        "control_mode": "custom",
        "block_weights": (1.0, 0.5),
        "unconditional_block_weights": (0.0, 2.0),
        "strength_curve": ((0.0, 1.0), (0.5, 0.0)),
        "mask_feather": 8.0,
    }
    read = parse_control("depth=a, b.png,annotator=none,scale=0.5,mode=control")
    assert (read.path, read.annotator) == (Path("a, b.png"), None)
    assert read.options == {"conditioning_scale": 0.5, "control_mode": "control"}


def test_control_chooses_the_best_annotator_that_can_run() -> None:
    assert parse_control("scribble=a.png").annotator == "scribble_xdog"


@pytest.mark.parametrize("text", ["256", "256x", "x256", "-1x5", "2.5x2", "1e3x9"])
def test_size_says_how_it_is_written(text: str) -> None:
    with pytest.raises(InputError, match="WIDTHxHEIGHT"):
        parse_size(text)


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's own models are; nothing else of a developer's is found."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_models_list_shows_every_row_and_whether_it_is_here(call: Call, models_dir: Path) -> None:
    from models.catalog import CATALOG

    code, out, _ = call("models", "list", "--json")
    assert code == 0
    assert [row["id"] for row in json.loads(out)["models"]] == [row.id for row in CATALOG]
    assert call("models", "list")[1].count("\n") == len(CATALOG)


def test_models_list_can_be_narrowed(call: Call, models_dir: Path) -> None:
    def ids(*words: str) -> list[str]:
        return [line.split()[0] for line in call("models", "list", *words)[1].splitlines()]

    (models_dir / "vae").mkdir(parents=True)
    (models_dir / "vae" / "mine.pt").write_text("tensors")
    assert ids("--kind", "vae") == ["vae_ft_mse", "vae_fp16_sdxl", "taesd", "taesdxl", "mine.pt"]
    assert ids("--kind", "adapter", "--family", "sd15")[0] == "t2iadapter_canny_sd15"
    assert ids("--family", "sdxl", "--kind", "vae") == ["vae_fp16_sdxl", "taesdxl"]
    assert ids("--here", "--kind", "base") == ["embedded"]
    assert call("models", "list", "--kind", "lamp")[0] == 2


def test_models_add_notes_a_repository(call: Call, models_dir: Path) -> None:
    code, out, _ = call("models", "add", "who/edges", "--kind", "controlnet")
    assert (code, out) == (0, "who/edges is noted as controlnet; `models download who/edges` fetches its files.\n")
    assert "who/edges" in call("models", "list", "--kind", "controlnet")[1]
    assert "use: Not known here" in call("models", "show", "who/edges")[1]
    assert "lacks config.json; run `models download who/edges`" in call("models", "verify", "who/edges")[2]
    (models_dir / "mine.ckpt").write_text("tensors")
    code, _, err = call("models", "add", models_dir / "mine.ckpt")
    assert (code, len(err.splitlines())) == (2, 1)
    assert "mine.ckpt is a file; put it into models/checkpoints" in err


def test_models_verify_tells_right_from_damaged_and_missing(call: Call, models_dir: Path) -> None:
    assert call("models", "verify", "embedded_canny") == (
        0,
        "recorded now  embedded_canny  config.json\n"
        "recorded now  embedded_canny  diffusion_pytorch_model.safetensors\n",
        "",
    )
    assert "right         embedded_canny  config.json" in call("models", "verify", "embedded_canny")[1]
    assert "checksum: none known; recorded at the first" in call("models", "show", "embedded_depth")[1]
    assert "checksum: none known" not in call("models", "show", "embedded_canny")[1]

    code, out, err = call("models", "verify", "hed")
    assert (code, out) == (3, "missing       hed  ControlNetHED.pth\n")
    assert "run `models download hed`" in err
    (models_dir / "hed").mkdir()
    (models_dir / "hed" / "ControlNetHED.pth").write_text("something else")
    code, out, err = call("models", "verify", "--json")
    found = {(file["id"], file["name"]): file["state"] for file in json.loads(out)["files"]}
    assert code == 3
    assert found["hed", "ControlNetHED.pth"] == "damaged"
    assert set(found.values()) == {"damaged", "right", "recorded now"}
    assert err.startswith("ControlNetHED.pth in ") and len(err.splitlines()) == 1


def test_models_list_shows_dropped_files_of_every_kind(call: Call, models_dir: Path) -> None:
    from models.local import FOLDERS

    for kind, folder in FOLDERS.items():
        (models_dir / folder).mkdir(parents=True)
        (models_dir / folder / f"{kind}.pt").write_text("tensors")
    files = json.loads(call("models", "list", "--json")[1])["files"]
    assert [(file["name"], file["kind"], file["family"]) for file in files] == [(f"{k}.pt", k, None) for k in FOLDERS]
    assert [line.split()[:2] for line in call("models", "list")[1].splitlines()[-5:]] == [
        [f"{kind}.pt", kind] for kind in FOLDERS
    ]


def test_a_reader_that_goes_away_is_no_fault_of_ours() -> None:
    command = [sys.executable, "-m", "cnet_app", "models", "list", "--json"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        assert running.stdout and running.stderr
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, told) == (1, b"")


def test_models_show_and_download_tell_of_a_row(call: Call) -> None:
    assert "lllyasviel/Annotators" in call("models", "show", "hed")[1]
    code, _, err = call("models", "download", "hed")
    assert code == 3
    assert "29.4 MB" in err


def test_world_draws_the_same_scene_for_the_same_seed(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("world", "--seed", 1, "--count", 1, "--size", 64, "--output", tmp_path / "a", "--json")
    (sample,) = json.loads(out)["samples"]
    call("world", "--seed", 1, "--count", 1, "--size", 64, "--output", tmp_path / "b")
    assert code == 0
    assert sample["caption"] in (tmp_path / "a" / "captions.jsonl").read_text()
    for path in (sample["image"], *sample["maps"].values()):
        assert Path(path).read_bytes() == (tmp_path / "b" / Path(path).name).read_bytes()
