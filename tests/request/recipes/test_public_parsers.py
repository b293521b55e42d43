"""Our pictures in the eyes of others: a public parser reads their text, and any XMP reader the mark of a model's work."""

from __future__ import annotations

import dataclasses
import hashlib
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sd_parsers import ParserManager
from sd_parsers.data import PromptInfo

from cnet_app.registry.samplers import SAMPLERS, Sampler
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_request, save_picture
from cnet_app.request.units import IpAdapter, Lora
from tests.request.strategies import MAP, unit

PICTURE = np.zeros((64, 64, 3), np.uint8)
PLAIN = GenerationRequest(
    prompt="a red ball", negative_prompt="blur", base="sd15", scheduler="dpmpp_2m_karras", guidance_scale=7.5,
    num_inference_steps=31, seed=4294967295, width=512, height=768,
)  # fmt: skip
CANNY = unit(
    condition="canny", annotator="canny", conditioning_scale=0.8, control_guidance_start=0.1, control_guidance_end=0.6
)
DEPTH = unit(condition="depth", annotator=None, controlnet="mine.safetensors", control_mode="control")


def read(folder: Path, request: GenerationRequest, **made: str) -> PromptInfo:
    """The picture of a request, as the public parser reads it."""
    path = save_picture(folder, PICTURE, request, 0, made)
    assert read_request(path) == (dataclasses.replace(request, **made) if "scheduler" in made else request)
    found = ParserManager().parse(path)
    assert found is not None
    return found


REQUESTS = {
    "text alone": PLAIN,
    "no negative prompt": dataclasses.replace(PLAIN, negative_prompt=""),
    "negative prompt with commas": dataclasses.replace(PLAIN, negative_prompt="dull, grey: old, Seed: 3"),
    "line breaks": dataclasses.replace(PLAIN, prompt="a cat,\nred", negative_prompt="dull,\ngrey\n\nold"),
    "quotes": dataclasses.replace(PLAIN, prompt='a "red" \\"ball\\"', negative_prompt="it's \"old\""),
    "unicode": dataclasses.replace(PLAIN, prompt="größer 红 🙂", negative_prompt="тускло"),
    "LoRA": dataclasses.replace(PLAIN, loras=(Lora(name="style.safetensors", scale=0.5),)),
    "ControlNet": dataclasses.replace(PLAIN, units=(CANNY,)),
    "two ControlNets": dataclasses.replace(PLAIN, units=(CANNY, DEPTH)),
    "everything": dataclasses.replace(
        PLAIN, units=(CANNY, DEPTH), vae="vae_ft_mse", eta=0.5, initial_image=MAP, strength=0.6, residual_interval=2,
        ip_adapter=IpAdapter(name="ip_adapter_sd15", image=MAP), norm_preserving=True,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_a_public_parser_reads_prompt_sampler_seed_size_and_model(tmp_path: Path, name: str) -> None:
    request = REQUESTS[name]
    found = read(tmp_path, request)
    (sampler,) = found.samplers
    prompt = request.prompt + ("" if name != "LoRA" else " <lora:style:0.5>")
    assert [str(one) for one in found.prompts] == [prompt]
    assert [str(one) for one in found.negative_prompts] == (
        [request.negative_prompt] if request.negative_prompt else []
    )
    assert sampler.name == "DPM++ 2M"
    assert sampler.parameters == {"scheduler": "Karras", "cfg_scale": "7.5", "seed": "4294967295", "steps": "31"}
    assert sampler.model and (sampler.model.name, sampler.model.hash) == ("sd15", None)
    assert found.metadata["Size"] == "512x768"


@pytest.mark.parametrize("row", SAMPLERS[1:], ids=lambda row: row.id)
def test_every_sampler_is_named_as_others_name_it(tmp_path: Path, row: Sampler) -> None:
    (sampler,) = read(tmp_path, dataclasses.replace(PLAIN, scheduler=row.id)).samplers
    assert (sampler.name, sampler.parameters.get("scheduler", "")) == (row.name, row.schedule)


def test_the_default_is_written_as_the_sampler_that_it_was(tmp_path: Path) -> None:
    default = dataclasses.replace(PLAIN, scheduler="default")
    assert read(tmp_path, default, scheduler="pndm").samplers[0].name == "PLMS"
    assert read(tmp_path, default, scheduler_class="DEISMultistepScheduler").samplers[0].name == "DEISMultistep"
    assert read(tmp_path, default).samplers[0].name == "default"


def test_a_local_model_is_named_with_its_short_hash(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "my model.v2.safetensors").write_bytes(b"a model")
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    request = dataclasses.replace(PLAIN, base="my model.v2.safetensors", units=(CANNY, DEPTH))
    (sampler,) = read(tmp_path / "made", request).samplers
    assert sampler.model and sampler.model.name == "my model.v2"
    assert sampler.model.hash == hashlib.sha256(b"a model").hexdigest()[:10]


def test_every_controlnet_can_be_read(tmp_path: Path) -> None:
    text = read(tmp_path, REQUESTS["two ControlNets"]).raw_parameters["parameters"]
    quoted = re.findall(r'ControlNet (\d): "([^"]*)"', text.split("\n")[-1])
    units = [dict(part.split(": ") for part in text.split(", ")) for _, text in quoted]
    names = ("Module", "Model", "Weight", "Guidance Start", "Guidance End", "Control Mode")
    assert [tuple(unit[name] for name in names) for unit in units] == [
        ("canny", "control_v11p_sd15_canny", "0.8", "0.1", "0.6", "Balanced"),
        ("none", "mine", "1", "0", "1", "ControlNet is more important"),
    ]


def test_a_picture_is_marked_as_made_by_a_model(tmp_path: Path) -> None:
    def mark(request: GenerationRequest, label: bool = True) -> str:
        with Image.open(save_picture(tmp_path, PICTURE, request, 0, label=label)) as picture:
            found = re.search(r"DigitalSourceType>(.*)</", str(picture.info.get("XML:com.adobe.xmp", "")))
        return found[1] if found else ""

    uri = "http://cv.iptc.org/newscodes/digitalsourcetype/"
    assert mark(PLAIN) == f"{uri}trainedAlgorithmicMedia"
    assert mark(dataclasses.replace(PLAIN, initial_image=MAP)) == f"{uri}compositeWithTrainedAlgorithmicMedia"
    assert mark(PLAIN, label=False) == ""
