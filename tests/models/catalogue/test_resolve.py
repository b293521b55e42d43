"""A name to its files: where they are, what has to be downloaded first, and what shows without loading anything."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from safetensors.torch import save_file

from models.catalogue import own
from models.catalogue.catalog import CATALOG, entry
from models.catalogue.resolve import (
    UNKNOWN_DEFAULTS,
    NamedKind,
    base_defaults,
    download_steps,
    expected_bytes,
    missing,
    resolve,
)
from models.catalogue.weights import fetch_row
from models.errors import DamagedError, InputError, MissingError
from models.families import FAMILIES
from models.family_facts import Defaults, Family
from models.loader import load_base, load_controlnet, load_vae, save_base, save_network
from models.lora.loras import use_loras
from models.tiny import tiny_base
from models.tiny.unets import tiny_adapter, tiny_controlnet
from tests.models.downloads.hub import Hub, download_all
from tests.source import ROOT


@pytest.fixture(scope="module")
def sd15(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A base and a ControlNet, in `base/` and `controlnet/`."""
    folder, base = tmp_path_factory.mktemp("sd15"), tiny_base("sd15")
    save_base(base, folder / "base")
    save_network(tiny_controlnet(base), folder / "controlnet")
    return folder


@pytest.mark.parametrize("row", [row for row in CATALOG if row.kind in get_args(NamedKind)], ids=lambda row: row.id)
def test_every_row_is_found_by_its_id_and_names_what_is_missing(row: Any) -> None:
    found = resolve(row.id, row.kind)
    assert (found.row, found.family) == (row, row.family)
    assert missing(found) == (() if row.folder else (row,))
    if row.kind == "base":
        assert base_defaults(row.id)[0] == row.family


def test_a_row_that_is_here_has_its_folder_and_nothing_to_download(own_folders: Path, sd15: Path) -> None:
    before = resolve("sd15", "base")
    assert (before.path, missing(before)) == (None, (entry("sd15"),))
    with pytest.raises(
        MissingError, match=r"^Stable Diffusion 1\.5 needs unet/diffusion_pytorch_model\.fp16\.safe.*1\.72 GB"
    ):
        before.require()
    shutil.copytree(sd15 / "base", own_folders / "sd15")
    found = resolve("sd15", "base")
    assert (found.path, missing(found)) == (own_folders / "sd15", ())
    assert found.require() == found.path


def test_a_damaged_file_is_named_and_downloaded_only_by_who_asks(own_folders: Path, sd15: Path) -> None:
    shutil.copytree(sd15 / "base", own_folders / "sd15")
    path = own_folders / "sd15" / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(path.read_bytes()[:-8])
    found = resolve("sd15", "base")
    assert missing(found) == (entry("sd15"),)
    with pytest.raises(DamagedError, match=r"diffusion_pytorch_model\.safetensors"):
        found.require()


