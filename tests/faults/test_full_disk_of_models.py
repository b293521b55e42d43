"""A full disk under a training and under a download: the last whole file stays, and both go on with room."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants

from cnet_app.embedded.train.checkpoints import load_checkpoint, save_checkpoint
from cnet_app.embedded.train.common import logger
from cnet_app.embedded.train.data.dataset import render
from cnet_app.training.monitoring.progress import Progress
from cnet_app.training.storage import checkpoints
from cnet_app.training.storage.export import export
from cnet_app.training.trainable import create_trainable
from models.catalogue.catalog import Weights
from models.catalogue.weights import fetch_row, find_row
from models.downloads.disk import disk_error, disk_explained
from models.errors import DownloadError, SaveError
from models.loader import save_network
from models.tiny import tiny_base
from tests.faults.conftest import Disk, sentence
from tests.models.catalogue.test_weights import CONFIG
from tests.models.downloads.hub import Hub
from tests.training.test_loop import PLAN


def state(numbers: int) -> dict[str, object]:
    return {"step": numbers, "model": torch.zeros(numbers)}


def test_a_checkpoint_without_room_leaves_the_one_before_it(disk: Disk) -> None:
    path = disk.folder / "work" / "toy.pt"
    save_checkpoint(path, state(10_000))
    disk.fill(leave=50_000)
    with pytest.raises(SaveError) as caught:
        save_checkpoint(path, state(400_000))
    assert "could not be written (No space left on device); make room" in sentence(caught.value)
    kept = load_checkpoint(path)
    assert kept is not None and kept["step"] == 10_000
    assert disk.files() == {"work/toy.pt"}
    disk.make_room()
    save_checkpoint(path, state(400_000))
    assert (load_checkpoint(path) or {})["step"] == 400_000


@pytest.mark.parametrize("network", [10, 1_000_000], ids=["optimiser", "network"])
def test_a_trained_networks_checkpoint_without_room_names_the_full_disk(disk: Disk, network: int) -> None:
    folder = disk.folder / "checkpoints"
    disk.fill(leave=100_000)
    tensors, large = {"a": torch.zeros(network)}, {"optimizer": torch.zeros(1_000_000)}
    with pytest.raises(SaveError) as caught:
        checkpoints.save(folder, checkpoints.Checkpoint(1, tensors, None, large), {})
    assert "(No space left on device); make room" in sentence(caught.value)
    assert not disk.files()


def test_a_controlnet_without_room_leaves_the_one_before_it(disk: Disk) -> None:
    trainable, folder = create_trainable(tiny_base("embedded"), PLAN), disk.folder / "mine"
    export(trainable, PLAN, Progress(), "data", folder, "id")
    before = disk.files()
    disk.fill(leave=8192)
    with pytest.raises(SaveError) as caught:
        export(trainable, PLAN, Progress(), "data", folder, "id")
    assert "(No space left on device); make room" in sentence(caught.value)
    assert disk.files() == before


def test_a_checkpoint_whose_folder_cannot_be_made_is_named(disk: Disk) -> None:
    disk.close()
    with pytest.raises(SaveError) as caught:
        save_checkpoint(disk.folder / "work" / "toy.pt", state(10))
    assert "choose another --work folder" in sentence(caught.value)


def test_pictures_to_learn_from_take_their_room_before_they_are_drawn(disk: Disk) -> None:
    with pytest.raises(SaveError) as caught:
        render(disk.folder / "pictures", 0, 64, 256, workers=1)
    assert "make room" in sentence(caught.value)
    assert not [name for name in disk.files() if name.endswith(".tmp")]


def test_networks_that_are_written_without_room_are_a_sentence(disk: Disk) -> None:
    from diffusers import AutoencoderTiny

    network = AutoencoderTiny(encoder_block_out_channels=(16,), decoder_block_out_channels=(16,),
                              num_encoder_blocks=(1,), num_decoder_blocks=(1,))  # fmt: skip
    disk.fill(leave=8192)
    with pytest.raises(SaveError) as caught, disk_explained():
        save_network(network, disk.folder / "vae")
    assert "full" in sentence(caught.value)


def test_the_log_of_a_training_without_room_is_a_sentence(disk: Disk) -> None:
    log = logger(disk.folder / "log.jsonl")
    disk.fill()
    with pytest.raises(SaveError) as caught, disk_explained():
        log(step=1, text="x" * 10_000)
    sentence(caught.value)


def test_torchs_words_for_a_full_disk_are_explained(disk: Disk) -> None:
    disk.fill(leave=100_000)
    with pytest.raises(SaveError, match="The disk is full"), disk_explained():
        torch.save(state(400_000), disk.folder / "toy.pt")


def test_only_errors_of_the_disk_are_explained_as_such() -> None:
    assert disk_error(ValueError("a fault of the program")) is None
    assert disk_error(FileNotFoundError(2, "No such file or directory")) is None
    with pytest.raises(ConnectionResetError), disk_explained():
        raise ConnectionResetError(104, "Connection reset by peer")


@pytest.mark.parametrize("moment", ["before", "during"])
def test_a_download_without_room_is_a_sentence_and_goes_on_with_room(
    disk: Disk, row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from safetensors.numpy import save

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk.folder / "cache"))
    whole = save({"weight": np.zeros(250_000, np.float32)})
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": whole}
    if moment == "before":
        disk.fill(leave=500_000)
    with pytest.raises(DownloadError) as caught:
        fetch_row(row, lambda progress: disk.fill() if "safetensors" in progress.name else None)
    assert "make room" in sentence(caught.value) and "HF_HOME" in str(caught.value)
    assert find_row(row) is None
    disk.make_room()
    assert (Path(fetch_row(row)) / "net.fp16.safetensors").read_bytes() == whole


def test_a_download_into_a_folder_that_cannot_be_written_to_is_a_sentence(
    disk: Disk, row: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(disk.folder / "cache"))
    hub.files = {f"{row.repo}/config.json": CONFIG, f"{row.repo}/net.fp16.safetensors": b"x" * 1000}
    disk.close()
    with pytest.raises(DownloadError) as caught:
        fetch_row(row)
    assert "cannot be written to" in sentence(caught.value) and "HF_HOME" in str(caught.value)
