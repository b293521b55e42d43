"""SD 3.5 equals diffusers' pipelines where these can do the same, does what they cannot, and is read from its files."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AutoencoderKL,
    SD3ControlNetModel,
    SD3MultiControlNetModel,
    SD3Transformer2DModel,
    StableDiffusion3ControlNetPipeline,
    StableDiffusion3Img2ImgPipeline,
    StableDiffusion3InpaintPipeline,
    StableDiffusion3Pipeline,
)
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModelWithProjection
from transformers.models.t5 import T5Config, T5EncoderModel

from cnet_app.diffusion.backbones import create_backbone
from cnet_app.diffusion.backbones.sd3 import block_runs
from cnet_app.diffusion.backbones.tokens import BlockRange
from cnet_app.diffusion.control import unit_residuals
from cnet_app.diffusion.pipeline import generate
from cnet_app.registry.conditions import controlnet_id, start_scale
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.catalogue.catalog import entry
from models.catalogue.local import LocalFile, family_of_shapes, kind_of
from models.catalogue.resolve import missing, resolve
from models.errors import InputError
from models.families import FAMILIES, family_of
from models.loader import Base, base_dtype, load_base, load_controlnet, save_base, save_network
from models.lora.loras import use_loras
from models.machine.memory import offload_layers
from models.tiny import tiny_base
from tests.diffusion.backbones.latents import (
    CACHE,
    assert_equal,
    diffusers_latents,
    last_preview,
    latents_of,
    preview_of,
    wide_unit,
)
from tests.diffusion.conftest import control_map, request_for, unit
from tests.models.layouts.gguf import write_gguf
from tests.models.lora.lora_layouts import ALPHA, RANK, WEIGHT, State, dotted, kohya, library, pair
from tests.models.networks import same

FACTS = FAMILIES["sd3"]
PHOTO = control_map(7, 96, 64)
HALF = np.repeat(np.array([0, 255], np.uint8), 48)[None, :, None].repeat(64, 0).repeat(3, 2)
LONG = "a much longer negative prompt than the prompt is"
STABILITY: dict[str, Any] = {
    "joint_attention_dim": None, "use_pos_embed": False, "pos_embed_type": None, "force_zeros_for_pooled_projection": False,
}  # fmt: skip
"""Config of Stability AI's own ControlNets."""
KINDS: dict[str, dict[str, Any]] = {
    "instantx": {"qk_norm": "rms_norm", "dual_attention_layers": (0,)},
    "stability": STABILITY,
}
READ = {"canny": (127.5, 0.5), "depth": (-2.0, 1.0)}
"""Conversion of maps in [0, 1] for Stability AI's ControlNets, by condition."""


