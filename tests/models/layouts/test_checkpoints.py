"""ControlNets of one file: both layouts, every family, and what is refused."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from diffusers import ControlNetModel
from safetensors.torch import save_file
from torch import Tensor

from models.catalogue.catalog import Family
from models.catalogue.local import local_files
from models.errors import DamagedError, InputError
from models.layouts.checkpoints import read_metadata
from models.layouts.pickles import read_pickle
from models.loader import load_controlnet
from tests.models.layouts.original_names import SIZES, original_layout


def create(family: Family) -> ControlNetModel:
    torch.manual_seed(0)
    made = ControlNetModel(**SIZES[family])
    silent: list[Any] = [*made.controlnet_down_blocks, made.controlnet_mid_block]
    for layer in (*silent, made.controlnet_cond_embedding.conv_out):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return made.eval()


def residuals(net: Any, family: Family) -> list[Tensor]:
    torch.manual_seed(1)
    width = SIZES[family]["cross_attention_dim"]
    added = {"text_embeds": torch.randn(1, 1280), "time_ids": torch.ones(1, 6)} if family == "sdxl" else None
    with torch.no_grad():
        down, middle = net(
            torch.randn(1, 4, 8, 8), 500, torch.randn(1, 7, width), torch.rand(1, 3, 64, 64),
            added_cond_kwargs=added, return_dict=False,
        )  # fmt: skip
    return [*down, middle]


def assert_same(loaded: Any, made: ControlNetModel, family: Family) -> None:
    for one, other in zip(residuals(loaded, family), residuals(made, family), strict=True):
        assert other.abs().max() > 1e-3
        assert torch.equal(one, other)


@pytest.mark.slow
@pytest.mark.parametrize("family", SIZES)
def test_a_file_in_diffusers_layout(tmp_path: Path, family: Family) -> None:
    made = create(family)
    save_file(made.state_dict(), tmp_path / "any.safetensors")
    assert_same(load_controlnet(str(tmp_path / "any.safetensors"), family), made, family)


@pytest.mark.slow
@pytest.mark.parametrize("family", SIZES)
@pytest.mark.parametrize("kind", ["control_v11p.pth", "control.safetensors", "alone.pth"])
def test_a_file_in_the_original_layout(tmp_path: Path, family: Family, kind: str) -> None:
    made = create(family)
    state = original_layout(made.state_dict())
    assert f"input_blocks.{8 if family == 'sdxl' else 11}.0.out_layers.3.weight" in state
    assert "middle_block.1.transformer_blocks.0.attn2.to_k.weight" in state
    if kind != "alone.pth":
        state = {f"control_model.{name}": tensor.clone() for name, tensor in state.items()}
    if kind.endswith("safetensors"):
        save_file(state, tmp_path / kind)
    else:
        torch.save({"state_dict": state} if kind.startswith("control") else state, tmp_path / kind)
    assert_same(load_controlnet(str(tmp_path / kind), family), made, family)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["all.pth", "all.safetensors"])
def test_of_a_file_with_all_of_stable_diffusion_only_the_control_part_is_read(tmp_path: Path, kind: str) -> None:
    made = create("sd15")
    state = {f"control_model.{name}": tensor for name, tensor in original_layout(made.state_dict()).items()}
    state |= {"model.diffusion_model.out.2.weight": torch.full((4, 4), torch.nan), "cond_stage_model.x": torch.ones(1)}
    path = tmp_path / kind
    save_file(state, path) if kind.endswith("safetensors") else torch.save(state, path)
    assert_same(load_controlnet(str(path), "sd15"), made, "sd15")


@pytest.mark.slow
def test_a_dropped_file_is_found_by_its_name(own_folders: Path) -> None:
    folder = own_folders / "controlnets"
    folder.mkdir(parents=True)
    made = create("sd21")
    save_file(made.state_dict(), folder / "Mine v2.safetensors")
    torch.save(made.state_dict(), folder / "mine.pth")
    (folder / "half.safetensors").write_bytes((folder / "Mine v2.safetensors").read_bytes()[:1000])
    (folder / "notes.txt").write_text("not a model")
    found = {file.name: file.family for file in local_files("controlnet")}
    assert found == {"Mine v2.safetensors": "sd21", "half.safetensors": None, "mine.pth": None}
    assert len(local_files("controlnet")[0].sha256) == 64
    assert_same(load_controlnet("Mine v2.safetensors", "sd21"), made, "sd21")


@pytest.mark.slow
def test_a_path_that_looks_like_a_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = create("sd15")
    (tmp_path / "mine").mkdir()
    save_file(made.state_dict(), tmp_path / "mine" / "edges.safetensors")
    monkeypatch.chdir(tmp_path)
    assert_same(load_controlnet("mine/edges.safetensors", "sd15"), made, "sd15")


def test_another_family_is_refused_by_its_tensors_whatever_its_name(tmp_path: Path) -> None:
    path = tmp_path / "control_sdxl.safetensors"
    save_file(create("sd15").state_dict(), path)
    with pytest.raises(InputError, match=r"control_sdxl.safetensors is a ControlNet for SD 1.5, but the base is SDXL"):
        load_controlnet(str(path), "sdxl")


def test_what_is_no_controlnet_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "odd.safetensors"
    save_file({"a": torch.ones(1), "b": torch.ones(1)}, path)
    with pytest.raises(InputError, match="odd.safetensors is no ControlNet"):
        load_controlnet(str(path), "sd15")
    path = tmp_path / "lora.safetensors"
    save_file({"lora_unet_down.alpha": torch.ones(1)}, path)
    with pytest.raises(InputError, match=r"lora.safetensors is a LoRA, not a ControlNet; put it into models/loras"):
        load_controlnet(str(path), "sd15")


def test_a_base_of_unknown_width_is_refused(tmp_path: Path) -> None:
    state = {
        name: t[:, :9].contiguous() if "attn2.to_k" in name else t for name, t in create("sd15").state_dict().items()
    }
    save_file(state, tmp_path / "odd.safetensors")
    with pytest.raises(InputError, match="for a base with 9 numbers a word"):
        load_controlnet(str(tmp_path / "odd.safetensors"), "sd15")


class _Runs:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["RUNS_HERE"],)


PAYLOAD = {"control_model.zero_convs.0.0.weight": _Runs()}


def zip_of(**members: bytes) -> bytes:
    """A zip as torch writes it, with these files in it, `__` for the dot."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, member in {"version": b"3", **members}.items():
            archive.writestr(f"archive/{name.replace('__', '.')}", member)
    return content.getvalue()


