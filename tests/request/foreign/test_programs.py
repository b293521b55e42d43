"""Recipes of other programs: what is taken from their pictures, and what is listed as left out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnet_app.request.foreign.imported import Imported
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.png.parameters import parameters_text
from cnet_app.request.units import Lora
from tests.request.foreign.pictures import FOOOCUS, FORGE, SWARM, USER_COMMENT, graph, png, texts_of, with_comment
from tests.request.strategies import unit


@pytest.fixture(autouse=True)
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own models with one LoRA."""
    folder = tmp_path / "models"
    (folder / "loras").mkdir(parents=True)
    (folder / "loras" / "Ink Style.safetensors").write_bytes(b"a LoRA")
    monkeypatch.setenv("CNET_MODELS_DIR", str(folder))
    return folder


def imported(path: Path) -> Imported:
    found = read_picture(path)
    assert isinstance(found, Imported)
    return found


def of(folder: Path, program: str) -> Imported:
    return imported(png(folder / "picture.png", **texts_of(program)))


INK = Lora(name="Ink Style.safetensors", scale=0.7)


def test_a1111(tmp_path: Path) -> None:
    found = of(tmp_path, "A1111")
    assert (found.program, found.base) == ("AUTOMATIC1111's web UI", "sd15")
    assert found.fields == {
        "prompt": "a castle on a hill, (sunset:1.2), ,\nwide view",
        "negative_prompt": 'blurry, "text",\ndull',
        "num_inference_steps": 28,
        "guidance_scale": 6.5,
        "seed": 1234567890,
        "width": 512,
        "height": 768,
        "scheduler": "dpmpp_2m_karras",
        "vae": "vae_ft_mse",
        "loras": (INK,),
    }
    assert found.left_out == (
        "LoRA ink style (hash c5b5ca4d1bd3): Ink Style.safetensors here has the same name and another content",
        "ControlNet Canny, control_v11p_sd15_canny, canny: control strength 0.8, from 10% to 60% of the steps "
        "(its control image is not in the file)",
        "ControlNet Depth, control_v11f1p_sd15_depth, depth_midas: control strength 1, from 0% to 100% of the steps "
        "(its control image is not in the file)",
        "clip skip: 2",
    )
    assert found.request("sd15").seed == 1234567890


def test_a1111_of_an_older_version(tmp_path: Path) -> None:
    found = of(tmp_path, "A1111 older")
    assert (found.base, found.wanted_base) == (None, "somebody's mix v2 (hash 81761151)")
    assert (found.fields["scheduler"], found.fields["prompt"]) == ("euler_a", "a cat")
    assert "negative_prompt" not in found.fields
    assert found.left_out[0].startswith(
        "ControlNet OpenPose, control_sd15_openpose, openpose: control strength 0.9, from 20% to 75%"
    )


@pytest.mark.parametrize(("name", "code"), [("a.jpg", "utf-16-be"), ("a.webp", "utf-16-be"), ("a.jpg", "utf-16-le")])
def test_forge_in_exif(tmp_path: Path, name: str, code: str) -> None:
    found = imported(with_comment(tmp_path / name, FORGE, code))
    assert (found.program, found.base, found.left_out) == ("Forge", "sdxl", ())
    assert found.fields["prompt"] == "größer, 红 castle"
    assert (found.fields["scheduler"], found.fields["width"]) == ("dpmpp_sde_karras", 1024)


def test_comfyui(tmp_path: Path) -> None:
    found = of(tmp_path, "ComfyUI")
    assert (found.program, found.base, found.left_out) == ("ComfyUI", "sd15", ())
    assert found.fields == {
        "prompt": "a lighthouse,\nstorm",
        "negative_prompt": "dull",
        "seed": 42,
        "num_inference_steps": 25,
        "guidance_scale": 6.0,
        "width": 640,
        "height": 448,
        "scheduler": "dpmpp_2m_karras",
        "loras": (),
    }


