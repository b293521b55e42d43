"""The calls of the models view and of the question before a download."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from cnet_app.engine.protocol import EngineStatus
from cnet_app.registry.modes import MODES
from cnet_app.ui.calls.jobs.jobs import describe_job
from cnet_app.ui.calls.memory import memory_words
from cnet_app.ui.calls.models import describe_rows
from models.catalogue.catalog import entry
from models.machine.ladder import LADDER
from models.tiny import tiny_base
from models.tiny.z_image import tiny_z_image_controlnet
from tests.jobs.fake_engine import request
from tests.ui.conftest import Caller


def test_the_question_names_files_folder_and_terms_of_every_row(caller: Caller) -> None:
    missing = caller("question", ids=["sd15"])["missing"]
    (item,) = missing["items"]
    assert missing["ids"] == ["sd15"]
    assert item["title"] == "Stable Diffusion 1.5" and item["licence"] == "CreativeML OpenRAIL-M"
    assert item["terms"].startswith("https://") and item["page"].startswith("https://")
    assert item["folder"] == "models/checkpoints/sd15"
    assert item["files"] and set(item["files"]) <= {file.name for file in entry("sd15").files}


def test_the_question_says_what_to_do_before_gated_files(caller: Caller) -> None:
    items = caller("question", ids=["flux", "sd15"])["missing"]["items"]
    assert [bool(item["gate"]) for item in items] == [True, False]
    assert items[0]["gate"].startswith("Gated: accept the terms at https://huggingface.co/black-forest-labs/FLUX.1-dev")
    assert "HF_TOKEN" in items[0]["gate"]
    listed = {row["id"]: row.get("gate") for row in caller("catalogue")["models"]}
    assert listed["sd3"] and not listed["sd15"]


def test_rows_may_come_from_a_generator_and_what_ships_is_left_out() -> None:
    described = describe_rows(entry(id) for id in ("embedded", "taesd"))
    assert described["ids"] == ["taesd"]
    assert [item["title"] for item in described["items"]] == [entry("taesd").title]


def test_the_catalogue_names_the_kind_of_every_model_and_where_own_files_go(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CNET_MODELS_DIR", raising=False)
    answer = caller("catalogue")
    rows = {row["id"]: row for row in answer["models"]}
    assert rows["sd15"]["kind_title"] == "Base model" and rows["sd15"]["family_title"] == "SD 1.5"
    assert rows["embedded"]["here"] and all(row["kind_title"] for row in answer["models"])
    assert "models/loras" in [row["folder"] for row in answer["folders"]]
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    assert str(tmp_path / "loras") in [row["folder"] for row in caller("catalogue")["folders"]]


def test_only_what_fits_the_base_is_offered(caller: Caller) -> None:
    def ids(answer: dict[str, Any], field: str) -> set[str]:
        return {row["id"] for row in answer["lists"][field]}

    demo, sd15, sdxl = (caller("choices", base=base) for base in ("embedded", "sd15", "sdxl"))
    assert demo["presets"] == [] and ids(demo, "lora") == ids(demo, "ip_adapter") == {""}
    assert demo["base"]["is_demo"] and not sd15["base"]["is_demo"]
    assert {row["family"] for row in sd15["presets"]} == {"sd15"} and {row["family"] for row in sdxl["presets"]} == {
        "sdxl"
    }
    assert not ids(sd15, "lora") & ids(sdxl, "lora") - {""}
    assert "ip2p" not in demo["conditions"] and "ip2p" in sd15["conditions"]


def test_the_page_offers_what_the_machine_could_run(caller: Caller) -> None:
    assert caller("choices")["offer"] is None
    caller.engine.state = replace(caller.engine.state, base_offer="sd15")
    offer = caller("choices")["offer"]
    assert (offer["ids"], offer["items"][0]["title"]) == (["sd15"], "Stable Diffusion 1.5")


def test_nothing_is_downloaded_before_it_was_agreed_to(caller: Caller) -> None:
    photo = caller.put(np.zeros((64, 64, 3), np.uint8))
    layer = {"condition": "openpose", "annotator": "dwpose"}
    frame = {"width": 64, "height": 64}
    assert caller("map", layer=layer, photo=photo, frame=frame)["missing"]["ids"] == ["dwpose"]
    canny = {"condition": "canny"}
    asked = caller("generate", draft={"frame": frame, "photo": photo, "layers": [canny], "settings": {"base": "sd15"}})
    assert {"sd15", "control_v11p_sd15_canny"} <= set(asked["missing"]["ids"])  # the ControlNet is in the figure
    assert not caller.engine.downloads and not caller.engine.prompts


def test_a_job_is_described_with_its_size(caller: Caller) -> None:
    runner = caller.context.runner
    described = describe_job(caller.context, runner.state(runner.submit(request("a job with a size"), "someone")))
    assert (described["width"], described["height"]) == (64, 64)


def test_each_controlnet_has_the_strength_to_start_with(caller: Caller) -> None:
    def scales(base: str, condition: str) -> dict[str, float]:
        return {row["id"]: row["conditioning_scale"] for row in caller("choices", base=base)["controlnets"][condition]}

    assert scales("z_image", "tile")[""] == 0.85
    assert scales("z_image", "canny")["controlnet_union_base_z_image"] == 0.9
    assert scales("z_image_base", "canny")[""] == 0.9
    assert set(scales("sd15", "canny").values()) == {1}


def test_a_base_that_reads_maps_itself_takes_every_layer_but_a_masked_one(caller: Caller) -> None:
    choices = caller("choices", base="flux2")
    assert {"normal", "ip2p", "recolor", "openpose"} < set(choices["conditions"])
    assert "inpaint" not in choices["conditions"]
    listed = {id: [(row["title"], row["id"]) for row in rows] for id, rows in choices["controlnets"].items()}
    assert listed["canny"] == [("The map as it is", "")]
    assert listed["depth"] == [("The map as it is", ""), ("RefControl, depth, for FLUX.2", "refcontrol_depth_flux2")]
    assert {"mask", "depth_curve", "prompt"} <= set(choices["base"]["refused"]["fields"])
    assert caller("choices", base="chroma")["controlnets"]["canny"][0] == {
        "title": "The condition's own", "id": "", "conditioning_scale": 0.7, "blocks": 5,
    }  # fmt: skip


def device(gigabytes: float) -> EngineStatus:
    return EngineStatus(state="ready", device="cuda:0", device_bytes=int(gigabytes * 1e9), value_bytes=2)


CANNY, DEPTH = ("canny", None), ("depth", None)


@pytest.mark.parametrize(
    ("base", "layers", "gigabytes", "words"),
    [
        ("z_image", [CANNY], 80, "About 29.6 of 80 GB with a ControlNet at 1 MP."),
        ("z_image", [CANNY, DEPTH], 80, "About 29.6 of 80 GB with a ControlNet at 1 MP."),
        ("z_image", [], 25, "About 22.9 of 25 GB without a ControlNet at 1 MP."),
        ("z_image", [("canny", "controlnet_union_lite_z_image")], 80, "About 24.9 of 80 GB with a ControlNet at 1 MP."),
        ("sd3_medium", [CANNY], 80, "About 18.7 of 80 GB without a ControlNet at 1 MP."),
        ("sd3", [CANNY], 80, "About 34.1 of 80 GB with a ControlNet at 1 MP."),
        ("flux2", [CANNY, DEPTH], 80, "About 18.8 of 80 GB with 2 maps at 1 MP."),
        ("z_image", [CANNY], 0, ""),
    ],
)
def test_the_memory_of_what_is_chosen_is_told_before_it_is_loaded(
    base: str, layers: list[tuple[str, str | None]], gigabytes: int, words: str
) -> None:
    assert memory_words(base, device(gigabytes), layers) == words


def test_a_base_in_a_folder_has_the_memory_that_its_configs_show(tmp_path: Path) -> None:
    config = {
        "_class_name": "SD3Transformer2DModel", "num_layers": 24, "num_attention_heads": 24, "attention_head_dim": 64,
        "dual_attention_layers": list(range(13)), "pos_embed_max_size": 384, "sample_size": 128,
    }  # fmt: skip
    (tmp_path / "transformer").mkdir()
    (tmp_path / "transformer" / "config.json").write_text(json.dumps(config))
    (tmp_path / "model_index.json").write_text("{}")
    assert memory_words(str(tmp_path), device(80), [CANNY]) == "About 18.7 of 80 GB without a ControlNet at 1 MP."


def test_weights_in_float8_stay_packed_where_memory_is_short(tmp_path: Path) -> None:
    state = {name: tensor.to(torch.float8_e4m3fn) for name, tensor in tiny_base("z_image").network.state_dict().items()}
    save_file(state, tmp_path / "eight.safetensors")
    remark = "Weights in float8 stay packed."
    assert remark in memory_words(str(tmp_path / "eight.safetensors"), device(20))
    assert remark not in memory_words(str(tmp_path / "eight.safetensors"), device(80))
    assert remark not in memory_words("z_image", device(20))


def test_the_rung_is_told_too() -> None:
    told = memory_words("z_image", device(24), [CANNY])
    assert told == f"About 21.6 of 24 GB with a ControlNet at 1 MP. {LADDER[1].message}"
    small = EngineStatus(state="ready", device="cpu", device_bytes=8 * 10**9)
    assert memory_words("z_image", small, [CANNY]) == (
        "About 56.4 GB with a ControlNet at 1 MP, but the device has 8.0 GB."
    )


def test_the_page_gets_the_memory_of_its_layers(caller: Caller) -> None:
    caller.engine.state = replace(caller.engine.state, device="cuda:0", device_bytes=80 * 10**9, value_bytes=2)
    layers = [{"condition": "canny", "controlnet": "controlnet_union_lite_z_image"}, {"condition": "shuffle"}]
    frame = {"width": 512, "height": 512}
    words = caller("memory", base="z_image", layers=layers, frame=frame)["words"]
    assert words == "About 23.4 of 80 GB with a ControlNet at 0.26 MP."
    assert caller("memory", base="owner/unknown")["words"] == ""
    more = caller("memory", base="sdxl", loras=["lcm_lora_sdxl"], ip_adapter="ip_adapter_sdxl")["words"]
    plain = caller("memory", base="sdxl")["words"]
    assert float(more.split()[1]) - float(plain.split()[1]) == pytest.approx(0.394 + 4.393, abs=0.11)


def test_sizes_that_follow_a_photo_lie_on_the_grid_of_the_family(caller: Caller) -> None:
    photo = {"width": 428, "height": 300}
    for base, multiple in (("sdxl", 8), ("z_image", 16), ("owner/unknown", 8)):
        assert caller("choices", base=base)["base"]["side_multiple"] == multiple
        frame = caller("frame", base=base, photo=photo)
        assert frame["width"] % multiple == frame["height"] % multiple == 0
    assert caller("frame", base="z_image", photo=photo) != caller("frame", base="sdxl", photo=photo)


def test_a_base_is_offered_its_own_controlnets_and_not_those_of_another_size(caller: Caller) -> None:
    def listed(base: str, condition: str) -> set[str]:
        return {row["id"] for row in caller("choices", base=base)["controlnets"][condition]}

    assert not {"canny", "depth", "tile"} & set(caller("choices", base="sd3_medium")["conditions"])
    assert listed("sd3_medium", "canny") == {""}
    assert {"mlsd", "scribble", "canny"} <= set(caller("choices", base="qwen_image_2512")["conditions"])
    assert not {"mlsd", "scribble"} & set(caller("choices", base="qwen_image")["conditions"])
    others = {"controlnet_union_qwen_image", "controlnet_fun_2602_qwen_image"}
    assert listed("qwen_image_2512", "canny") == {"", *others}


def test_the_page_gets_the_sentences_with_which_a_base_refuses(caller: Caller) -> None:
    refused = caller("choices", base="flux2")["base"]["refused"]
    assert {"mask", "weight_map", "depth_curve", "prompt", "control_form", "guess_mode"} <= set(refused["fields"])
    assert refused["fields"]["depth_curve"].startswith("“Strength over depth” needs weights by block")
    assert refused["fields"]["negative_prompt"].startswith("“Negative prompt” has no effect: this base")
    assert set(refused["control_mode"]) == {id for id in MODES if id != "balanced"}
    assert refused["scheduler"]["ddim"].startswith("DDIM has no form for flow matching")
    assert caller("choices", base="flux")["base"]["refused"]["fields"]["guess_mode"].startswith("“Guess mode” needs")
    assert caller("choices", base="sd15")["base"]["refused"]["scheduler"] == {}


def test_a_z_image_of_ones_own_has_a_note_about_its_settings(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    network = tiny_base("z_image").network
    save_file(network.state_dict(), tmp_path / "checkpoints" / "mine.safetensors")
    chosen = caller("choices", base="mine.safetensors")["base"]
    assert chosen["family"] == "z_image" and "25 steps" in chosen["note"]
    assert caller("choices", base="z_image_base")["base"]["note"] == ""


def test_a_draft_that_the_family_refuses_is_not_queued(caller: Caller) -> None:
    photo = caller.put(np.zeros((64, 64, 3), np.uint8))
    draft = {
        "frame": {"width": 64, "height": 64},
        "photo": photo,
        "layers": [{"condition": "canny", "prompt": "a box"}],
    }
    answer = caller("generate", draft=draft | {"settings": {"base": "z_image"}})
    assert answer["error"].startswith("The prompt of a control unit needs ControlNets that read text")


def test_each_controlnet_has_the_number_of_its_blocks(
    caller: Caller, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    (tmp_path / "controlnets").mkdir()
    state = tiny_z_image_controlnet("1").state_dict()
    save_file(state, tmp_path / "controlnets" / "own.safetensors")

    def blocks(base: str, condition: str) -> dict[str, int]:
        return {row["id"]: row["blocks"] for row in caller("choices", base=base)["controlnets"][condition]}

    z_image = blocks("z_image", "canny")
    assert z_image[""] == z_image["controlnet_union_base_z_image"] == 17
    assert z_image["controlnet_union_1_z_image"] == 6 and z_image["controlnet_union_lite_z_image"] == 5
    flux = blocks("flux", "canny")
    assert flux[""] == 5 and flux["controlnet_instantx_flux"] == 15 and flux["controlnet_xlabs_canny_flux"] == 2
    assert blocks("sd15", "canny")["t2iadapter_canny_sd15"] == 4 and blocks("sd15", "canny")[""] == 13
    own = sum(name.startswith("control_layers.") and name.endswith("after_proj.weight") for name in state)
    assert z_image["own.safetensors"] == own < 17