@pytest.mark.parametrize(
    ("kind", "id", "sentence"),
    [
        ("base", "sd5", r"There is no base 'sd5' \(did you mean sd15.*\); give a file, a folder .*, or one of: embedded, sd15"),
        ("vae", "x", r"There is no vae 'x'; give a file, a folder in diffusers format, owner/name on the hub, or one of: vae"),
        ("controlnet", "control_v11p_sd15_cany", r"no controlnet .*\(did you mean control_v11p_sd15_canny or .*\); give a file"),
        ("lora", "lcm_lora_sd51", r"no LoRA 'lcm_lora_sd51' \(did you mean lcm_lora_sd15.*\); put its file into models/loras, or name one of"),
        ("ip_adapter", "x/y", r"no IP-Adapter 'x/y'; give a \.safetensors file with the folder image_encoder beside it, or one of"),
        ("controlnet", "xinsir/controlnet-union-sdxl-1.0", r"reads several kinds of maps; name one of its rows: controlnet_union_sdxl"),
    ],
)  # fmt: skip
def test_an_unknown_name_names_what_may_be_given(kind: NamedKind, id: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolve(id, kind)


@pytest.mark.parametrize(
    ("kind", "id", "family", "sentence"),
    [
        ("controlnet", "control_v11p_sd15_canny", "sdxl", r"was made for SD 1\.5 and cannot steer SDXL"),
        ("controlnet", "t2iadapter_canny_sdxl", "sd15", r"was made for SDXL and cannot steer SD 1\.5"),
        (
            "lora",
            "lcm_lora_sdxl",
            "sd15",
            r"is made for SDXL, but the base is SD 1\.5; for that there are: lcm_lora_sd15",
        ),
        ("vae", "vae_fp16_sdxl", "sd15", r"is made for SDXL, but the base is SD 1\.5"),
        ("ip_adapter", "ip_adapter_sdxl", "sd21", r"was made for SDXL and does not fit SD 2\.1"),
    ],
)
def test_another_family_is_refused_before_its_files_are_here(
    kind: NamedKind, id: str, family: Family, sentence: str
) -> None:
    assert resolve(id, kind).family == entry(id).family
    with pytest.raises(InputError, match=sentence):
        resolve(id, kind, family)


def test_folders_and_their_configs(sd15: Path, tmp_path: Path) -> None:
    base = resolve(str(sd15 / "base"), "base")
    assert (base.family, base.defaults, missing(base)) == ("sd15", Defaults(64, 9.0, 20), ())
    control = resolve(str(sd15 / "controlnet"), "controlnet", "sd15")
    assert (control.family, control.path) == ("sd15", sd15 / "controlnet")
    save_network(tiny_adapter(), tmp_path)
    assert resolve(str(tmp_path), "controlnet").family == "sd15"
    with pytest.raises(InputError, match="cannot steer SDXL"):
        resolve(str(tmp_path), "controlnet", "sdxl")


def test_a_base_of_one_file_needs_a_vocabulary_unless_a_base_is_here(own_folders: Path, sd15: Path) -> None:
    path = own_folders / "checkpoints" / "mine.safetensors"
    path.parent.mkdir(parents=True)
    name = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    save_file({name: torch.zeros(8, 2048)}, path)
    for id in ("mine.safetensors", str(path)):
        found = resolve(id, "base")
        assert (found.path, found.family, missing(found)) == (path, "sdxl", (entry("clip_tokenizer"),))
        assert base_defaults(id) == ("sdxl", FAMILIES["sdxl"].defaults)
    shutil.copytree(sd15 / "base", own_folders / "sd15")
    assert missing(resolve("mine.safetensors", "base")) == ()


def test_a_repository_shows_its_parts_step_by_step(hub: Hub, sd15: Path) -> None:
    files = [path for path in (sd15 / "base").rglob("*") if path.is_file()]
    hub.files = {f"who/model/{path.relative_to(sd15 / 'base').as_posix()}": path.read_bytes() for path in files}
    (first,) = missing(resolve("who/model", "base"))
    assert ([file.name for file in first.files], first.licence) == (["model_index.json"], "unknown")
    assert base_defaults("who/model") == (None, UNKNOWN_DEFAULTS)
    assert hub.asked == []
    assert download_all("who/model", "base") == ["who/model"] * 3
    found = resolve("who/model", "base")
    assert (found.family, found.defaults, missing(found)) == ("sd15", Defaults(64, 9.0, 20), ())
    assert load_base("who/model").family == "sd15"


def test_a_noted_repository_is_a_row(hub: Hub, sd15: Path) -> None:
    hub.files = {f"who/edges/{path.name}": path.read_bytes() for path in (sd15 / "controlnet").iterdir()}
    noted = own.add_repository("who/edges", "controlnet")
    assert resolve("who/edges", "controlnet").row == noted
    assert download_all("who/edges", "controlnet", "sd15") == ["who/edges"] * 2  # its config, then all of it
    assert resolve("who/edges", "controlnet", "sd15").family == "sd15"


def test_a_download_by_id_alone_goes_step_by_step(hub: Hub, sd15: Path) -> None:
    base, net = sd15 / "base", sd15 / "controlnet"
    files = [(f"who/model/{path.relative_to(base).as_posix()}", path) for path in base.rglob("*") if path.is_file()]
    files += [(f"who/edges/{path.name}", path) for path in net.iterdir()]
    hub.files = {name: path.read_bytes() for name, path in files}
    for id, kinds in (("who/model", ["base"] * 2), ("who/edges", ["controlnet"])):
        assert [fetch_row(row) and row.kind for row in download_steps(id)] == ["controlnet", *kinds]
        assert list(download_steps(id)) == []
    assert load_base("who/model").family == resolve("who/edges", "controlnet").family == "sd15"
    assert list(download_steps("embedded")) == []
    assert list(download_steps("sd15")) == [entry("sd15")]
    with pytest.raises(InputError, match="There are no weights 'nonsense'; give an id"):
        list(download_steps("nonsense"))


def test_sizes_are_those_of_the_rows() -> None:
    assert expected_bytes("sd15") == entry("sd15").size
    assert expected_bytes("who/model") == expected_bytes("embedded") == 0


@pytest.mark.parametrize(
    "load",
    [
        lambda: load_base("sd15"),
        lambda: load_base("who/model"),
        lambda: load_vae("vae_ft_mse", "sd15"),
        lambda: load_controlnet("control_v11p_sd15_canny", "sd15"),
        lambda: load_controlnet("who/edges", "sd15"),
        lambda: use_loras(tiny_base("sd15"), [("lcm_lora_sd15", 1.0)]),
    ],
    ids=["base", "hub base", "vae", "controlnet", "hub controlnet", "lora"],
)
def test_loading_never_downloads(hub: Hub, load: Any) -> None:
    with pytest.raises(MissingError, match=r"needs .*, which is not here; run `python -m cnet_app models download"):
        load()
    assert hub.asked == []


def test_settings_of_an_unusable_base_are_the_unknown_ones(tmp_path: Path) -> None:
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text(json.dumps({"in_channels": 7}))
    for id in ("nonsense", str(tmp_path), str(tmp_path / "unet")):
        assert base_defaults(id) == (None, UNKNOWN_DEFAULTS)


def test_it_loads_no_torch() -> None:
    code = "import models.catalogue.resolve, sys; models.catalogue.resolve.base_defaults('embedded'); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
