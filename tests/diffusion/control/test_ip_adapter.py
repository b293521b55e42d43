"""IP-Adapters: the latents of diffusers' own pipelines, and a base that is afterwards as it was."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    ControlNetModel,
    StableDiffusionControlNetPipeline,
    StableDiffusionPipeline,
    StableDiffusionXLControlNetPipeline,
    StableDiffusionXLPipeline,
)
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from cnet_app.diffusion.schedulers import create_scheduler
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import IpAdapter as Example
from models.catalogue.catalog import Family
from models.errors import DamagedError, InputError, MissingError
from models.ip_adapter import IpAdapter, image_embeds, load_ip_adapter, use_ip_adapter
from models.loader import Base
from models.tiny.unets import save_tiny_ip_adapter
from tests.diffusion.backbones.test_equals_diffusers import ours
from tests.diffusion.conftest import control_map, request_for, unit

Nets = dict[Family, tuple[ControlNetModel, ControlNetModel]]
PHOTO = control_map(5, 64, 48)
PIPELINES: dict[tuple[Family, bool], Any] = {
    ("sd15", False): StableDiffusionPipeline,
    ("sd15", True): StableDiffusionControlNetPipeline,
    ("sdxl", False): StableDiffusionXLPipeline,
    ("sdxl", True): StableDiffusionXLControlNetPipeline,
}


@pytest.fixture(scope="module")
def files(bases: dict[Family, Base], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[Family, bool], Path]:
    """By family, and whether it is a plus one."""
    folder = tmp_path_factory.mktemp("ip_adapter")
    families: tuple[Family, ...] = ("sd15", "sdxl")
    return {
        (family, plus): save_tiny_ip_adapter(bases[family], folder / family, plus)
        for family in families
        for plus in (False, True)
    }


@pytest.fixture(scope="module")
def adapter(bases: dict[Family, Base], files: dict[tuple[Family, bool], Path]) -> IpAdapter:
    return load_ip_adapter(str(files["sd15", False]), bases["sd15"])


def with_picture(
    monkeypatch: pytest.MonkeyPatch,
    base: Base,
    adapter: IpAdapter,
    scale: float,
    request: GenerationRequest,
    *nets: Any,
) -> Tensor:
    example = Example(name="one", image=encode_png(PHOTO), scale=scale)
    return ours(monkeypatch, base, nets, replace(request, ip_adapter=example), ip_adapter=adapter)[0]


def theirs(base: Base, file: Path, scale: float, request: GenerationRequest, *nets: ControlNetModel) -> Tensor:
    parts: dict[str, Any] = {
        "vae": base.vae,
        "unet": copy.deepcopy(base.network),
        "text_encoder": base.text_encoders[0],
        "tokenizer": base.tokenizers[0],
        "scheduler": create_scheduler(request.scheduler, base.scheduler),
    }
    options: dict[str, Any] = {}
    if base.family == "sdxl":
        parts |= {"text_encoder_2": base.text_encoders[1], "tokenizer_2": base.tokenizers[1]}
        options["add_watermarker"] = False
    else:
        parts |= {"safety_checker": None, "feature_extractor": None}
        options["requires_safety_checker"] = False
    arguments: dict[str, Any] = {}
    if nets:
        parts["controlnet"] = nets[0]
        arguments |= {"image": Image.fromarray(request.units[0].pixels)}
    pipe = PIPELINES[base.family, bool(nets)](**parts, **options)
    pipe.set_progress_bar_config(disable=True)
    pipe.load_ip_adapter(str(file.parent), subfolder="", weight_name=file.name, local_files_only=True)
    pipe.set_ip_adapter_scale(scale)
    return pipe(
        prompt=request.prompt,
        ip_adapter_image=Image.fromarray(PHOTO),
        width=request.width,
        height=request.height,
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        generator=torch.Generator().manual_seed(request.seed),
        output_type="latent",
        **arguments,
    ).images


@pytest.mark.slow
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
@pytest.mark.parametrize("plus", [False, True])
@pytest.mark.parametrize(("guidance_scale", "controlled"), [(1.0, False), (4.0, True)])
def test_it_is_diffusers(
    monkeypatch: pytest.MonkeyPatch,
    bases: dict[Family, Base],
    nets: Nets,
    files: dict[tuple[Family, bool], Path],
    family: Family,
    plus: bool,
    guidance_scale: float,
    controlled: bool,
) -> None:
    base, file = bases[family], files[family, plus]
    used = nets[family][:1] if controlled else ()
    request = request_for(*[unit()][: len(used)], guidance_scale=guidance_scale, num_inference_steps=2)
    free, _ = ours(monkeypatch, base, used, request)
    latents = with_picture(monkeypatch, base, load_ip_adapter(str(file), base), 0.6, request, *used)
    expected = theirs(base, file, 0.6, request, *used)
    largest = max(1.0, expected.abs().max().item())
    torch.testing.assert_close(latents, expected, rtol=0, atol=1e-5 * largest)
    assert (latents - free).abs().max() > 0.1
    assert torch.equal(ours(monkeypatch, base, used, request)[0], free)


def test_scale_zero_is_no_picture(
    monkeypatch: pytest.MonkeyPatch, bases: dict[Family, Base], adapter: IpAdapter
) -> None:
    request = request_for(guidance_scale=3)
    silent = with_picture(monkeypatch, bases["sd15"], adapter, 0.0, request)
    assert torch.equal(silent, ours(monkeypatch, bases["sd15"], (), request)[0])


def test_afterwards_the_base_is_what_it_was_even_after_a_fault(bases: dict[Family, Base], adapter: IpAdapter) -> None:
    unet = bases["sd15"].network
    processors, config = dict(unet.attn_processors), dict(vars(unet.config))
    modules = [name for name, _ in unet.named_modules()]
    with pytest.raises(AssertionError), use_ip_adapter(bases["sd15"], adapter, 1.0):
        assert unet.encoder_hid_proj is not adapter.projection  # which it is: a fault inside the block
    assert unet.encoder_hid_proj is None
    assert dict(vars(unet.config)) == config
    assert [name for name, _ in unet.named_modules()] == modules
    assert all(unet.attn_processors[name] is processor for name, processor in processors.items())
    with use_ip_adapter(bases["sd15"], None, 1.0):
        assert [name for name, _ in unet.named_modules()] == modules


def test_the_picture_counts_by_its_centre_square(adapter: IpAdapter) -> None:
    wide = np.zeros((48, 144, 3), np.uint8)
    wide[:, 48:96] = PHOTO[:48, :48]
    with torch.inference_mode():
        one, other = image_embeds(adapter, wide), image_embeds(adapter, PHOTO[:48, :48].copy())
    assert one.shape == (2, 1, 16)
    assert not one[0].any()
    # Resampling looks over the square's border.
    assert torch.cosine_similarity(one[1], other[1]).item() > 0.9


def test_another_family_is_refused_before_anything_is_loaded(
    bases: dict[Family, Base], files: dict[tuple[Family, bool], Path], tmp_path: Path
) -> None:
    alone = tmp_path / "alone.safetensors"
    save_file(load_file(files["sd15", False]), alone)  # no encoder: loading it would fail otherwise
    with pytest.raises(InputError, match=r"alone.safetensors was made for .* does not fit SDXL; choose an IP-Adapter"):
        load_ip_adapter(str(alone), bases["sdxl"])
    with pytest.raises(InputError, match=r"IP-Adapter for SDXL was made for SDXL and does not fit SD 1\.5"):
        load_ip_adapter("ip_adapter_sdxl", bases["sd15"])
    with pytest.raises(MissingError, match=r"image_encoder has no config\.json"):
        load_ip_adapter(str(alone), bases["sd15"])


def test_what_is_no_ip_adapter_is_told(bases: dict[Family, Base], tmp_path: Path) -> None:
    face = tmp_path / "face.safetensors"
    save_file({"image_proj.proj.0.weight": torch.zeros(1), "ip_adapter.1.to_k_ip.weight": torch.zeros(8, 16)}, face)
    with pytest.raises(InputError, match=r"face.safetensors is no IP-Adapter for whole pictures, plain or plus"):
        load_ip_adapter(str(face), bases["sd15"])
    with pytest.raises(InputError, match=r"There is no IP-Adapter 'mine'; give a .* or one of: ip_adapter_sd15, "):
        load_ip_adapter("mine", bases["sd15"])


def test_a_file_that_lacks_a_layer_is_told_and_changes_nothing(
    bases: dict[Family, Base], files: dict[tuple[Family, bool], Path]
) -> None:
    file = files["sd15", False]
    tensors = {name: tensor for name, tensor in load_file(file).items() if not name.startswith("ip_adapter.3")}
    short = file.with_name("short.safetensors")
    save_file(tensors, short)
    before = dict(bases["sd15"].network.attn_processors)
    with pytest.raises(DamagedError, match=r"short.safetensors .* its tensors do not fit tiny_sd15"):
        load_ip_adapter(str(short), bases["sd15"])
    assert bases["sd15"].network.attn_processors == before


@pytest.mark.parametrize("name", ["image_proj.proj.weight", "ip_adapter.1.to_k_ip.weight"])
def test_numbers_of_an_adapter_that_are_not_finite_are_refused(
    bases: dict[Family, Base], files: dict[tuple[Family, bool], Path], name: str
) -> None:
    tensors = load_file(files["sd15", False])
    tensors[name][0, 0] = torch.inf
    spoiled = files["sd15", False].with_name("spoiled.safetensors")
    save_file(tensors, spoiled)
    with pytest.raises(DamagedError, match=r"spoiled.safetensors .* some of its numbers are not finite; get another"):
        load_ip_adapter(str(spoiled), bases["sd15"])


@pytest.mark.parametrize(("name", "plus"), [("proj.weight", False), ("proj_in.weight", True)])
def test_an_image_encoder_of_another_adapter_is_told(
    bases: dict[Family, Base], files: dict[tuple[Family, bool], Path], name: str, plus: bool
) -> None:
    tensors = load_file(files["sd15", plus])
    other = files["sd15", plus].with_name(f"wide-{plus}.safetensors")
    save_file(tensors | {f"image_proj.{name}": tensors[f"image_proj.{name}"][:, :8].contiguous()}, other)
    with pytest.raises(InputError, match=r"reads 8 numbers from its image encoder, but the one in .* gives 16"):
        load_ip_adapter(str(other), bases["sd15"])