def test_comfyui_with_controlnets_loras_and_two_passes(tmp_path: Path) -> None:
    found = of(tmp_path, "ComfyUI with control")
    assert (found.base, found.fields["vae"], found.fields["loras"]) == (
        "sdxl", "vae_fp16_sdxl", (Lora(name="Ink Style.safetensors", scale=0.6),),
    )  # fmt: skip
    assert (found.fields["prompt"], found.fields["negative_prompt"]) == ("a dancer", "blur")
    assert (found.fields["seed"], found.fields["scheduler"], found.fields["width"]) == (99, "euler_a", 1024)
    beginnings = (
        "LoRA absent.safetensors: it is not here",
        "ControlNet Canny, controlnet-canny-sdxl-1.0.safetensors, CannyEdgePreprocessor: control strength 0.75, from 0% to 50%",
        "ControlNet OpenPose, thibaud_xl_openpose.safetensors: control strength 1, from 10% to 100%",
        "node 15, KSampler: a further pass", "node 20, PrimitiveString", "node 8, CannyEdgePreprocessor", "node 14, LatentUpscale",
    )  # fmt: skip
    assert len(found.left_out) == len(beginnings)
    for beginning in beginnings:
        assert any(note.startswith(beginning) for note in found.left_out), beginning


def test_invokeai(tmp_path: Path) -> None:
    found = of(tmp_path, "InvokeAI")
    assert (found.program, found.base, found.fields["scheduler"]) == ("InvokeAI", "sd15", "dpmpp_2m_karras")
    assert (found.fields["prompt"], found.fields["negative_prompt"], found.fields["seed"]) == ("a fox", "grey", 2024)
    assert (found.fields["width"], found.fields["height"]) == (512, 640)
    assert found.fields["loras"] == (Lora(name="Ink Style.safetensors", scale=0.75),)
    edges, depth, skip = found.left_out
    assert edges.startswith("ControlNet Soft edge, control_v11p_sd15_softedge: control strength 0.6, from 0% to 80%")
    assert depth.startswith("ControlNet Depth, depth: control strength 0.5, from 10% to 70%")
    assert skip == "clip_skip: 1"


def test_fooocus(tmp_path: Path) -> None:
    found = of(tmp_path, "Fooocus")
    assert (found.program, found.base) == ("Fooocus", None)
    assert found.wanted_base == "juggernautXL_v8Rundiffusion (hash aeb7e9e689)"
    assert (found.fields["prompt"], found.fields["seed"]) == ("a tower", 3141592653)
    assert (found.fields["width"], found.fields["height"]) == (896, 1152)
    assert found.fields["scheduler"] == "dpmpp_2m_sde_karras"
    assert "styles: ['Fooocus V2', 'Fooocus Enhance']" in found.left_out
    exif = Image.Exif()
    exif[USER_COMMENT], exif[0x927C] = json.dumps(FOOOCUS), "fooocus"
    Image.new("RGB", (64, 64)).save(tmp_path / "a.jpg", exif=exif)
    assert imported(tmp_path / "a.jpg").fields == found.fields


def test_fooocus_runs_nothing_that_it_reads(tmp_path: Path) -> None:
    made = tmp_path / "made"
    attack = FOOOCUS | {"resolution": f"__import__('pathlib').Path({str(made)!r}).touch()"}
    found = imported(png(tmp_path / "a.png", parameters=json.dumps(attack), fooocus_scheme="fooocus"))
    assert not made.exists()
    assert "width" not in found.fields
    assert any(note.startswith("resolution: __import__") for note in found.left_out)


def test_fooocus_in_the_other_scheme(tmp_path: Path) -> None:
    text = "a tower\nSteps: 30, Sampler: DPM++ 2M SDE Karras, CFG scale: 4.0, Seed: 3, Size: 896x1152, Version: Fooocus v2.5.5"
    found = imported(png(tmp_path / "a.png", parameters=text, fooocus_scheme="a1111"))
    assert (found.program, found.fields["scheduler"]) == ("Fooocus", "dpmpp_2m_sde_karras")


def test_swarmui(tmp_path: Path) -> None:
    for path in (png(tmp_path / "a.png", **texts_of("SwarmUI")), with_comment(tmp_path / "a.jpg", json.dumps(SWARM))):
        found = imported(path)
        assert (found.program, found.base, found.fields["scheduler"]) == ("SwarmUI", "sdxl", "euler_a")
        assert (found.fields["prompt"], found.fields["negative_prompt"]) == ("a bridge", "fog")
        assert (found.fields["num_inference_steps"], found.fields["guidance_scale"]) == (20, 7.0)
        assert found.fields["loras"] == (Lora(name="Ink Style.safetensors", scale=0.4),)
        assert any(
            note.startswith("ControlNet Depth, sdxl/controlnet-depth: control strength 0.9") for note in found.left_out
        )
        assert {"LoRA absent: it is not here", "LoRA inline: it is not here", "refinerupscale: 1.5"} <= set(
            found.left_out
        )