def tiny_controlnet(kind: str = "instantx", seed: int = 0, **config: Any) -> Any:
    """A ControlNet that visibly changes what the tiny base makes; kinds are KINDS."""
    base: dict[str, Any] = {
        name: value for name, value in tiny_base("sd3").network.config.items() if not name.startswith("_")
    }
    settings: dict[str, Any] = (
        base | {"num_layers": 2, "dual_attention_layers": (), "qk_norm": None} | KINDS[kind] | config
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = SD3ControlNetModel(**settings)
        for part in (network.controlnet_blocks, network.pos_embed_input):
            for weight in part.parameters():
                torch.nn.init.normal_(weight, std=0.2)
    return network.eval().requires_grad_(False)


def doubled(base: Base) -> Base:
    """In double precision, so that only what is computed in another way differs, and not what is rounded in another order."""
    for network in base.networks:
        torch.nn.Module.to(network, torch.float64)
    return replace(base, dtype=torch.float64)


@pytest.fixture(scope="module")
def base() -> Base:
    return doubled(tiny_base("sd3"))


@pytest.fixture(scope="module")
def nets() -> dict[str, Any]:
    return {kind: tiny_controlnet(kind, seed=number).double() for number, kind in enumerate(KINDS)}


def wide(*units: ControlUnit, **values: Any) -> GenerationRequest:
    """A request for a picture that is not square."""
    plain = {"width": 96, "height": 64, "num_inference_steps": 2, "guidance_scale": 4.5, "negative_prompt": LONG}
    return request_for(*units, **plain | values)


def theirs(kind: Any, base: Base, request: GenerationRequest, net: Any = None, **options: Any) -> Tensor:
    """Latents of one of diffusers' pipelines. It gives a ControlNet without places those of the base, so that it gets a copy."""
    guided = {"guidance_scale": request.guidance_scale, "negative_prompt": request.negative_prompt}
    return diffusers_latents(kind, base, request, copy.deepcopy(net), **guided, **options)


def controlled(base: Base, request: GenerationRequest, net: Any, kind: str, **options: Any) -> Tensor:
    """Latents of diffusers' pipeline for ControlNets, which leaves pixels of a map as they are given."""
    several = isinstance(net, SD3MultiControlNetModel)
    maps: list[Tensor] = []
    for given in request.units:
        factor, summand = READ[given.condition] if kind == "stability" else (2.0, -1.0)
        maps.append(factor * torch.tensor(given.pixels).permute(2, 0, 1)[None].double() / 255 + summand)
    scales = [given.conditioning_scale for given in request.units]
    return theirs(
        StableDiffusion3ControlNetPipeline, base, request, net, control_image=maps if several else maps[0],
        controlnet_conditioning_scale=scales if several else scales[0], **options,
    )  # fmt: skip


def picture(pixels: Any) -> Image.Image:
    return Image.fromarray(pixels)


GUIDANCE = pytest.mark.parametrize("guidance_scale", [1.0, 4.5])
EACH = pytest.mark.parametrize("kind", KINDS)


@GUIDANCE
def test_pictures_from_text(base: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale)
    assert_equal(latents_of(base, [], request), theirs(StableDiffusion3Pipeline, base, request))


def test_both_sides_of_guidance_run_in_one_batch(base: Base, count_runs: Callable[..., Any]) -> None:
    runs = count_runs(base=base.network.pos_embed)
    latents_of(base, [], wide())
    assert (runs["base"], runs["base rows"]) == (2, 4)


def test_every_text_encoder_is_read(base: Base) -> None:
    """CLIP's 16 tokens come before T5's 256; the joined words of both are narrower than T5's."""
    text = create_backbone(base).encode_texts(wide(), [], CACHE, 1)[0]
    assert text.states.shape == (2, 16 + 256, 48)
    assert text.added is not None
    assert text.added["pooled_projections"].shape == (2, 32)
    clip, t5 = text.states[1].split([16, 256])
    assert clip[:, :16].any()
    assert clip[:, 16:32].any()
    assert not clip[:, 32:].any()
    assert t5.any()


def test_a_base_without_t5(base: Base) -> None:
    less = replace(base, text_encoders=base.text_encoders[:2], tokenizers=base.tokenizers[:2])
    without = {"text_encoder_3": None, "tokenizer_3": None}
    assert_equal(latents_of(less, [], wide()), theirs(StableDiffusion3Pipeline, less, wide(), parts=without))


def test_pixels_are_those_of_the_pipeline(base: Base) -> None:
    latents, config = theirs(StableDiffusion3Pipeline, base, wide()), base.vae.config
    expected = base.vae.decode(latents.double() / config.scaling_factor + config.shift_factor).sample
    assert_equal(create_backbone(base).decode(latents), expected)


@GUIDANCE
def test_pictures_from_pictures(base: Base, guidance_scale: float) -> None:
    request = wide(guidance_scale=guidance_scale, initial_image=encode_png(PHOTO), strength=0.5, num_inference_steps=4)
    expected = theirs(StableDiffusion3Img2ImgPipeline, base, request, image=picture(PHOTO), strength=0.5)
    assert_equal(latents_of(base, [], request), expected)


def test_a_part_of_a_picture(base: Base) -> None:
    request = wide(initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF), strength=0.5, num_inference_steps=4)
    expected = theirs(
        StableDiffusion3InpaintPipeline, base, request, image=picture(PHOTO), mask_image=picture(HALF), strength=0.5
    )
    assert_equal(latents_of(base, [], request), expected)
    made = generate(base, [], request, cache=CACHE)[0]
    np.testing.assert_array_equal(made[:, :48], PHOTO[:, :48])
    assert (made[:, 48:] != PHOTO[:, 48:]).any()


