"""Recognition of local files by their headers alone."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file

from models.catalogue import local
from models.catalogue.catalog import Family
from models.catalogue.local import FOLDERS, LocalKind, check_kind, find_local, kind_of, local_files
from models.errors import InputError

KOHYA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn2"
BASE = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"

FILES: list[tuple[LocalKind, dict[str, tuple[int, ...]], Family | None]] = [
    ("base", {BASE: (32, 768), "first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}, "sd15"),
    ("base", {BASE: (32, 2048)}, "sdxl"),
    ("base", {BASE: (32, 1280)}, None),
    ("controlnet", {f"{LAYER}.to_k.weight": (32, 1024), "controlnet_down_blocks.0.weight": (8, 8, 1, 1)}, "sd21"),
    ("controlnet", {f"control_model.{LAYER}.to_k.weight": (32, 768), BASE: (32, 768)}, "sd15"),
    ("lora", {f"{KOHYA}.lora_down.weight": (4, 768), f"{KOHYA}.lora_up.weight": (32, 4), f"{KOHYA}.alpha": ()}, "sd15"),
    ("lora", {f"{KOHYA}.hada_w1_a": (32, 4), f"{KOHYA}.hada_w1_b": (4, 2048)}, "sdxl"),
    ("lora", {f"{KOHYA}.lokr_w1": (4, 32), f"{KOHYA}.lokr_w2_a": (8, 4), f"{KOHYA}.lokr_w2_b": (4, 64)}, "sdxl"),
    ("lora", {f"{KOHYA}.lokr_w1_a": (4, 2), f"{KOHYA}.lokr_w1_b": (2, 24), f"{KOHYA}.lokr_w2": (8, 32)}, "sd15"),
    ("lora", {f"{KOHYA}.diff": (32, 1024)}, "sd21"),
    ("lora", {f"{KOHYA}.oft_blocks": (8, 4, 4)}, None),
    ("lora", {f"{KOHYA}.lora_down.weight": (4, 768), "bundle_emb.word.emb_params": (1, 768)}, "sd15"),
    ("lora", {f"unet.{LAYER}.to_k.lora_A.weight": (4, 1024), f"unet.{LAYER}.to_k.lora_B.weight": (32, 4)}, "sd21"),
    ("lora", {f"base_model.model.{LAYER}.to_k.lora_A.default.weight": (4, 2048)}, "sdxl"),
    ("lora", {f"unet.{LAYER}.processor.to_k_lora.down.weight": (4, 768)}, "sd15"),
    ("lora", {f"unet.{LAYER}.to_k.lora.down.weight": (4, 2048)}, "sdxl"),
    ("lora", {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 1024)}, "sd21"),
    ("lora", {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_A.weight": (4, 768)}, "sd15"),
    ("lora", {"lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (4, 768)}, "sdxl"),
    ("lora", {"text_encoder_2.text_model.encoder.layers.0.mlp.fc1.lora_A.weight": (4, 1280)}, "sdxl"),
    ("lora", {"lora_unet_single_blocks_0_linear1.lora_down.weight": (4, 3072)}, "flux"),
    ("embedding", {"emb_params": (3, 768)}, "sd15"),
    ("embedding", {"emb_params": (3, 1024)}, "sd21"),
    ("embedding", {"<cat>": (768,)}, "sd15"),
    ("embedding", {"clip_l": (3, 768), "clip_g": (3, 1280)}, "sdxl"),
    ("vae", {"first_stage_model.decoder.conv_in.weight": (8, 4, 3, 3)}, None),
    ("vae", {"decoder.conv_in.weight": (8, 4, 3, 3), "encoder.conv_in.weight": (8, 3, 3, 3)}, None),
    ("vae", {"decoder.layers.0.weight": (8, 4, 3, 3)}, None),
]


@pytest.mark.parametrize(("kind", "shapes", "family"), FILES)
def test_a_file_tells_kind_and_family(
    own_folders: Path, kind: LocalKind, shapes: dict[str, tuple[int, ...]], family: Family | None
) -> None:
    folder = own_folders / FOLDERS[kind]
    folder.mkdir(parents=True)
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, folder / "any.safetensors")
    (file,) = local_files(kind)
    assert (file.name, file.kind, file.family) == ("any.safetensors", kind, family)
    assert kind_of(shapes) == kind
    assert find_local(kind, "any.safetensors") == folder / "any.safetensors"
    assert not [other for other in get_args(LocalKind) if other != kind and local_files(other)]


def test_of_two_with_one_name_the_own_folder_goes_first(
    own_folders: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "HERE", tmp_path / "project")
    for root in (own_folders, tmp_path / "project"):
        (root / "loras").mkdir(parents=True)
        for name in ("b.safetensors", f"{root.name}.pt", "notes.txt"):
            (root / "loras" / name).write_text("x")
    files = local_files("lora")
    assert [file.name for file in files] == ["b.safetensors", "models.pt", "project.pt"]
    assert files[0].path == own_folders / "loras" / "b.safetensors"
    assert [file.family for file in files] == [None, None, None]  # a damaged one, and pickles
    assert find_local("lora", "c.safetensors") is None


def test_a_checksum_is_counted_once_until_the_file_changes(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = own_folders / "vae" / "a.safetensors"
    path.parent.mkdir(parents=True)
    path.write_text("one")
    counted: list[Any] = []
    digest = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", lambda *given: counted.append(given) or digest(*given))
    (file,) = local_files("vae")
    assert file.sha256 == file.sha256 == local_files("vae")[0].sha256
    first = file.sha256
    path.write_text("two")
    os.utime(path, ns=(1, 1))
    assert file.sha256 != first
    assert len(counted) == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("emb_params", "any.pt is an embedding, not a base model; put it into models/embeddings."),
        ("zero_convs.0.0.weight", "any.pt is a ControlNet, not a base model; put it into models/controlnets."),
    ],
)
def test_kinds_mixed_up_are_told_apart(name: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        check_kind(Path("any.pt"), [name], "base")
    assert str(caught.value) == message
    check_kind(Path("any.pt"), ["of", "no", "known.kind"], "base")
