"""What a visitor of a public app may name: what the app offers, by name."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cnet_app.request.checks.known import check_known, offered_models
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.prompts.tags import available_names
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError

PICTURE = encode_png(np.zeros((64, 64, 3), np.uint8))
STRANGE = (
    "../../etc/passwd", "/etc/passwd", r"\\server\share\model.safetensors", "C:\\model.safetensors", "someone/model",
    "https://example.org/model.safetensors", "http://127.0.0.1/model", "models/loras/own.safetensors", "./own.safetensors",
    "OWN.safetensors", "own.safetensors/", "file:///own.safetensors",
)  # fmt: skip


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of models with one LoRA, and one that a link leads to."""
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    (tmp_path / "models" / "loras").mkdir(parents=True)
    (tmp_path / "models" / "loras" / "own.safetensors").write_bytes(b"")
    (tmp_path / "elsewhere.safetensors").write_bytes(b"")
    (tmp_path / "models" / "loras" / "linked.safetensors").symlink_to(tmp_path / "elsewhere.safetensors")
    return tmp_path / "models"


def naming(field: str, name: str) -> GenerationRequest:
    request = GenerationRequest(prompt="a test", base="embedded")
    if field == "controlnet":
        return dataclasses.replace(
            request, units=(ControlUnit(condition="canny", control_image=PICTURE, controlnet=name),)
        )
    value = {"lora": ("loras", (Lora(name=name),)), "ip_adapter": ("ip_adapter", IpAdapter(name=name, image=PICTURE))}
    changed, given = value.get(field, (field, name))
    return dataclasses.replace(request, **{changed: given})


@pytest.mark.parametrize("field", ["base", "vae", "lora", "ip_adapter", "controlnet"])
@pytest.mark.parametrize("name", STRANGE)
def test_no_path_repository_or_address_is_taken_as_a_model(models: Path, field: str, name: str) -> None:
    with pytest.raises(InputError, match="does not offer"):
        check_known(naming(field, name))


def test_models_of_the_app_are_taken_by_name(models: Path) -> None:
    check_known(naming("lora", "own.safetensors"))
    check_known(naming("base", "sd15"))
    check_known(naming("base", "who/started"), "who/started")


def test_links_out_of_the_folder_of_models_are_not_followed(models: Path) -> None:
    (models / "loras" / "inner.safetensors").symlink_to(models / "loras" / "own.safetensors")
    assert "linked.safetensors" not in offered_models() and "inner.safetensors" in offered_models()
    with pytest.raises(InputError, match=r"names 'linked\.safetensors', which this app does not offer"):
        check_known(naming("lora", "linked.safetensors"))


def test_a_prompt_follows_no_links_either(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "linked" in available_names()
    monkeypatch.setenv("CNET_PUBLIC", "1")
    assert "linked" not in available_names() and "own" in available_names()


def test_an_upscale_names_only_what_is_offered(models: Path) -> None:
    with pytest.raises(InputError, match="does not offer"):
        check_known(UpscaleRequest(picture=PICTURE, base="someone/model"))


@pytest.mark.parametrize("name", ["../secret", "../../secret", "/etc/hostname", "link"])
def test_wildcards_are_files_of_their_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "wildcards"
    folder.mkdir()
    (tmp_path / "secret.txt").write_text("a secret")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    try:
        resolved = Wildcards(folder, follows_links=False).resolve(f"see __{name}__", 1)
    except InputError as error:
        resolved = str(error)
    assert "a secret" not in resolved