@EACH
@GUIDANCE
@pytest.mark.parametrize("map_of", READ)
def test_control(base: Base, nets: dict[str, Any], kind: str, guidance_scale: float, map_of: str) -> None:
    request = wide(wide_unit(condition=map_of, conditioning_scale=0.75), guidance_scale=guidance_scale)
    found = latents_of(base, [nets[kind]], request)
    assert_equal(found, controlled(base, request, nets[kind], kind))
    assert (found - latents_of(base, [], replace(request, units=()))).abs().max() > 0.05


def test_maps_without_a_rule_are_read_as_pictures_are(base: Base, nets: dict[str, Any]) -> None:
    request = wide(wide_unit(condition="tile"))
    expected = theirs(
        StableDiffusion3ControlNetPipeline, base, request, nets["stability"], control_image=picture(request.units[0].pixels),
        controlnet_conditioning_scale=1.0,
    )  # fmt: skip
    assert_equal(latents_of(base, [nets["stability"]], request), expected)


@EACH
def test_two_controlnets(base: Base, nets: dict[str, Any], kind: str) -> None:
    request = wide(wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="depth", conditioning_scale=0.25))
    pair = [nets[kind], tiny_controlnet(kind, seed=8, num_layers=2).double()]
    assert_equal(latents_of(base, pair, request), controlled(base, request, SD3MultiControlNetModel(pair), kind))


def test_control_in_a_part_of_the_steps(base: Base, nets: dict[str, Any]) -> None:
    request = wide(wide_unit(control_guidance_start=0.25, control_guidance_end=0.75), num_inference_steps=4)
    ranges = {"control_guidance_start": 0.25, "control_guidance_end": 0.75}
    expected = controlled(base, request, nets["stability"], "stability", **ranges)
    assert_equal(latents_of(base, [nets["stability"]], request), expected)


def test_units_of_different_networks_add(base: Base, nets: dict[str, Any]) -> None:
    nets = {**nets, "three": tiny_controlnet("stability", 5, num_layers=3).double()}
    units = wide_unit(3, conditioning_scale=0.5), wide_unit(4, condition="depth", conditioning_scale=0.4)
    for one, other in (("instantx", "stability"), ("stability", "three")):
        pair, request = [nets[one], nets[other]], wide(*units)
        together = latents_of(base, pair, request)
        swapped = latents_of(base, pair[::-1], replace(request, units=units[::-1]))
        torch.testing.assert_close(together, swapped, rtol=1e-4, atol=1e-4)
        assert (together - latents_of(base, pair[:1], replace(request, units=units[:1]))).abs().max() > 0.01
        assert latents_of(base, pair, replace(request, norm_preserving=True)).isfinite().all()


@EACH
def test_strength_0_is_the_base_alone(base: Base, nets: dict[str, Any], kind: str) -> None:
    plain = latents_of(base, [], wide())
    assert torch.equal(latents_of(base, [nets[kind]], wide(wide_unit(conditioning_scale=0))), plain)
    silent = wide_unit(control_mode="custom", block_weights=(0.0,) * 2, unconditional_block_weights=(0.0,) * 2)
    assert torch.equal(latents_of(base, [nets[kind]], wide(silent)), plain)
    black = wide_unit(mask=encode_png(np.zeros_like(HALF)))
    assert torch.equal(latents_of(base, [nets[kind]], wide(black)), plain)


def test_half_a_range_halves_the_runs(base: Base, nets: dict[str, Any], count_runs: Callable[..., Any]) -> None:
    runs = count_runs(net=nets["instantx"].pos_embed_input, base=base.network.proj_out)
    latents_of(base, [nets["instantx"]], wide(wide_unit(control_guidance_end=0.5), num_inference_steps=4))
    assert (runs["base"], runs["net"], runs["net rows"]) == (4, 2, 4)


