"""Bases and ControlNets of every family through a folder and back, and what is said of those that do not fit."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import StableDiffusionPipeline, StableDiffusionXLPipeline, T2IAdapter
from safetensors.torch import load_file, save_file

from models.catalogue.catalog import CATALOG, Family, entry
from models.errors import CancelledError, DamagedError, InputError, MissingError
from models.families import TITLES
from models.layouts.union import module_of
from models.loader import (
    Base,
    load_base,
    load_controlnet,
    save_base,
    save_network,
)
from models.stopping import stoppable
from models.tiny import tiny_base
from models.tiny.unets import tiny_adapter, tiny_controlnet
from tests.families import UNETS
from tests.models.downloads.hub import Hub, download_all


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[Family, Path]:
    """A base and a ControlNet of each family on disk, in `base/` and `controlnet/`."""
    folders: dict[Family, Path] = {family: tmp_path_factory.mktemp(family) for family in UNETS}
    for family, folder in folders.items():
        base = tiny_base(family)
        save_base(base, folder / "base")
        save_network(tiny_controlnet(base), folder / "controlnet")
    return folders


def same(one: Any, other: Any) -> bool:
    """Whether two networks have the same tensors, after one of them went through float16."""
    ours, theirs = dict(one.named_parameters()), dict(other.named_parameters())
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name].half(), theirs[name].half()) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("family", UNETS)
def test_a_base_comes_back_from_its_folder(saved: dict[Family, Path], family: Family) -> None:
    made = tiny_base(family)
    base = load_base(str(saved[family] / "base"))
    assert base.family == family
    assert base.vae_scale_factor == 8
    assert base.defaults.size == 64
    assert base.defaults.num_inference_steps == (entry(family).defaults or made.defaults).num_inference_steps
    assert same(made.network, base.network)
    assert same(made.vae, base.vae)
    assert all(same(*pair) for pair in zip(made.text_encoders, base.text_encoders, strict=True))
    assert dict(base.scheduler.config)["prediction_type"] == made.scheduler.config["prediction_type"]
    prompt = "a red ball under night sky"
    assert base.tokenizers[-1](prompt).input_ids == made.tokenizers[-1](prompt).input_ids


def test_float16_files_become_float32_on_the_cpu(saved: dict[Family, Path]) -> None:
    folder = saved["sd15"] / "base"
    assert {tensor.dtype for tensor in load_file(folder / "unet/diffusion_pytorch_model.safetensors").values()} == {
        torch.float16
    }
    base = load_base(str(folder))
    assert {p.dtype for part in networks(base) for p in part.parameters()} == {torch.float32}
    assert not any(p.requires_grad for part in networks(base) for p in part.parameters())
    assert not any(part.training for part in networks(base))


def test_saving_leaves_the_base_as_it_was(tmp_path: Path) -> None:
    base = tiny_base("embedded")
    save_base(base, tmp_path)
    assert {p.dtype for part in networks(base) for p in part.parameters()} == {torch.float32}


def test_the_autoencoder_of_sdxl_stays_wide(saved: dict[Family, Path]) -> None:
    base = load_base(str(saved["sdxl"] / "base"), dtype=torch.float16)
    assert (base.network.dtype, base.vae.dtype) == (torch.float16, torch.float32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "kind"),
    [("embedded", StableDiffusionPipeline), ("sd15", StableDiffusionPipeline), ("sdxl", StableDiffusionXLPipeline)],
)
def test_the_folder_is_ordinary_diffusers_format(saved: dict[Family, Path], family: Family, kind: Any) -> None:
    pipeline = kind.from_pretrained(saved[family] / "base", local_files_only=True)
    assert same(pipeline.unet, tiny_base(family).network)


@pytest.mark.parametrize("family", UNETS)
def test_a_controlnet_comes_back_from_its_folder(saved: dict[Family, Path], family: Family) -> None:
    controlnet = load_controlnet(str(saved[family] / "controlnet"), family)
    assert same(tiny_controlnet(tiny_base(family)), controlnet)


def test_a_network_that_was_trained_on_bgr_reads_rgb(saved: dict[Family, Path], own_folders: Path) -> None:
    assert [row.id for row in CATALOG if row.bgr] == ["sd_controlnet_normal"]
    shutil.copytree(saved["sd15"] / "controlnet", own_folders / "sd_controlnet_normal")
    hint = torch.rand(1, 3, 16, 16)
    plain = module_of(load_controlnet(str(saved["sd15"] / "controlnet"), "sd15")).controlnet_cond_embedding
    turned = module_of(load_controlnet("sd_controlnet_normal", "sd15")).controlnet_cond_embedding
    with torch.inference_mode():
        assert torch.allclose(turned(hint), plain(hint.flip(1)), atol=1e-6)
        assert not torch.allclose(turned(hint), plain(hint), atol=1e-3)


@pytest.mark.parametrize("family", UNETS)
@pytest.mark.parametrize("other", UNETS)
def test_another_family_is_refused_before_the_weights_are_read(
    saved: dict[Family, Path], family: Family, other: Family, tmp_path: Path
) -> None:
    if family == other:
        return
    shutil.copy(saved[family] / "controlnet" / "config.json", tmp_path)  # no weights: reading them would fail otherwise
    with pytest.raises(InputError, match=f"was made for {TITLES[family]} and cannot steer {TITLES[other]}"):
        load_controlnet(str(tmp_path), other)


def test_another_family_of_the_catalogue_is_refused_before_the_download(hub: Hub) -> None:
    with pytest.raises(InputError, match=r"Canny for SD 1\.5 was made for SD 1\.5 and cannot steer SDXL"):
        load_controlnet("control_v11p_sd15_canny", "sdxl")
    assert hub.asked == []


def test_a_controlnet_from_the_hub_shows_its_family_before_its_weights(hub: Hub, saved: dict[Family, Path]) -> None:
    folder = saved["sd15"] / "controlnet"
    hub.files = {f"who/edges/{path.name}": path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(MissingError, match=r"^who/edges needs config\.json"):
        load_controlnet("who/edges", "sd15")
    assert hub.asked == []
    with pytest.raises(InputError, match=r"who/edges was made for SD 1\.5"):
        download_all("who/edges", "controlnet", "sd21")
    assert not [asked for asked in hub.asked if "safetensors" in asked]
    assert download_all("who/edges", "controlnet", "sd15") == ["who/edges"]
    assert same(load_controlnet("who/edges", "sd15"), tiny_controlnet(tiny_base("sd15")))


def test_a_base_comes_from_the_hub(hub: Hub, saved: dict[Family, Path]) -> None:
    folder = saved["sdxl"] / "base"
    files = [path for path in folder.rglob("*") if path.is_file()]
    hub.files = {f"who/model/{path.relative_to(folder).as_posix()}": path.read_bytes() for path in files}
    assert download_all("who/model", "base") == ["who/model"] * 3  # its index, and what that names
    base = load_base("who/model")
    assert (base.id, base.family) == ("who/model", "sdxl")
    assert same(base.text_encoders[1], tiny_base("sdxl").text_encoders[1])


def test_a_catalogue_id_loads_from_a_local_folder(own_folders: Path, saved: dict[Family, Path]) -> None:
    shutil.copytree(saved["sd15"] / "base", own_folders / "sd15")
    assert load_base("sd15").family == "sd15"
    assert load_base("stable-diffusion-v1-5/stable-diffusion-v1-5").family == "sd15"


def test_an_unknown_name_says_what_may_be_given() -> None:
    with pytest.raises(
        InputError,
        match=r"There is no base 'nonsense'; give a file, a folder .* or one of: embedded, sd15, sd15_inpaint, sd21",
    ):
        load_base("nonsense")


def test_offline_a_hub_id_is_missing() -> None:
    with pytest.raises(MissingError, match=r"who/model needs model_index\.json"):
        load_base("who/model")


@pytest.fixture
def broken(saved: dict[Family, Path], tmp_path: Path) -> Path:
    """A ControlNet's folder to spoil."""
    return Path(shutil.copytree(saved["sd15"] / "controlnet", tmp_path / "broken"))


