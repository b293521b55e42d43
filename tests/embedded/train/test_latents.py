"""The file of latents: used for its own encoder and pictures alone, and only where it is whole."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import AutoencoderTiny
from safetensors import safe_open
from safetensors.numpy import save_file

from cnet_app.embedded.train.data import latents as module
from cnet_app.embedded.train.data.dataset import Dataset
from cnet_app.embedded.train.data.latents import dataset_latents, encoder_key
from cnet_app.embedded.train.stages.autoencoder import create_autoencoder, encode, to_tensor
from tests.embedded.train.tiny import random_dataset


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return random_dataset()


@pytest.fixture(scope="module")
def vae() -> AutoencoderTiny:
    torch.manual_seed(0)
    return create_autoencoder().eval()


@pytest.fixture
def path(vae: AutoencoderTiny, dataset: Dataset, tmp_path: Path) -> Path:
    dataset_latents(vae, dataset, tmp_path / "latents.safetensors")
    return tmp_path / "latents.safetensors"


def close(latents: np.ndarray, vae: AutoencoderTiny, dataset: Dataset) -> bool:
    with torch.no_grad():
        expected = encode(vae, to_tensor(np.asarray(dataset.images))).numpy()
    return bool(np.abs(latents - expected).max() < 0.3)


def test_the_file_is_read_and_not_encoded_again(
    vae: AutoencoderTiny, dataset: Dataset, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_encode", None)
    assert close(dataset_latents(vae, dataset, path), vae, dataset)


def test_another_encoder_gets_latents_of_its_own(vae: AutoencoderTiny, dataset: Dataset, path: Path) -> None:
    torch.manual_seed(5)
    other = create_autoencoder().eval()
    with torch.no_grad():
        list(other.encoder.parameters())[-1].add_(1)
    assert close(dataset_latents(other, dataset, path), other, dataset)
    assert not close(dataset_latents(vae, dataset, path), other, dataset)


def test_another_decoder_takes_the_same_latents(vae: AutoencoderTiny) -> None:
    torch.manual_seed(5)
    other = create_autoencoder()
    other.encoder.load_state_dict(vae.encoder.state_dict())
    assert encoder_key(other) == encoder_key(vae)


def test_other_pictures_get_latents_of_their_own(vae: AutoencoderTiny, dataset: Dataset, path: Path) -> None:
    mirrored = dataclasses.replace(dataset, images=255 - dataset.images)
    assert mirrored.key != dataset.key
    assert close(dataset_latents(vae, mirrored, path), vae, mirrored)


@pytest.mark.parametrize("damage", ["cut", "empty", "changed", "old"])
def test_a_damaged_file_is_replaced(
    damage: str, vae: AutoencoderTiny, dataset: Dataset, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = path.read_bytes()
    if damage == "old":
        save_file({"latents": np.zeros((8, 16, 8, 8), np.float16)}, path)
    elif damage == "changed":
        path.write_bytes(content[:-100] + bytes(100))
    else:
        path.write_bytes(content[: len(content) // 2 if damage == "cut" else 0])
    assert close(dataset_latents(vae, dataset, path), vae, dataset)
    assert "is not used" in capsys.readouterr().out
    with safe_open(path, "numpy") as file:
        assert set(file.metadata()) == {"encoder", "data", "sha256"}
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_interrupted_write_leaves_no_file(
    vae: AutoencoderTiny, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(tensors: object, path: Path, metadata: object) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "save_file", interrupt)
    with pytest.raises(KeyboardInterrupt):
        dataset_latents(vae, dataset, tmp_path / "latents.safetensors")
    assert not (tmp_path / "latents.safetensors").exists()
