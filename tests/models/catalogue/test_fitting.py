"""Models offered with a base, and those refused before a download."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from models.catalogue.catalog import CATALOG, TITLES, Family, entry
from models.catalogue.fitting import check_fit, fits, fitting_files, fitting_rows, made_for
from models.catalogue.local import local_files
from models.catalogue.own import add_repository
from models.errors import InputError
from models.families import FAMILIES
from models.files import read_shapes

LORA = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"


def lora(folder: Path, name: str, width: int) -> Path:
    path = folder / "loras" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({LORA: torch.zeros(4, width)}, path)
    return path


@pytest.mark.parametrize("family", FAMILIES)
def test_rows_of_another_family_are_not_offered(family: Family) -> None:
    for kind in ("base", "controlnet", "adapter", "ip_adapter", "lora", "vae"):
        rows = fitting_rows(kind, family)
        assert all(not made_for(row) or family in made_for(row) for row in rows)
        own = {family, FAMILIES[family].shares_with} if kind in ("controlnet", "lora") else {family}
        found = [row for row in CATALOG if row.kind == kind and row.family and row.family in own]
        assert found == [row for row in rows if row.family]


def test_an_autoencoder_fits_the_families_of_its_latents() -> None:
    ids = {family: [row.id for row in fitting_rows("vae", family)] for family in FAMILIES}
    assert ids["sd15"] == ids["sd21"] == ["vae_ft_mse", "taesd"]
    assert ids["sdxl"] == ["vae_fp16_sdxl", "taesdxl"]
    assert ids["embedded"] == []


def test_a_repository_of_no_known_family_fits_all() -> None:
    row = add_repository("who/net", "controlnet")
    assert all(fits(row, family) for family in FAMILIES)
    assert row in fitting_rows("controlnet", "sd15")


def test_files_fit_by_their_shapes_and_pickles_fit_all(own_folders: Path) -> None:
    lora(own_folders, "small.safetensors", 768)
    lora(own_folders, "large.safetensors", 2048)
    (own_folders / "loras" / "some.pt").write_bytes(b"tensors")
    assert [file.name for file in fitting_files("lora", "sd15")] == ["small.safetensors", "some.pt"]
    assert [file.name for file in fitting_files("lora", "sdxl")] == ["large.safetensors", "some.pt"]


def test_a_header_is_read_once_until_the_file_is_replaced(own_folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lora(own_folders, "a.safetensors", 768)
    read: list[Path] = []
    monkeypatch.setattr("models.catalogue.local.read_shapes", lambda path: read.append(path) or read_shapes(path))
    assert [local_files("lora")[0].family for _ in range(3)] == ["sd15"] * 3
    assert len(read) == 1
    path.unlink()
    lora(own_folders, "a.safetensors", 2048)
    assert local_files("lora")[0].family == "sdxl"


def test_a_row_of_another_family_is_refused_with_those_that_fit() -> None:
    check_fit(entry("lcm_lora_sdxl"), "sdxl")
    check_fit(entry("taesd"), "sd21")
    with pytest.raises(InputError) as raised:
        check_fit(entry("lcm_lora_sdxl"), "sd15")
    assert str(raised.value) == (
        "LCM-LoRA for SDXL (lcm_lora_sdxl) is made for SDXL, but the base is SD 1.5; for that there are: lcm_lora_sd15, "
        "hyper_sd15_4steps."
    )
    with pytest.raises(
        InputError, match=r"made for SD 1.5 and SD 2.1, but the base is SDXL; .*: vae_fp16_sdxl, taesdxl\."
    ):
        check_fit(entry("taesd"), "sdxl")
    with pytest.raises(InputError, match=f"the base is {TITLES['embedded']}; for that there are: none"):
        check_fit(entry("ip_adapter_sd15"), "embedded")
