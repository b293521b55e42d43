"""Bases of one file: every family's networks come back bit for bit, and what is said of files that hold less or other."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from models.catalogue.catalog import Family
from models.errors import DamagedError, InputError, MissingError
from models.layouts.one_file import _prediction_type
from models.loader import Base, load_base, save_base
from models.tiny import tiny_base
from tests.models.layouts.original_names import SIZES, open_clip, original_layout, original_vae

WORDS = 300
FAMILIES: tuple[Family, ...] = ("sd15", "sd21", "sdxl")


@dataclass(frozen=True)
class Made:
    """Networks, and what a file of them holds."""

    unet: Any
    vae: Any
    text_encoders: tuple[Any, ...]
    state: dict[str, Tensor]


def create_unet(family: Family, in_channels: int = 4) -> Any:
    sizes = {name: value for name, value in SIZES[family].items() if "conditioning" not in name}
    downs = sizes.get("down_block_types", ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",))
    ups = tuple(name.replace("Down", "Up") for name in reversed(downs))
    return UNet2DConditionModel(
        **{**sizes, "down_block_types": downs}, up_block_types=ups, in_channels=in_channels
    ).eval()


def create_vae(family: Family) -> Any:
    sizes: dict[str, Any] = {
        "block_out_channels": (32, 32, 32, 64),
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "layers_per_block": 2,
    }
    return AutoencoderKL(**sizes, scaling_factor=0.13025 if family == "sdxl" else 0.18215).eval()


def create_text_encoder(activation: str, heads: int, layers: int, projection: int = 0) -> Any:
    config = CLIPTextConfig(
        vocab_size=WORDS,
        hidden_size=64 * heads,
        intermediate_size=96,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        hidden_act=activation,
        projection_dim=projection or 64,
        eos_token_id=WORDS - 1,
    )
    made = (CLIPTextModelWithProjection if projection else CLIPTextModel)(config)
    for weight in made.parameters():  # fresh ones are so faint that one layer more or less goes unnoticed
        torch.nn.init.normal_(weight, std=0.3)
    return made.eval()


def prefixed(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + name: tensor.clone() for name, tensor in state.items()}


def text_state(family: Family, encoders: tuple[Any, ...]) -> dict[str, Tensor]:
    last = encoders[-1].state_dict()
    if family == "sd15":
        return prefixed("cond_stage_model.transformer.text_model.", last)
    if family == "sd21":  # the layer that is never asked, and a projection that is not either
        extra = {name.replace(".22.", ".23."): tensor for name, tensor in last.items() if ".22." in name}
        return prefixed("cond_stage_model.model.", open_clip(last | extra | {"text_projection.weight": torch.eye(64)}))
    first = prefixed("conditioner.embedders.0.transformer.text_model.", encoders[0].state_dict())
    return first | prefixed("conditioner.embedders.1.model.", open_clip(last) | {"logit_scale": torch.ones(())})


@pytest.fixture(scope="module")
def made() -> dict[Family, Made]:
    torch.manual_seed(0)
    encoders: dict[Family, tuple[Any, ...]] = {
        "sd15": (create_text_encoder("quick_gelu", 1, 2),),
        "sd21": (create_text_encoder("gelu", 1, 23),),
        "sdxl": (create_text_encoder("quick_gelu", 1, 2), create_text_encoder("gelu", 2, 3, projection=48)),
    }
    found: dict[Family, Made] = {}
    for family in FAMILIES:
        unet, vae = create_unet(family), create_vae(family)
        state = prefixed("model.diffusion_model.", original_layout(unet.state_dict()))
        state |= prefixed("first_stage_model.", original_vae(vae.state_dict()))
        state |= text_state(family, encoders[family])
        found[family] = Made(unet, vae, encoders[family], state)
    return found


@pytest.fixture
def words(own_folders: Path) -> Path:
    """CLIP's vocabulary, but a small one, where the catalogue looks for it."""
    content = json.loads(tiny_base("sd15").tokenizers[0].backend_tokenizer.to_str())["model"]
    folder = own_folders / "clip_tokenizer"
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps(content["vocab"]))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(pair) for pair in content["merges"])]))
    return folder


