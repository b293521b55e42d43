"""Commands that run models download nothing without a yes; with it they download and go on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image

from models.catalogue.catalog import entry
from models.catalogue.weights import find
from tests.cli.conftest import Call
from tests.models.downloads.hub import Hub


@pytest.fixture(autouse=True)
def _on_the_hub_alone(hub: Hub, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    """The miniatures are on the hub, and nothing is on this disk."""
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=10**12))
    monkeypatch.setenv("CNET_BASE", "sd15")
    monkeypatch.setenv("CNET_DEVICE", "cpu")
    for folder in files.iterdir():
        row = entry(folder.name)
        for file in row.files:
            found = next((folder / name for name in file.names if (folder / name).is_file()), None)
            assert found, f"{folder.name} lacks {file.name}"
            # The miniature has no vocabulary of two files, as the row has first.
            hub.files[f"{row.repo}/{found.relative_to(folder)}"] = found.read_bytes()


def transfers(hub: Hub) -> list[str]:
    return [asked for asked in hub.asked if asked.startswith("GET")]


COMMANDS = {
    "the base": ("generate --steps 1 --output {dir}", "Stable Diffusion 1.5 ", "sd15"),
    "the base of an upscale": ("upscale {photo} --output {dir}", "Stable Diffusion 1.5 ", "sd15"),
    "a ControlNet": (
        "generate --base {base} --control canny={photo},controlnet=control_v11p_sd15_canny --size 64x64 --steps 1 --output {dir}",
        "Canny for SD 1.5 ",
        "control_v11p_sd15_canny",
    ),
    "an annotator": ("annotate softedge {photo} --annotator hed --output {dir}/map.png", "HED ", "hed"),
    "an annotator of a unit": (
        "generate --base embedded --control softedge={photo},annotator=hed --size 64x64 --output {dir}",
        "HED ",
        "hed",
    ),
}


@pytest.mark.parametrize(("words", "title", "id"), COMMANDS.values(), ids=COMMANDS)
def test_without_a_terminal_and_without_yes_it_is_one_sentence(
    call: Call, hub: Hub, files: Path, photo: Path, tmp_path: Path, words: str, title: str, id: str
) -> None:
    code, out, err = call(*words.format(photo=photo, dir=tmp_path, base=files / "sd15").split())
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith(title)
    assert "must be downloaded first" in err
    assert f"add --yes, or run `python -m cnet_app models download {id} --yes`." in err
    assert transfers(hub) == []


@pytest.mark.parametrize(("words", "title", "id"), COMMANDS.values(), ids=COMMANDS)
def test_a_no_is_one_answer(
    call: Call,
    hub: Hub,
    files: Path,
    photo: Path,
    tmp_path: Path,
    answer: Callable[[str], None],
    words: str,
    title: str,
    id: str,
) -> None:
    answer("n")
    code, out, err = call(*words.format(photo=photo, dir=tmp_path, base=files / "sd15").split())
    assert (code, out) == (3, "")
    assert f"Nothing was downloaded; {title}" in err
    assert transfers(hub) == []


@pytest.mark.slow
def test_with_yes_everything_is_downloaded_and_the_picture_made(
    call: Call, hub: Hub, photo: Path, tmp_path: Path
) -> None:
    words = ("--control", f"canny={photo}", "--steps", 1, "--size", "64x64", "--output", tmp_path / "made", "--json")
    code, out, err = call("generate", *words, "--yes")
    assert code == 0, err
    assert Image.open(json.loads(out)["paths"][0]).size == (64, 64)
    assert "Stable Diffusion 1.5 (sd15): " in err
    assert "Canny for SD 1.5 (control_v11p_sd15_canny): " in err
    assert find("sd15") and find("control_v11p_sd15_canny")
    hub.asked.clear()
    assert call("generate", *words)[0] == 0  # nothing is asked again
    assert hub.asked == []


def test_offline_a_yes_changes_nothing(call: Call, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_OFFLINE", "1")
    code, out, err = call("generate", "--steps", 1, "--output", tmp_path, "--yes")
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "the app is offline" in err
    assert hub.asked == []


MISFITS = {
    "a ControlNet of another family": (
        "generate --base z_image --control canny={photo},controlnet=controlnet_union_flux --output {dir}",
        "Union Pro 2.0 for FLUX.1 was made for FLUX.1 and cannot steer Z-Image",
    ),
    "a condition that the family lacks": (
        "generate --base z_image --control normal={photo} --output {dir}",
        "Normals has no ControlNet for Z-Image",
    ),
    "a family without IP-Adapters": (
        "generate --base z_image --ip-adapter ip_adapter_sd15 --ip-image {photo} --output {dir}",
        "IP-Adapter ip_adapter_sd15 needs image prompts (IP-Adapters), which Z-Image does not have",
    ),
    "a LoRA of another family": (
        "generate --base z_image --lora refcontrol_depth_flux2 --output {dir}",
        "(refcontrol_depth_flux2) is made for FLUX.2, but the base is Z-Image",
    ),
    "a VAE of another family": (
        "generate --base z_image --vae taesdxl --output {dir}",
        "Tiny autoencoder for SDXL (taesdxl) is made for SDXL, but the base is Z-Image",
    ),
    "an annotator for a ControlNet of another family": (
        "generate --base embedded --control softedge={photo},annotator=hed,controlnet=control_v11p_sd15_softedge --output {dir}",
        "was made for SD 1.5 and cannot steer the embedded model",
    ),
    "an upscale without a ControlNet for tiles": (
        "upscale {photo} --base qwen_image --output {dir}",
        "Tile has no ControlNet for Qwen-Image",
    ),
}


@pytest.mark.parametrize(("words", "sentence"), MISFITS.values(), ids=MISFITS)
def test_what_does_not_fit_the_base_is_refused_before_any_download(
    call: Call, hub: Hub, photo: Path, tmp_path: Path, words: str, sentence: str
) -> None:
    """The base is not here either, and --yes would download all."""
    code, out, err = call(*words.format(photo=photo, dir=tmp_path).split(), "--yes")
    assert (code, out) == (2, "")
    assert sentence in err
    assert hub.asked == []