def residuals_of(base: Base, net: Any, given: ControlUnit, strength: float = 1.0, **values: Any) -> dict[int, Tensor]:
    """Of one unit at one step, with guidance."""
    request = wide(given, **values)
    backbone = create_backbone(base)
    with torch.no_grad():
        control: Any = backbone.prepare_control(given, net, request, CACHE)
        text = backbone.encode_texts(request, [control], CACHE, 1, control.steering.prompt)[0]
        latents = torch.randn(1, 16, 8, 12, generator=torch.Generator().manual_seed(0))
        return dict(unit_residuals(control, strength, backbone.pack(latents, text), torch.tensor(700.0), text))


@EACH
def test_residuals_are_linear_in_strength(base: Base, nets: dict[str, Any], kind: str) -> None:
    whole, half = (residuals_of(base, nets[kind], wide_unit(), strength) for strength in (1.0, 0.5))
    for number, residual in whole.items():
        torch.testing.assert_close(residual, 2 * half[number])


@EACH
def test_a_mask_leaves_the_rest_of_the_picture_alone(base: Base, nets: dict[str, Any], kind: str) -> None:
    whole = residuals_of(base, nets[kind], wide_unit())
    for number, residual in residuals_of(base, nets[kind], wide_unit(mask=encode_png(HALF))).items():
        assert residual.shape[1] == 24  # tokens of 16 px in a picture of 96 x 64
        grid, unmasked = (tensor.unflatten(1, (4, 6)) for tensor in (residual, whole[number]))
        assert not grid[:, :, :3].any()
        assert torch.equal(grid[:, :, 3:], unmasked[:, :, 3:])


@EACH
def test_control_of_one_side_of_guidance(base: Base, nets: dict[str, Any], kind: str) -> None:
    """Both kinds read the side: words or, without them, their vector."""
    both = residuals_of(base, nets[kind], wide_unit())
    one = residuals_of(base, nets[kind], wide_unit(control_mode="unbalanced"))
    for number, residual in one.items():
        assert not residual[0].any()
        torch.testing.assert_close(residual[1], both[number][1])
        assert not torch.equal(both[number][0], both[number][1])


def test_depth_and_prompts_of_a_unit(base: Base, nets: dict[str, Any]) -> None:
    net = nets["instantx"]
    deep = residuals_of(base, net, wide_unit(depth_curve=((0.0, 0.0), (0.5, 0.0), (0.6, 1.0))))
    assert [bool(residual.any()) for _, residual in sorted(deep.items())] == [False, True]
    own = residuals_of(base, net, wide_unit(prompt="a blue box"))
    asked = residuals_of(base, net, wide_unit(), prompt="a blue box")
    assert all(torch.equal(residual, asked[number]) for number, residual in own.items())


def test_a_prompt_of_several_parts(base: Base, nets: dict[str, Any]) -> None:
    request = wide(wide_unit(), prompt="a red ball AND a blue box :0.5")
    found = latents_of(base, [nets["instantx"]], request)
    assert found.isfinite().all()
    assert (found - latents_of(base, [nets["instantx"]], replace(request, prompt="a red ball"))).abs().max() > 1e-4
    rows = residuals_of(base, nets["instantx"], wide_unit(), prompt=request.prompt)
    assert {len(row) for row in rows.values()} == {3}


def test_residuals_enter_where_the_library_adds_them(base: Base) -> None:
    """After the blocks that return words: the fifth does not."""
    assert block_runs(tiny_controlnet(), base.network) == {0: BlockRange(0, 3), 1: BlockRange(3, 1)}
    many = block_runs(tiny_controlnet(num_layers=6), base.network)
    assert many == {int(block * 6 / 5): BlockRange(block, 1) for block in range(4)}
    assert len(block_runs(tiny_controlnet(num_layers=5), base.network)) == 4