def test_novelai(tmp_path: Path) -> None:
    found = of(tmp_path, "NovelAI")
    assert (found.program, found.base) == ("NovelAI", None)
    assert found.wanted_base == "NovelAI Diffusion V4.5 4BDE2A90"
    assert (found.fields["seed"], found.fields["scheduler"]) == (3735928559, "dpmpp_2m_karras")
    assert (found.fields["width"], found.fields["height"], found.fields["guidance_scale"]) == (832, 1216, 5.0)
    assert {"character: a knight", "cfg_rescale: 0.2"} <= set(found.left_out)
    assert any(note.startswith("emphasis in the prompt") for note in found.left_out)


def test_models_are_found_by_hash_before_name(tmp_path: Path, models: Path) -> None:
    (models / "checkpoints").mkdir()
    (models / "checkpoints" / "mine.safetensors").write_bytes(b"weights")
    (models / "checkpoints" / "other.safetensors").write_bytes(b"other weights")
    digest = hashlib.sha256(b"weights").hexdigest()

    def base(name: str, hash: str) -> Imported:
        line = f"Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x512, Model hash: {hash}, Model: {name}"
        return imported(png(tmp_path / "a.png", parameters=f"a cat\n{line}"))

    assert base("renamed", digest[:10]).base == "mine.safetensors"
    assert base("OTHER", digest[:10]).base == "mine.safetensors"
    assert base("MINE", "").base == "mine.safetensors"
    wrong = base("mine", "0123456789")
    assert wrong.base == "mine.safetensors"
    assert wrong.left_out == (
        "base model mine (hash 0123456789): mine.safetensors here has the same name and another content",
    )
    assert base("neither", "0123456789").base is None


def test_loras_are_found_by_the_hash_of_their_tensors(tmp_path: Path, models: Path) -> None:
    header = b'{"__metadata__": {"note": "edited"}}'
    (models / "loras" / "here.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + b"tensors")
    digest = hashlib.sha256(b"tensors").hexdigest()[:12]
    text = f'a <lora:gone:0.5>\nSteps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Lora hashes: "gone: {digest}"'
    found = imported(png(tmp_path / "a.png", parameters=text))
    assert found.fields["loras"] == (Lora(name="here.safetensors", scale=0.5),)


def test_what_a_request_cannot_hold_is_left_out(tmp_path: Path) -> None:
    nodes: dict[str, Any] = graph(
        n1=("KSampler", {"seed": 2**63, "steps": 900, "cfg": -3, "sampler_name": "res_2s", "scheduler": "beta", "latent_image": ["2", 0]}),
        n2=("EmptyLatentImage", {"width": -512, "height": 512}),
    )  # fmt: skip
    found = imported(png(tmp_path / "a.png", prompt=json.dumps(nodes)))
    assert found.fields == {"loras": ()}
    assert found.left_out == (
        "seed: 9223372036854775808 (possible are numbers from 0 to 4294967295)",
        "num_inference_steps: 900 (possible are numbers from 1 to 150)",
        "guidance_scale: -3 (possible are numbers from 1 to 30)",
        "width: -512 (possible are numbers from 64 to 2048 px)",
        "positive prompt: no text leads to the sampler",
        "negative prompt: no text leads to the sampler",
        "sampler: res_2s, beta",
    )
    request = found.request("sd15")
    assert (request.width, request.num_inference_steps, request.guidance_scale) == (512, 20, 9.0)


def test_the_first_format_that_can_be_read_is_taken(tmp_path: Path) -> None:
    damaged = {"invokeai_metadata": "{", **texts_of("A1111"), **texts_of("ComfyUI")}
    assert imported(png(tmp_path / "a.png", **damaged)).program == "AUTOMATIC1111's web UI"


def test_our_own_text_alone_gives_the_settings_back(tmp_path: Path) -> None:
    request = GenerationRequest(
        units=(unit(controlnet="control_v11p_sd15_canny", conditioning_scale=0.8, control_guidance_end=0.5),),
        prompt="a cat,\nred", negative_prompt='dull, "grey"', base="sd15", vae="vae_ft_mse", scheduler="dpmpp_2m_sde_karras",
        loras=(Lora(name="Ink Style.safetensors", scale=0.7),), width=512, height=768, seed=4294967295, guidance_scale=6.5,
        num_inference_steps=31,
    )  # fmt: skip
    found = imported(png(tmp_path / "a.png", parameters=parameters_text(request)))
    assert found.base == "sd15"
    assert found.request("sd15") == dataclasses.replace(request, units=())
    (note,) = found.left_out
    assert note.startswith(
        "ControlNet Canny, control_v11p_sd15_canny: control strength 0.8, from 0% to 50% of the steps"
    )
