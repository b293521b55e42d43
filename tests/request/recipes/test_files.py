"""Recipes hold the sha256 of local model files, and the sampler that was used."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import MADE_CHUNK, Recipe, read_recipe, save_picture
from cnet_app.request.recipes.files import file_hashes
from cnet_app.request.units import IpAdapter, Lora
from tests.request.strategies import MAP, unit

PICTURE = np.zeros((64, 64, 3), np.uint8)


@pytest.fixture
def models_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folders of dropped files, each with one file that holds the folder's name."""
    for folder in ("checkpoints", "controlnets", "loras", "vae"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.safetensors").write_bytes(folder.encode())
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    return tmp_path


def local_request(models_dir: Path) -> GenerationRequest:
    return GenerationRequest(
        base="mine.safetensors",
        vae="mine.safetensors",
        units=(unit(controlnet="mine.safetensors"), unit()),
        loras=(Lora(name="mine"), Lora(name="lcm_lora_sd15")),
        ip_adapter=IpAdapter(name=str(models_dir / "vae" / "mine.safetensors"), image=MAP),
    )


def test_every_local_file_has_its_hash_and_nothing_else_has_one(models_dir: Path) -> None:
    hashes = file_hashes(local_request(models_dir))
    path = models_dir / "vae" / "mine.safetensors"
    assert hashes == {
        key: hashlib.sha256(content.encode()).hexdigest()
        for key, content in {
            "Base model mine.safetensors": "checkpoints",
            "Autoencoder mine.safetensors": "vae",
            "ControlNet mine.safetensors": "controlnets",
            "LoRA mine": "loras",
            f"IP-Adapter {path}": "vae",
        }.items()
    }
    assert file_hashes(GenerationRequest(base="x" * 1000, vae="owner/name")) == {}


def test_a_file_replaced_under_its_name_has_a_warning(models_dir: Path, tmp_path: Path) -> None:
    path = save_picture(tmp_path / "pictures", PICTURE, local_request(models_dir), 0)
    assert read_recipe(path).changed_files == ()
    (models_dir / "loras" / "mine.safetensors").write_bytes(b"another LoRA")
    (models_dir / "vae" / "mine.safetensors").unlink()  # the loader has its own sentence for that
    (warning,) = read_recipe(path).changed_files
    assert warning.startswith("LoRA mine is not the file that this picture was made with")


def test_only_files_that_the_recipe_has_a_hash_of_are_read(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.catalogue.local.sha256_of", lambda path: pytest.fail(f"{path} was read"))
    assert Recipe(local_request(models_dir), {}, {}).changed_files == ()


@pytest.mark.parametrize("made", ["", "{", "[]", '{"files": 3, "device": "cpu"}', "[" * 100_000])
def test_damaged_facts_do_not_keep_a_recipe_from_being_read(tmp_path: Path, made: str) -> None:
    from PIL import PngImagePlugin

    info = PngImagePlugin.PngInfo()
    info.add_text("controlnet_studio", '{"prompt": "a cat"}')
    info.add_text(MADE_CHUNK, made)
    Image.fromarray(PICTURE).save(tmp_path / "a.png", pnginfo=info)
    recipe = read_recipe(tmp_path / "a.png")
    assert (recipe.request.prompt, recipe.files) == ("a cat", {})
    assert recipe.made == ({"device": "cpu"} if "device" in made else {})


def test_the_recipe_names_the_sampler_that_was_used(tmp_path: Path) -> None:
    used = {"scheduler": "pndm"}
    path = save_picture(tmp_path, PICTURE, GenerationRequest(), 0, used)
    assert read_recipe(path).request == GenerationRequest(scheduler="pndm")
    with Image.open(path) as picture:
        assert "Sampler: PLMS" in picture.info["parameters"]
    chosen = save_picture(tmp_path, PICTURE, GenerationRequest(scheduler="lcm"), 0, {"scheduler": "lcm"})
    assert read_recipe(chosen).request.scheduler == "lcm"


def test_a_sampler_without_a_row_is_named_by_class_and_options(tmp_path: Path) -> None:
    used = {"scheduler_class": "DEISMultistepScheduler", "scheduler_options": json.dumps({"solver_order": 2})}
    recipe = read_recipe(save_picture(tmp_path, PICTURE, GenerationRequest(), 0, used))
    assert recipe.request == GenerationRequest()
    assert recipe.made == used