def test_what_the_family_cannot_do_is_refused(base: Base, nets: dict[str, Any]) -> None:
    masked = unit(condition="inpaint", control_image=encode_png(PHOTO))
    request = wide(masked, initial_image=encode_png(PHOTO), inpaint_mask=encode_png(HALF))
    with pytest.raises(
        InputError, match=r"inpaint and its ControlNet are given to SD 3\.5, whose ControlNets read a map"
    ):
        generate(base, [nets["instantx"]], request)
    with pytest.raises(InputError, match="canny and its ControlNet are given"):
        generate(base, [tiny_controlnet(extra_conditioning_channels=1)], wide(wide_unit()))
    with pytest.raises(
        InputError, match="^control_form diffusers needs ControlNets with two forms, which .*: Z-Image.$"
    ):
        generate(base, [nets["instantx"]], wide(wide_unit(control_form="diffusers")))
    wider = tiny_controlnet(num_attention_heads=4, caption_projection_dim=64)
    with pytest.raises(InputError, match="made for a base of 64 channels, but this one has 32; choose"):
        generate(base, [wider], wide(wide_unit()))
    with pytest.raises(
        InputError, match=r"^The picture is 1536 x 64 px, but tiny_sd3 knows places up to 1024 px a side"
    ):
        generate(base, [], wide(width=1536))


def test_what_has_no_effect_is_noted(base: Base) -> None:
    def notes(base: Base, **values: Any) -> list[str]:
        found: list[str] = []
        generate(base, [], wide(**{"negative_prompt": ""} | values), on_note=found.append, cache=CACHE)
        return found

    assert notes(base, prompt="a" * 200) == []
    (long,) = notes(base, prompt="a" * 300)
    assert long.endswith("tokens long, of which 256 are read; what comes later has no effect.")
    less = replace(base, text_encoders=base.text_encoders[:2], tokenizers=base.tokenizers[:2])
    (long,) = notes(less, prompt="red " * 20)
    assert "of which 16 are read" in long
    assert notes(base, guidance_scale=1.0, negative_prompt="green")[0].startswith(
        "negative_prompt has no effect at guid"
    )


@EACH
def test_half_precision_and_layers_one_by_one(kind: str) -> None:
    made = tiny_base("sd3")
    request = wide(wide_unit())
    net = tiny_controlnet(kind)
    whole = generate(made, [net], request)[0]
    for network in (made.network, net):
        offload_layers(network, torch.device("cpu"))
    np.testing.assert_array_equal(generate(made, [net], request)[0], whole)
    half = tiny_base("sd3")
    for network in half.networks:
        torch.nn.Module.to(network, torch.bfloat16)
    net = torch.nn.Module.to(tiny_controlnet(kind), torch.bfloat16)
    assert generate(replace(half, dtype=torch.bfloat16), [net], request)[0].shape == (64, 96, 3)
    assert base_dtype("sd3", torch.float16) == torch.bfloat16


def test_previews_end_in_the_picture(base: Base) -> None:
    end = preview_of(base, latents_of(base, [], wide()))
    assert np.abs(last_preview(base, wide()).astype(int) - end).max() <= 1


@pytest.fixture
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Nothing a developer has downloaded is found; returns what `CNET_MODELS_DIR` names."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    return tmp_path / "models"


def test_a_folder_without_t5(tmp_path: Path) -> None:
    made = tiny_base("sd3")
    save_base(replace(made, text_encoders=made.text_encoders[:2], tokenizers=made.tokenizers[:2]), tmp_path)
    assert len(load_base(str(tmp_path)).text_encoders) == 2
    index = tmp_path / "model_index.json"
    parts = json.loads(index.read_text(encoding="utf-8")) | {"text_encoder_2": [None, None]}
    index.write_text(json.dumps(parts), encoding="utf-8")
    with pytest.raises(InputError, match=r"has 1 text encoders, which is not how a SD 3\.5 model is made"):
        load_base(str(tmp_path))


def test_controlnets_are_loaded_from_a_folder(tmp_path: Path) -> None:
    for kind in KINDS:
        made = tiny_controlnet(kind)
        save_network(made, tmp_path / kind, torch.float32)
        loaded: Any = load_controlnet(str(tmp_path / kind), "sd3")
        assert same(loaded, made)
        assert family_of(loaded.config) == "sd3"
    with pytest.raises(InputError, match=r"was made for SD 3\.5 and cannot steer SDXL"):
        load_controlnet(str(tmp_path / "instantx"), "sdxl")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "config.json").write_text('{"_class_name": "FluxControlNetModel"}', encoding="utf-8")
    with pytest.raises(InputError, match=r"was made for FLUX\.1 and cannot steer SD 3\.5"):  # it has no tensors
        load_controlnet(str(tmp_path / "empty"), "sd3")
    save_file(tiny_controlnet().state_dict(), tmp_path / "one.safetensors")
    with pytest.raises(InputError, match=r"does not load as one file; give its folder in diffusers' format\.$"):
        load_controlnet(str(tmp_path / "one.safetensors"), "sd3")
    save_file({"controlnet_down_blocks.0.weight": torch.ones(2, 2)}, tmp_path / "u.safetensors")
    with pytest.raises(InputError, match=r"is a ControlNet for a U-Net, but the base is SD 3\.5"):
        load_controlnet(str(tmp_path / "u.safetensors"), "sd3")