def tar_of(*names: str) -> bytes:
    """torch's first format: each of its parts a pickle."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(pickle.dumps(PAYLOAD))
            archive.addfile(member, io.BytesIO(pickle.dumps(PAYLOAD)))
    return content.getvalue()


def saved(in_zip: bool) -> bytes:
    content = io.BytesIO()
    torch.save(PAYLOAD, content, _use_new_zipfile_serialization=in_zip)
    return content.getvalue()


MIGHT_RUN, UNREADABLE = "holds more than tensors and might run code", "cannot be read; delete it"


@pytest.mark.parametrize("name", ["evil.pth", "evil.ckpt"])
@pytest.mark.parametrize(
    ("create_content", "sentence"),
    [
        (lambda: saved(in_zip=True), MIGHT_RUN),
        (lambda: saved(in_zip=False), MIGHT_RUN),
        (lambda: pickle.dumps(PAYLOAD), MIGHT_RUN),
        (lambda: pickle.dumps(PAYLOAD)[:-1] + b"\xff and then garbage", MIGHT_RUN),
        (lambda: zip_of(data__pkl=pickle.dumps(PAYLOAD)[:-1] + b"\xff"), MIGHT_RUN),
        (lambda: zip_of(data__pkl=zip_of(data__pkl=pickle.dumps(PAYLOAD))), MIGHT_RUN),
        (lambda: zip_of(inner__pth=saved(in_zip=True)), UNREADABLE),
        (lambda: tar_of("sys_info", "pickle", "storages", "tensors"), MIGHT_RUN),
        (lambda: b"7z\xbc\xaf\x27\x1c\x00\x04" + pickle.dumps(PAYLOAD), MIGHT_RUN),
        (lambda: b"\x80\x02e.", UNREADABLE),  # takes from an empty stack
    ],
    ids=["zip", "legacy", "plain", "garbage", "zip garbage", "zip in data", "zip in zip", "tar", "7z", "nonsense"],
)
def test_a_pickle_that_runs_code_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, create_content: Callable[[], bytes], sentence: str, name: str
) -> None:
    monkeypatch.setenv("RUNS_HERE", str(tmp_path / "ran"))
    (tmp_path / name).write_bytes(create_content())
    with pytest.raises((InputError, DamagedError), match=f"{name}.* {sentence}"):
        load_controlnet(str(tmp_path / name), "sd15")
    assert not (tmp_path / "ran").exists()


BUFFER = b"\x80\x02cbuiltins\nbytearray\nJ\0\0\0\x7f\x85R."
"""Twenty-eight bytes that make torch take 2 GB."""


def bomb() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(300_000_000))
    return content.getvalue()


def of_tensor(tensor: Tensor) -> bytes:
    content = io.BytesIO()
    torch.save({"a.weight": tensor}, content)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (lambda: BUFFER, MIGHT_RUN),
        (lambda: zip_of(data__pkl=BUFFER), MIGHT_RUN),
        (bomb, UNREADABLE),
        (lambda: of_tensor(torch.ones(1).expand(2**31)), UNREADABLE),
        (lambda: of_tensor(torch.ones(2, 3).to_sparse()), UNREADABLE),
        (lambda: of_tensor(torch.empty(2, 3, device="meta")), UNREADABLE),
    ],
    ids=["buffer", "buffer in a zip", "packed", "one number everywhere", "sparse", "without numbers"],
)
def test_a_pickle_that_is_larger_than_its_file_is_not_opened(
    tmp_path: Path, content: Callable[[], bytes], sentence: str
) -> None:
    path = tmp_path / "small.pth"
    path.write_bytes(content())
    before = psutil.Process().memory_info().rss
    with pytest.raises((InputError, DamagedError), match=f"small.pth.* {sentence}"):
        read_pickle(path)
    assert psutil.Process().memory_info().rss - before < 200_000_000


def test_tied_weights_and_views_in_a_pickle_are_read(tmp_path: Path) -> None:
    one = torch.rand(300_000)
    torch.save({"a": one, "b": one, "c": one.view(3, -1), "d": [one[:5]]}, tmp_path / "tied.pt")
    found = read_pickle(tmp_path / "tied.pt")
    assert torch.equal(found["c"].flatten(), one)


def test_metadata_of_a_damaged_file_is_an_error_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    path.write_bytes(b"\x09\0\0\0\0\0\0\0{")
    with pytest.raises(DamagedError, match=r"half\.safetensors .* cannot be read"):
        read_metadata(path)


def test_a_harmless_pickle_from_before_zip_is_read(tmp_path: Path) -> None:
    made = create("sd15")
    torch.save(made.state_dict(), tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    assert_same(load_controlnet(str(tmp_path / "old.pth"), "sd15"), made, "sd15")


@pytest.mark.parametrize("kind", ["half.pth", "half.safetensors"])
def test_a_half_file_is_damaged(tmp_path: Path, kind: str) -> None:
    path = tmp_path / kind
    state = create("sd15").state_dict()
    save_file(state, path) if kind.endswith("safetensors") else torch.save(state, path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DamagedError, match=kind):
        load_controlnet(str(path), "sd15")


def test_a_header_that_lies_is_damaged(tmp_path: Path) -> None:
    header = json.dumps({"zero_convs.0.0.bias": {"dtype": "F16", "shape": [2], "data_offsets": [4, 8]}}).encode()
    (tmp_path / "lie.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(DamagedError, match="lie.safetensors .* begins at byte 4"):
        load_controlnet(str(tmp_path / "lie.safetensors"), "sd15")


@pytest.mark.parametrize("gone", ["conv_in.weight", "controlnet_cond_embedding.conv_in.weight"])
def test_a_file_without_what_tells_its_sizes_is_damaged(tmp_path: Path, gone: str) -> None:
    save_file({n: t for n, t in create("sd15").state_dict().items() if n != gone}, tmp_path / "gap.safetensors")
    with pytest.raises(
        DamagedError, match=r"gap.safetensors .* its tensors are not those of a ControlNet( or T2I-Adapter)? for SD 1.5"
    ):
        load_controlnet(str(tmp_path / "gap.safetensors"), "sd15")


def test_a_file_with_a_tensor_missing_is_damaged(tmp_path: Path) -> None:
    state = create("sd15").state_dict()
    del state["mid_block.resnets.0.conv1.weight"]
    save_file(state, tmp_path / "gap.safetensors")
    with pytest.raises(
        DamagedError, match=r"gap.safetensors .* its tensors are not those of a ControlNet( or T2I-Adapter)? for SD 1.5"
    ):
        load_controlnet(str(tmp_path / "gap.safetensors"), "sd15")