def answer(unet: Any, family: Family) -> Tensor:
    torch.manual_seed(1)
    config = unet.config
    added = {"text_embeds": torch.randn(1, 1280), "time_ids": torch.ones(1, 6)} if family == "sdxl" else None
    sample, text = torch.randn(1, config["in_channels"], 8, 8), torch.randn(1, 5, config["cross_attention_dim"])
    with torch.inference_mode():
        return unet(sample, 500, text, added_cond_kwargs=added, return_dict=False)[0]


def text_states(encoder: Any) -> list[Tensor]:
    """Of every layer, and the pooled one."""
    ids = torch.tensor([[WORDS - 2, 5, 9, WORDS - 1, WORDS - 1]])
    with torch.inference_mode():
        output = encoder(ids, output_hidden_states=True)
    return [*output.hidden_states, output[0], output[1] if isinstance(output[1], Tensor) else output[0]]


def assert_same(base: Base, made: Made) -> None:
    assert torch.equal(answer(base.network, base.family), answer(made.unet, base.family))
    latents, picture = torch.randn(1, 4, 4, 4), torch.randn(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(base.vae.decode(latents)[0], made.vae.decode(latents)[0])
        assert torch.equal(base.vae.encode(picture)[0].mode(), made.vae.encode(picture)[0].mode())
    for one, other in zip(base.text_encoders, made.text_encoders, strict=True):
        assert all(torch.equal(*pair) for pair in zip(text_states(one), text_states(other), strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_base_of_one_file(made: dict[Family, Made], words: Path, tmp_path: Path, family: Family) -> None:
    path = tmp_path / "any name.safetensors"
    save_file(made[family].state, path)
    base = load_base(str(path))
    assert (base.id, base.family, base.inpaints) == (str(path), family, False)
    assert_same(base, made[family])
    assert base.vae.config["scaling_factor"] == (0.13025 if family == "sdxl" else 0.18215)
    assert base.vae_scale_factor == 8
    assert not any(parameter.requires_grad for parameter in base.network.parameters())
    padding = [tokenizer.pad_token for tokenizer in base.tokenizers]
    assert padding == {"sd15": ["<|endoftext|>"], "sd21": ["!"], "sdxl": ["<|endoftext|>", "!"]}[family]
    assert all(tokenizer.model_max_length == 77 for tokenizer in base.tokenizers)
    prompt = "a red ball under night sky"
    assert base.tokenizers[-1](prompt).input_ids == tiny_base(family).tokenizers[-1](prompt).input_ids


@pytest.mark.slow
def test_a_dropped_pickle_in_half_with_moving_averages_and_odd_extras(
    made: dict[Family, Made], words: Path, own_folders: Path
) -> None:
    state = {name: tensor.half() for name, tensor in made["sd15"].state.items()}
    state |= {
        f"model_ema.{name.replace('.', '')}": torch.full_like(t, 7.0) for name, t in state.items() if "model." in name
    }
    state |= {
        "cond_stage_model.transformer.text_model.embeddings.position_ids": torch.arange(77)[None],
        "betas": torch.ones(1000),
    }
    (own_folders / "checkpoints").mkdir()
    torch.save({"state_dict": state, "global_step": 3}, own_folders / "checkpoints" / "mine.ckpt")
    base = load_base("mine.ckpt")
    halved = copy.deepcopy(made["sd15"].unet).half().float()
    assert torch.equal(answer(base.network, "sd15"), answer(halved, "sd15"))
    assert {p.dtype for p in (*base.network.parameters(), *base.text_encoders[0].parameters())} == {torch.float32}


@pytest.mark.slow
def test_a_base_that_inpaints(made: dict[Family, Made], words: Path, tmp_path: Path) -> None:
    unet = create_unet("sd15", in_channels=9)
    state = made["sd15"].state | prefixed("model.diffusion_model.", original_layout(unet.state_dict()))
    save_file(state, tmp_path / "inpaint.safetensors")
    base = load_base(str(tmp_path / "inpaint.safetensors"))
    assert (base.family, base.inpaints) == ("sd15", True)
    assert torch.equal(answer(base.network, "sd15"), answer(unet, "sd15"))


@pytest.mark.slow
def test_older_names_of_the_text_encoder_and_the_vocabulary_of_a_base_that_is_here(
    made: dict[Family, Made], own_folders: Path, tmp_path: Path
) -> None:
    save_base(tiny_base("sd21"), own_folders / "sd21")
    state = {name.replace("transformer.text_model.", "transformer."): t for name, t in made["sd15"].state.items()}
    save_file(state, tmp_path / "old.safetensors")
    base = load_base(str(tmp_path / "old.safetensors"))
    assert_same(base, made["sd15"])
    assert base.tokenizers[0].pad_token == "<|endoftext|>"


def test_offline_without_a_vocabulary_a_sentence_says_where_to_put_it(made: dict[Family, Made], tmp_path: Path) -> None:
    save_file(made["sd15"].state, tmp_path / "any.safetensors")
    expected = r"CLIP's vocabulary needs vocab.json \(1 MB\) and 1 small file, .* https://huggingface.co/openai/clip-vit-large-patch14"
    with pytest.raises(MissingError, match=expected):
        load_base(str(tmp_path / "any.safetensors"))


def check_training(base: Base, prediction_type: str, zero_snr: bool) -> None:
    config = base.scheduler.config
    assert (config["prediction_type"], config["rescale_betas_zero_snr"]) == (prediction_type, zero_snr)
    assert config["timestep_spacing"] == ("trailing" if zero_snr else "leading")
    assert (config["beta_start"], config["beta_end"], config["beta_schedule"]) == (0.00085, 0.012, "scaled_linear")
    assert (config["steps_offset"], config["clip_sample"], config["set_alpha_to_one"]) == (1, False, False)


@pytest.mark.slow
def test_sdxl_in_half_that_says_by_keys_that_it_foretells_velocity(
    made: dict[Family, Made], words: Path, tmp_path: Path
) -> None:
    marks = {"v_pred": torch.empty(0), "ztsnr": torch.empty(0)}
    save_file(made["sdxl"].state | marks, tmp_path / "any.safetensors")
    base = load_base(str(tmp_path / "any.safetensors"), dtype=torch.float16)
    check_training(base, "v_prediction", zero_snr=True)
    assert base.defaults.size == 1024
    assert {base.network.dtype, *(encoder.dtype for encoder in base.text_encoders)} == {torch.float16}
    assert base.vae.dtype == torch.float32  # it overflows in float16


@pytest.mark.parametrize(
    ("said", "family", "channels", "expected"),
    [
        ({"modelspec.prediction_type": "v"}, "sd21", 4, "v_prediction"),
        ({"modelspec.prediction_type": "epsilon"}, "sd21", 4, "epsilon"),
        ({}, "sd21", 9, "epsilon"),
        ({}, "sdxl", 4, "epsilon"),
        ({}, "sd15", 4, "epsilon"),
    ],
)
def test_what_a_base_foretells(
    tmp_path: Path, said: dict[str, str], family: Family, channels: int, expected: str
) -> None:
    save_file({"a": torch.ones(1)}, tmp_path / "any.safetensors", said)
    unet: Any = SimpleNamespace(config={"in_channels": channels})
    assert _prediction_type(tmp_path / "any.safetensors", family, {}, unet) == expected


def answering(unet: Any, number: float) -> Any:
    """One that says the same everywhere."""
    fixed = copy.deepcopy(unet)
    torch.nn.init.zeros_(fixed.conv_out.weight)
    torch.nn.init.constant_(fixed.conv_out.bias, number)
    return fixed


@pytest.mark.slow
def test_an_sd21_that_says_nothing_is_asked(made: dict[Family, Made], words: Path, tmp_path: Path) -> None:
    path = tmp_path / "any.safetensors"
    unet = answering(made["sd21"].unet, -0.5)
    save_file(made["sd21"].state | prefixed("model.diffusion_model.", original_layout(unet.state_dict())), path)
    base = load_base(str(path))
    check_training(base, "v_prediction", zero_snr=False)
    assert base.defaults.size == 768
    assert _prediction_type(path, "sd21", {}, answering(made["sd21"].unet, 0.5)) == "epsilon"


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("conditioner", "is SDXL without text encoder 1 and text encoder 2;"),
        (
            "model.diffusion_model",
            r"part.safetensors is an autoencoder \(VAE\), not a base model; put it into models/vae",
        ),
    ],
)
def test_what_is_missing_is_named(made: dict[Family, Made], tmp_path: Path, gone: str, message: str) -> None:
    state = {name: tensor for name, tensor in made["sdxl"].state.items() if not name.startswith(gone)}
    save_file(state, tmp_path / "part.safetensors")
    with pytest.raises(InputError, match=message):
        load_base(str(tmp_path / "part.safetensors"))


@pytest.mark.slow
def test_without_an_autoencoder_it_is_loaded_without_one(made: dict[Family, Made], words: Path, tmp_path: Path) -> None:
    state = {name: t for name, t in made["sd15"].state.items() if not name.startswith("first_stage_model.")}
    save_file(state, tmp_path / "part.safetensors")
    base = load_base(str(tmp_path / "part.safetensors"))
    assert (base.vae, base.vae_scale_factor, len(base.networks)) == (None, 8, 2)
    assert torch.equal(answer(base.network, "sd15"), answer(made["sd15"].unet, "sd15"))


@pytest.mark.parametrize(("said", "expected"), [("v", "v_prediction"), ("eps", "epsilon"), ("odd", "epsilon")])
def test_the_yaml_next_to_a_base_tells_what_it_foretells(tmp_path: Path, said: str, expected: str) -> None:
    path = tmp_path / "any.safetensors"
    save_file({"a": torch.ones(1)}, path)
    (tmp_path / "any.yaml").write_text(f'model:\n  params:\n    parameterization: "{said}"  # how it was trained\n')
    unet: Any = SimpleNamespace(config={"in_channels": 4})
    assert _prediction_type(path, "sd15", {}, unet) == expected
    save_file({"a": torch.ones(1)}, path, {"modelspec.prediction_type": "epsilon"})
    assert _prediction_type(path, "sd15", {}, unet) == "epsilon"


def test_another_kind_of_file_is_refused_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_down.weight": torch.ones(2, 2)}, path)
    with pytest.raises(InputError, match=r"x.safetensors is a LoRA, not a base model; put it into models/loras\."):
        load_base(str(path))
    save_file({"transformer_blocks.0.weight": torch.ones(2, 2), "b": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"x.safetensors is no base model in one file: it has no tensors model\.diff"):
        load_base(str(path))


@pytest.mark.parametrize(
    ("shape", "extra", "said"),
    [((32, 8, 3, 3), (), "8 channels in, 768 numbers"), ((32, 4, 3, 3), ("edm_mean",), "4 channels in")],
)
def test_models_of_another_kind_are_refused(
    made: dict[Family, Made], tmp_path: Path, shape: tuple[int, ...], extra: tuple[str, ...], said: str
) -> None:
    other = {"model.diffusion_model.input_blocks.0.0.weight": torch.ones(shape)} | dict.fromkeys(extra, torch.ones(1))
    save_file(made["sd15"].state | other, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=rf"other.safetensors is a model of another kind \({said}"):
        load_base(str(tmp_path / "other.safetensors"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("model.diffusion_model.middle_block.0.in_layers.2.weight", "U-Net of SD 1.5, first mid_block.resnets.0.conv1"),
        ("model.diffusion_model.input_blocks.1.0.in_layers.2.weight", "are not those of the U-Net of SD 1.5"),
        ("model.diffusion_model.input_blocks.3.0.op.bias", "U-Net of SD 1.5, first down_blocks.0.downsamplers.0.conv"),
        ("first_stage_model.decoder.mid.attn_1.q.weight", "an autoencoder, first decoder.mid_block.attentions.0.to_q"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", "text encoder of SD 1.5, first final_layer"),
    ],
)
def test_a_tensor_that_is_gone_is_named(
    made: dict[Family, Made], words: Path, tmp_path: Path, name: str, message: str
) -> None:
    save_file(
        {other: tensor for other, tensor in made["sd15"].state.items() if other != name}, tmp_path / "gap.safetensors"
    )
    with pytest.raises(DamagedError, match=rf"gap.safetensors .* {message}"):
        load_base(str(tmp_path / "gap.safetensors"))


def test_half_a_file_is_damaged(made: dict[Family, Made], tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    save_file(made["sd15"].state, path)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(DamagedError, match="half.safetensors .* is damaged"):
        load_base(str(path))