def authors(state: Mapping[str, Tensor]) -> State:
    """The names of the original code, with its fused matrices; the halves of the last modulations are exchanged there."""
    found: State = {"pos_embed": state["pos_embed.pos_embed"]}
    last = max(int(name.split(".")[1]) for name in state if name.startswith("transformer_blocks."))
    layers = [*FACTS.original_layers, ("context_embedder", ("context_embedder",))]
    layers += [("joint_blocks.{}.context_block.adaLN_modulation.1", ("transformer_blocks.{}.norm1_context.linear",))]
    layers += [("final_layer.adaLN_modulation.1", ("norm_out.linear",))]
    for original, own in layers:
        for number in range(last + 1):
            names = [name.format(number) for name in own]
            for end in ("weight", "bias"):
                if f"{names[0]}.{end}" in state:
                    rows = torch.cat([state[f"{name}.{end}"] for name in names])
                    if names[0] in ("norm_out.linear", f"transformer_blocks.{last}.norm1_context.linear"):
                        rows = torch.cat(rows.chunk(2)[::-1])
                    found[f"{original.format(number)}.{end}"] = rows
    for number in range(last + 1):
        for side, norm in (("x", "attn.norm_"), ("context", "attn.norm_added_"), ("x", "attn2.norm_")):
            for letter in "qk":
                name = f"transformer_blocks.{number}.{norm}{letter}.weight"
                if name in state:
                    new = f"joint_blocks.{number}.{side}_block.{norm.partition('.')[0]}.ln_{letter}.weight"
                    found[new] = state[name]
    return found


def prefixed(state: Mapping[str, Tensor]) -> State:
    """With the autoencoder that the authors' file also holds."""
    named = {f"model.diffusion_model.{name}": tensor for name, tensor in authors(state).items()}
    return named | {"first_stage_model.decoder.conv_in.weight": torch.ones(1)}


