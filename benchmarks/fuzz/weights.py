"""Files of weights and what stands next to them: safetensors, pickles of both layouts, yamls and configs."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path
from random import Random
from types import MappingProxyType
from typing import Any

import torch
from diffusers import AutoencoderKL, ControlNetModel
from safetensors.torch import save
from torch import Tensor

from benchmarks.fuzz.changes import (
    EXTREMES,
    Files,
    Json,
    any_json,
    changed_bytes,
    changed_json,
    few,
    json_bytes,
    plain_text,
)
from models.autoencoders import load_vae_file
from models.catalogue.local import LocalFile, LocalKind
from models.catalogue.own import refuse_file
from models.catalogue.resolve import resolve
from models.embeddings import Embedding, read_embedding
from models.errors import USER_ERRORS
from models.layouts.adapter_settings import ADAPTER_CONFIG, PEFT_STEM, SETTINGS, read_settings
from models.layouts.checkpoints import read_metadata
from models.layouts.one_file import base_family, load_parts
from models.layouts.sidecars import base_prediction, control_facts
from models.loader import Base
from models.lora.files import read_lora
from models.modules import load_single_file
from models.tiny import tiny_base
from tests.models.layouts.original_names import SIZES

NAMES = (
    "zero_convs.0.0.weight", "input_hint_block.0.weight", "time_embed.0.weight", "control_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "model.diffusion_model.input_blocks.0.0.weight", "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight",
    "first_stage_model.decoder.conv_in.weight", "decoder.conv_in.weight", "decoder.layers.0.weight", "emb_params", "clip_l", "clip_g",
    "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight", "a.alpha", "a.lora_up.weight", "a.lora_down.weight",
    "a.hada_w1_a", "a.hada_w1_b", "a.hada_w2_a", "a.hada_w2_b", "a.lokr_w1", "a.lokr_w2_a", "a.lokr_w2_b", "a.lokr_t2", "a.oft_blocks", "a.dora_scale",
    "a.diff", "a.diff_b", "a.lora_mid.weight", "bundle_emb.w.string_to_param.*", "lora_controlnet", "difference", "adapter.body.0.in_conv.weight",
    "body.0.block1.weight", "a.weight", "a.scale_weight", "a.weight.absmax", "scaled_fp8", "text_model.embeddings.position_ids", "", "\0", "é" * 90,
    "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight", "lllite_unet.a", "zero_convs.99999999999.0.weight",
)  # fmt: skip
"""Names of tensors by which files are told apart, and odd ones."""
DTYPES = ("F32", "F16", "BF16", "F64", "I64", "I32", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "F4", "C64", "I128", "", "f32")
SHAPES: Sequence[list[int]] = (
    [],
    [1],
    [0],
    [3, 4],
    [4, 3],
    [2, 2, 2],
    [8, 768],
    [4, 4, 3, 3],
    [1, 1, 1, 1],
    [0, 5],
    [2**40],
    [2**31, 2**31],
)
KINDS: tuple[LocalKind, ...] = ("base", "controlnet", "lora", "embedding", "vae")
PATTERNS = ("to_k", ".*", "(a+)+$", "(a|a)*b", "(.*)*(.*)*!", "[", "(?P<x>", "a{1,99999}", "\\d+" * 30)
"""Patterns for layers' names, of which some take for ever in a search that backtracks."""
LAYERS = ("unet.down_blocks.0.attn2.to_k", "a" * 60 + "!", "")


@cache
def _base() -> Base:
    return tiny_base("sd15")