def test_a_half_file_is_refused(broken: Path) -> None:
    path = broken / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DamagedError, match=r"diffusion_pytorch_model\.safetensors .* is damaged"):
        load_controlnet(str(broken), "sd15")


def test_missing_tensors_are_refused(broken: Path) -> None:
    path = broken / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    del tensors["conv_in.weight"]
    save_file(tensors, path)
    with pytest.raises(DamagedError, match=r"cannot be used: .*conv_in\.weight"):
        load_controlnet(str(broken), "sd15")


def test_tensors_of_another_shape_are_refused(broken: Path) -> None:
    path = broken / "diffusion_pytorch_model.safetensors"
    save_file(load_file(path) | {"conv_in.weight": torch.zeros(3, 3)}, path)
    with pytest.raises(DamagedError, match="does not fit its config"):
        load_controlnet(str(broken), "sd15")


def test_a_header_that_lies_is_refused(broken: Path) -> None:
    header = json.dumps({"conv_in.bias": {"dtype": "F16", "shape": [2], "data_offsets": [4, 8]}}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(8)
    (broken / "diffusion_pytorch_model.safetensors").write_bytes(content)
    with pytest.raises(DamagedError, match="is damaged: its tensor 'conv_in.bias' begins at byte 4"):
        load_controlnet(str(broken), "sd15")


def test_a_pickle_that_runs_code_is_refused(broken: Path, tmp_path: Path) -> None:
    (broken / "diffusion_pytorch_model.safetensors").unlink()
    (broken / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(_Harmful(tmp_path / "harm")))
    with pytest.raises(DamagedError, match=r"diffusion_pytorch_model\.bin .* cannot be used"):
        load_controlnet(str(broken), "sd15")
    assert not (tmp_path / "harm").exists()


class _Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_numbers_that_are_not_finite_are_refused(broken: Path) -> None:
    path = broken / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    tensors["conv_in.bias"][0] = torch.nan
    save_file(tensors, path)
    with pytest.raises(DamagedError, match="not finite"):
        load_controlnet(str(broken), "sd15")


def test_a_folder_without_weights_says_so(broken: Path) -> None:
    (broken / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(MissingError, match="no weights"):
        load_controlnet(str(broken), "sd15")


def test_a_config_that_is_no_config_is_refused(broken: Path) -> None:
    (broken / "config.json").write_text("[]")
    with pytest.raises(DamagedError, match=r"config\.json .* no JSON object"):
        load_controlnet(str(broken), "sd15")


def test_a_config_that_is_nested_too_deeply_is_refused(broken: Path) -> None:
    (broken / "config.json").write_text("[" * 100_000 + "]" * 100_000)
    with pytest.raises(DamagedError, match=r"config\.json .* no JSON"):
        load_controlnet(str(broken), "sd15")


@pytest.mark.parametrize("name", [["a"] * 9_000, "\ud800", "x" * 9_000, "<script>", None])
def test_a_class_that_is_none_has_no_name_in_the_refusal(broken: Path, name: object) -> None:
    (broken / "config.json").write_text(json.dumps({"_class_name": name}))
    with pytest.raises(InputError, match="is no ControlNet but something unnamed; choose"):
        load_controlnet(str(broken), "sd15")


def test_what_is_no_controlnet_is_refused(saved: dict[Family, Path]) -> None:
    with pytest.raises(
        InputError, match="is no ControlNet but UNet2DConditionModel; choose a ControlNet or a T2I-Adapter"
    ):
        load_controlnet(str(saved["sd15"] / "base" / "unet"), "sd15")


def test_a_model_of_no_known_family_is_refused(saved: dict[Family, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved["sd15"] / "base", tmp_path / "upscaler"))
    config = json.loads((folder / "unet/config.json").read_text())
    (folder / "unet/config.json").write_text(json.dumps(config | {"in_channels": 7}))
    with pytest.raises(InputError, match="none of the kinds of model this app knows"):
        load_base(str(folder))


def test_a_model_index_cannot_name_any_class(saved: dict[Family, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(saved["sd15"] / "base", tmp_path / "strange"))
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", "DiffusionPipeline"]}))
    with pytest.raises(InputError, match="wants a scheduler 'DiffusionPipeline'"):
        load_base(str(folder))


def test_an_adapter_comes_back_from_its_folder(tmp_path: Path) -> None:
    made = tiny_adapter(in_channels=1)
    save_network(made, tmp_path)
    loaded = load_controlnet(str(tmp_path), "sd15")
    assert isinstance(loaded, T2IAdapter)
    assert same(made, loaded)


@pytest.mark.parametrize(
    ("config", "family", "other"),
    [({}, "sd15", "sdxl"), ({"adapter_type": "full_adapter_xl", "downscale_factor": 16}, "sdxl", "embedded")],
    ids=str,
)
def test_an_adapter_of_another_family_is_refused_before_its_weights_are_read(
    tmp_path: Path, config: dict[str, Any], family: Family, other: Family
) -> None:
    T2IAdapter(**config, channels=[8, 16], num_res_blocks=1).save_config(tmp_path)
    with pytest.raises(InputError, match=f"was made for {TITLES[family]} and cannot steer {TITLES[other]}"):
        load_controlnet(str(tmp_path), other)


def test_loading_can_be_stopped_before_each_network(saved: dict[Family, Path]) -> None:
    asked: list[int] = []

    def check() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise CancelledError("Enough.")

    with pytest.raises(CancelledError), stoppable(check):
        load_base(str(saved["sdxl"] / "base"))
    assert load_base(str(saved["sdxl"] / "base")).family == "sdxl"  # nobody asks outside
    assert len(asked) == 3


def networks(base: Base) -> tuple[Any, ...]:
    return (base.network, base.vae, *base.text_encoders)