def others(base: Base, folder: Path) -> None:
    """Write all parts but the network, named as the catalogue's bases have them."""
    save_base(base, folder, torch.float32)
    (folder / "transformer" / "diffusion_pytorch_model.safetensors").unlink()
    encoder = folder / "text_encoder_3"
    (encoder / "model.safetensors").rename(encoder / "model-00001-of-00002.safetensors")
    save_file({"none": torch.zeros(1)}, encoder / "model-00002-of-00002.safetensors", {"format": "pt"})
    placed = dict.fromkeys(base.text_encoders[2].state_dict(), "model-00001-of-00002.safetensors")
    index = {"metadata": {}, "weight_map": placed}
    (encoder / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")


@pytest.mark.parametrize("row", ["sd3", "sd3_medium"])
@pytest.mark.parametrize("layout", [dict, authors, prefixed])
def test_a_file_of_the_network_alone_is_a_base(own_folders: Path, tmp_path: Path, layout: Any, row: str) -> None:
    """A second attention shows the smaller base, whose folder completes it."""
    made = tiny_base("sd3", dual_attention_layers=() if row == "sd3" else (0, 1))
    path, state = tmp_path / "mine.safetensors", layout(made.network.state_dict())
    save_file(state, path)
    assert (kind_of(state), LocalFile(path, "base").family) == ("base", "sd3")
    assert [one.id for one in missing(resolve(str(path), "base"))] == [row]
    others(made, own_folders / row)
    loaded = load_base(str(path))
    for one, other in zip(loaded.networks, made.networks, strict=True):
        assert same(one, other)


@pytest.mark.parametrize("layout", [dict, authors])
def test_quantised_weights_run_as_they_are_in_the_file(own_folders: Path, tmp_path: Path, layout: Any) -> None:
    made = tiny_base("sd3", dual_attention_layers=())
    others(made, own_folders / "sd3")
    kept = write_gguf(tmp_path / "small.gguf", layout(made.network.state_dict()))
    loaded = load_base(str(tmp_path / "small.gguf"))
    assert type(loaded.network.transformer_blocks[0].ff.net[2]).__name__ == "GGUFLinear"
    save_file({name: tensor.contiguous() for name, tensor in kept.items()}, tmp_path / "whole.safetensors")
    whole = load_base(str(tmp_path / "whole.safetensors"))
    torch.testing.assert_close(output(loaded.network), output(whole.network), rtol=0, atol=1e-5)


def output(network: Any) -> Tensor:
    generator = torch.Generator().manual_seed(9)
    shapes = (1, 16, 8, 8), (1, 5, 48), (1, 32)
    latents, words, pooled = (torch.randn(shape, generator=generator) for shape in shapes)
    with torch.no_grad():
        return network(latents, words, pooled, torch.tensor([500.0]), return_dict=False)[0]


CHANGED = {
    "joint_blocks.1.x_block.attn.qkv": [f"transformer_blocks.1.attn.to_{letter}" for letter in "qkv"],
    "joint_blocks.1.x_block.attn2.qkv": [f"transformer_blocks.1.attn2.to_{letter}" for letter in "qkv"],
    "joint_blocks.1.context_block.attn.qkv": [f"transformer_blocks.1.attn.add_{letter}_proj" for letter in "qkv"],
    "joint_blocks.2.context_block.mlp.fc1": ["transformer_blocks.2.ff_context.net.0.proj"],
    "joint_blocks.2.x_block.adaLN_modulation.1": ["transformer_blocks.2.norm1.linear"],
}
"""Layers of the authors' code, with those of diffusers."""


@pytest.mark.parametrize("writer", [library, kohya, dotted])
def test_loras_equal_weights_merged_by_hand(tmp_path: Path, writer: Any) -> None:
    made = tiny_base("sd3")
    merged, plain = copy.deepcopy(made.network), output(made.network)
    scale, state = WEIGHT * (ALPHA / RANK if writer is kohya else 1), State()
    for seed, (original, own) in enumerate(CHANGED.items()):
        shapes = [merged.get_submodule(name).weight.shape for name in own]
        rows = [shape[0] for shape in shapes]
        down, up = pair(sum(rows), shapes[0][1], seed)
        for name, part in zip(own, up.split(rows), strict=True):
            merged.get_submodule(name).weight.data += scale * part @ down
            state |= library(name, down.clone(), part.clone()) if writer is library else {}
        state |= {} if writer is library else writer(original, down, up)
    encoder, layer = made.text_encoders[2], "encoder.block.0.layer.0.SelfAttention.q"
    before = encoder.get_submodule(layer)
    if writer is kohya:  # T5's layers have the prefix of a third text encoder
        rows, channels = before.weight.shape
        own_names = kohya(layer, *pair(rows, channels, 9)).items()
        state |= {name.replace("lora_unet", "lora_te3"): tensor for name, tensor in own_names}
    save_file(state, tmp_path / "a.safetensors")
    assert use_loras(made, [(str(tmp_path / "a.safetensors"), WEIGHT)]) == ()
    torch.testing.assert_close(output(made.network), output(merged), rtol=1e-5, atol=1e-5)
    assert (output(made.network) - plain).abs().max() > 1e-3
    assert (encoder.get_submodule(layer) is before) == (writer is not kohya)
    use_loras(made, [])
    assert torch.equal(output(made.network), plain)


@pytest.mark.parametrize("width", [2432, 1536])
def test_the_family_of_a_lora_is_shown_by_names_and_widths(width: int) -> None:
    def found(state: State) -> str | None:
        return family_of_shapes("lora", {name: tuple(tensor.shape) for name, tensor in state.items()})

    down, up = torch.zeros(RANK, width), torch.zeros(8, RANK)
    names = "joint_blocks.0.x_block.attn.qkv", "joint_blocks.3.context_block.mlp.fc1"
    files = [writer(name, down, up) for name in names for writer in (kohya, dotted)]
    files += [writer("transformer_blocks.0.attn.to_q", down, up) for writer in (library, kohya)]
    assert {found(state) for state in files} == {"sd3"}
    wide = torch.zeros(RANK, 3072)
    assert found(library("transformer_blocks.0.img_mlp.net.0.proj", wide, up)) == "qwen_image"
    assert found(library("transformer_blocks.0.attn.add_q_proj", wide, up)) is None  # FLUX.1 and FLUX.2 have it too
    assert found(library("single_transformer_blocks.0.attn.to_q", wide, up)) == "flux"
    narrow = kohya("down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k", torch.zeros(RANK, 768), up)
    assert found(narrow) == "sd15"


def _count(network: Any, buffers: bool = False) -> float:
    return sum(tensor.numel() for tensor in (*network.parameters(), *(network.buffers() if buffers else ()))) / 1e6


def test_parameters_and_sizes_are_those_of_the_published_configs() -> None:
    """The table of places is in the file of a transformer. ControlNets are published in 32 bits."""
    vae: dict[str, Any] = {
        "block_out_channels": (128, 256, 512, 512), "down_block_types": ("DownEncoderBlock2D",) * 4, "layers_per_block": 2,
        "up_block_types": ("UpDecoderBlock2D",) * 4, "latent_channels": 16, "use_quant_conv": False, "use_post_quant_conv": False,
    }  # fmt: skip
    clips = [
        CLIPTextConfig(
            hidden_size=width, intermediate_size=4 * width, num_hidden_layers=layers, num_attention_heads=width // 64,
            projection_dim=width,
        )
        for width, layers in ((768, 12), (1280, 32))
    ]  # fmt: skip
    t5: dict[str, Any] = {
        "vocab_size": 32128, "d_model": 4096, "d_kv": 64, "d_ff": 10240, "num_layers": 24, "num_heads": 64,
        "feed_forward_proj": "gated-gelu",
    }  # fmt: skip
    with torch.device("meta"):
        large, medium = (
            SD3Transformer2DModel(
                num_layers=heads, num_attention_heads=heads, caption_projection_dim=64 * heads, pos_embed_max_size=places,
                qk_norm="rms_norm", dual_attention_layers=dual,
            )
            for heads, places, dual in ((38, 192, ()), (24, 384, tuple(range(13))))
        )  # fmt: skip
        controlnet = SD3ControlNetModel(num_layers=19, num_attention_heads=38, caption_projection_dim=2048, **STABILITY)
        autoencoder = AutoencoderKL(**vae)
        encoders = [*map(CLIPTextModelWithProjection, clips), T5EncoderModel(T5Config(**t5))]
    millions = FACTS.parameters
    found = _count(large), _count(controlnet), sum(map(_count, encoders)), _count(autoencoder)
    assert found == pytest.approx(
        (millions.network, millions.controlnet, millions.text_encoders, millions.vae), rel=0.001
    )
    rest = millions.text_encoders + millions.vae
    assert entry("sd3").size == pytest.approx(2e6 * (_count(large, buffers=True) + rest), rel=0.001)
    assert entry("sd3_medium").size == pytest.approx(2e6 * (_count(medium, buffers=True) + rest), rel=0.001)
    own = entry("sd3_medium").parameters
    assert own and own.network == pytest.approx(_count(medium, buffers=True), rel=0.001)
    assert entry("controlnet_canny_sd3").size == pytest.approx(4e6 * _count(controlnet), rel=0.001)
    assert len(controlnet.transformer_blocks) == FACTS.control_blocks


def test_conditions_have_the_controlnets_of_the_family() -> None:
    ids = {condition: controlnet_id(condition, "sd3") for condition in ("canny", "depth", "tile")}
    assert ids == {"canny": "controlnet_canny_sd3", "depth": "controlnet_depth_sd3", "tile": "controlnet_blur_sd3"}
    assert start_scale("canny", None, "sd3", "sd3") == 0.7
    assert entry("sd3").defaults == FACTS.defaults
    assert entry("sd3_turbo").defaults == replace(FACTS.defaults, guidance_scale=1.0, num_inference_steps=4)
    assert entry("sd3").commercial == "ask"