@cache
def _samples() -> Mapping[LocalKind, Mapping[str, Tensor]]:
    """Return the tensors of one small file of each kind."""
    words = torch.ones(2, _base().text_encoders[0].config.hidden_size)
    layer = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    low = {
        f"{layer}.lora_down.weight": torch.ones(2, 8),
        f"{layer}.lora_up.weight": torch.ones(4, 2),
        f"{layer}.alpha": torch.tensor(1.0),
    }
    config: dict[str, Any] = {
        "down_block_types": ("DownEncoderBlock2D",) * 4,
        "up_block_types": ("UpDecoderBlock2D",) * 4,
        "block_out_channels": (32,) * 4,
        "layers_per_block": 2,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = dict(ControlNetModel(**SIZES["sd15"]).half().state_dict())
        vae = dict(AutoencoderKL(**config).half().state_dict())
    names = [name for name in NAMES if name.startswith(("model.", "first_stage", "cond_stage"))]
    base = {name: torch.ones(4, 4, *(3, 3)[: 2 * ("input_blocks.0" in name)]) for name in names}
    return {"base": base, "controlnet": network, "lora": low, "embedding": {"emb_params": words}, "vae": vae}


def mixed_tensors(random: Random, kind: LocalKind) -> dict[str, Tensor]:
    """Return a kind's tensors, some left out, renamed, of other sizes or with numbers that are none."""
    tensors = dict(_samples()[kind])
    for _ in range(random.randrange(4)):
        name = random.choice([*tensors, *NAMES])
        way = random.randrange(4)
        if way == 0:
            tensors.pop(name, None)
        elif way == 1:
            tensors[random.choice(NAMES)] = tensors.get(name, torch.ones(2, 3))
        elif way == 2:
            tensors[name] = _odd_tensor(random)
        elif name in tensors and _is_plain(tensors[name]) and tensors[name].dtype in (torch.float32, torch.float16):
            tensors[name] = torch.full_like(tensors[name], random.choice((float("nan"), float("inf"), 6e4, 0.0)))
    return tensors


def _odd_tensor(random: Random) -> Tensor:
    if random.random() < 0.2:
        plain = torch.ones(2, 3)
        return random.choice(
            (
                plain.to_sparse(),
                plain.to("meta"),
                plain.expand(4, 2, 3),
                torch.quantize_per_tensor(plain, 0.1, 0, torch.qint8),
            )
        )
    shape = random.choice([shape for shape in SHAPES if all(side < 10_000 for side in shape)])
    formats = (
        torch.float32,
        torch.float16,
        torch.bfloat16,
        torch.int64,
        torch.bool,
        torch.float64,
        torch.complex64,
        torch.float8_e4m3fn,
    )
    return torch.ones(shape).to(random.choice(formats))


def _is_plain(tensor: Tensor) -> bool:
    """Return whether safetensors can hold a tensor."""
    return tensor.layout == torch.strided and not tensor.is_quantized and not tensor.is_meta


def make_safetensors(random: Random) -> Files:
    """Return a safetensors file, named like the kind it is read as, with another content, header or bytes."""
    kind = random.choice(KINDS)
    mixed = mixed_tensors(random, random.choice((kind, random.choice(KINDS))))
    content = {name: tensor.contiguous() for name, tensor in mixed.items() if _is_plain(tensor)}
    metadata = {plain_text(random): plain_text(random) for _ in range(random.randrange(3))}
    data = _saved({name: tensor.clone() for name, tensor in content.items()}, metadata)
    if random.random() < 0.6:
        data = _changed_header(random, data)
    if random.random() < 0.3:
        data = changed_bytes(random, data)
    return {f"{kind}.safetensors": data}


def _saved(tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Return a safetensors file; the library would write the metadata in another order each time."""
    data = save(tensors)
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.dumps({"__metadata__": dict(metadata), **json.loads(data[8:start])}).encode()
    return struct.pack("<Q", len(header)) + header + data[start:]


def _changed_header(random: Random, data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header: Json = json.loads(data[8 : 8 + length])
    names = [name for name in header if name != "__metadata__"]
    for _ in range(few(random, 3)):
        way = random.randrange(5)
        row = header.get(random.choice(names)) if names else None
        if way == 0 and isinstance(row, dict):
            row["dtype"] = random.choice(DTYPES)
        elif way == 1 and isinstance(row, dict):
            row["shape"] = random.choice(SHAPES)
        elif way == 2 and isinstance(row, dict):
            row["data_offsets"] = random.choice(
                ([0, 0], [0, 4], [-4, 4], [4, 0], [0, 2**64], [0.0, 4.0], ["0", 4], [0])
            )
        elif way == 3:
            header["__metadata__"] = any_json(random)
        else:
            header = changed_json(random, header, 1)
            header = header if isinstance(header, dict) else {"a": header}
    text = json_bytes(random, header, 0.05)
    if names and random.random() < 0.1:
        text = text[:-1] + f",{json.dumps(names[0])}:".encode() + b'{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    size = random.choice(EXTREMES) if random.random() < 0.1 else len(text)
    return struct.pack("<Q", size) + text + data[8 + length :]


def read_weights(folder: Path) -> None:
    """Look at a file as the lists of models do, then load it as what its name says."""
    path = next(folder.iterdir())
    kind: LocalKind = next(kind for kind in KINDS if kind == path.stem)
    faults: list[BaseException] = []
    for look in (
        lambda: LocalFile(path, kind).family,
        lambda: refuse_file(path),
        lambda: read_settings(path),
        lambda: _LOADERS[kind](path),
    ):
        try:
            look()
        except USER_ERRORS as error:
            faults.append(error)
    if faults:
        raise faults[-1]


def _load_base(path: Path) -> None:
    base_family(path)
    load_parts(path, torch.float32, "cpu")


_LOADERS: Mapping[LocalKind, Callable[[Path], object]] = MappingProxyType(
    {
        "base": _load_base,
        "controlnet": lambda path: load_single_file(path, "sd15", torch.float32, "cpu", _base().network),
        "lora": read_lora,
        "embedding": lambda path: read_embedding(Embedding(path.stem, path), _base()),
        "vae": lambda path: load_vae_file(path, "sd15", torch.float32, "cpu"),
    }
)


def make_sidecars(random: Random) -> Files:
    """Return a LoRA and a ControlNet with settings next to them, and a model in a folder with its configs."""
    adapter: Json = {
        "r": 4,
        "lora_alpha": 8,
        "use_rslora": False,
        "alpha_pattern": {random.choice(PATTERNS): 4},
        "rank_pattern": {},
    }
    config: Json = {
        "_class_name": random.choice(("ControlNetModel", "UNet2DConditionModel", "T2IAdapter")), "cross_attention_dim": 768, "in_channels": 4,
        "sample_size": 64, "use_linear_projection": False, "adapter_type": "full_adapter", "downscale_factor": 8, "block_out_channels": [8, 8],
    }  # fmt: skip
    index: Json = {
        "_class_name": "StableDiffusionPipeline",
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    yaml = "model:\n  params:\n    parameterization: v\n    global_average_pooling: True # pooled\n    only_mid_control: no\n"
    metadata = {
        SETTINGS: _damaged(random, adapter).decode("utf-8", "replace"),
        "ss_network_alpha": plain_text(random),
    }
    return {
        f"{PEFT_STEM}.safetensors": _saved(
            {"a.lora_A.weight": torch.ones(2, 3), "a.lora_B.weight": torch.ones(3, 2)}, metadata
        ),
        ADAPTER_CONFIG: _damaged(random, adapter),
        "net.yaml": changed_bytes(random, yaml.encode()) if random.random() < 0.7 else yaml.encode(),
        "net.json": _damaged(random, {"global_pool_conditions": True, "controlnet_conditioning_channel_order": "bgr"}),
        "net.safetensors": save({"a": torch.ones(1)}),
        "folder/config.json": _damaged(random, config),
        "folder/model_index.json": _damaged(random, index),
        "folder/unet/config.json": _damaged(random, config),
    }


def _damaged(random: Random, value: Json) -> bytes:
    return json_bytes(random, changed_json(random, value) if random.random() < 0.8 else value, 0.1)


def read_sidecars(folder: Path) -> None:
    """Read all that stands next to models; each may be refused by itself."""
    adapter, net = folder / f"{PEFT_STEM}.safetensors", folder / "net.safetensors"
    faults: list[BaseException] = []
    for look in (
        lambda: _read_adapter(adapter),
        lambda: read_lora(adapter),
        lambda: control_facts(net, read_metadata(net)),
        lambda: base_prediction(net),
        lambda: resolve(str(folder / "folder"), "base", "sd15"),
        lambda: resolve(str(folder / "folder"), "controlnet", "sd15"),
        lambda: resolve(str(folder / "folder"), "vae", "sd15"),
    ):
        try:
            look()
        except USER_ERRORS as error:
            faults.append(error)
    if faults:
        raise faults[-1]


def _read_adapter(path: Path) -> None:
    settings = read_settings(path)
    for layer in LAYERS:
        settings.alpha(layer)
    settings.scale(1.0, settings.rank or 1)
    list(settings.notes(path.name, 1))
