"""Trainings on a GPU that is not there: fake tensors refuse to mix devices, so every part must have been moved."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from annotators.networks.scene_net import SceneMaps, SceneNet
from cnet_app.embedded.train.data.batches import draw_batch
from cnet_app.embedded.train.data.dataset import Dataset
from cnet_app.embedded.train.networks import attend_for_training, create_scheduler
from cnet_app.embedded.train.stages.autoencoder import autoencoder_loss, create_autoencoder, random_crops
from cnet_app.embedded.train.stages.diffusion import create_networks, diffusion_losses
from cnet_app.embedded.train.stages.scene_net import map_losses, scene_batch
from cnet_app.embedded.train.text import create_tokenizer
from tests.embedded.train.tiny import CAPTIONS, random_dataset, random_latents

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:CUDA is not available")]
CUDA = torch.device("cuda", 0)


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return random_dataset()


def move(network: nn.Module) -> None:
    """Put fake parameters on the GPU in place of real ones; `to` cannot swap them."""
    for module in network.modules():
        for name, value in module._parameters.items():
            module._parameters[name] = None if value is None else nn.Parameter(value.detach().to(CUDA))
        for name, value in module._buffers.items():
            module._buffers[name] = None if value is None else value.to(CUDA)


def test_the_diffusion_training_runs_on_the_networks_device(dataset: Dataset) -> None:
    tokenizer = create_tokenizer(CAPTIONS)
    networks = create_networks(tokenizer).train()
    rng = np.random.default_rng(0)
    batch = draw_batch(dataset, random_latents(), np.arange(2), rng, empty_captions=0)
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(networks)
        attend_for_training(networks, CUDA)
        assert networks.device == CUDA
        loss, grounding = diffusion_losses(networks, batch, tokenizer, create_scheduler(), 0.5)
    assert loss.device == grounding.device == CUDA


def test_the_autoencoder_trains_on_its_pictures_device(dataset: Dataset) -> None:
    vae = create_autoencoder()
    images = random_crops(dataset, np.random.default_rng(0), 2, 32)
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(vae)
        loss, _, _ = autoencoder_loss(vae, images.to(CUDA))
    assert loss.device == CUDA


def test_the_annotator_network_trains_on_its_device(dataset: Dataset) -> None:
    network = SceneNet()
    images, targets = scene_batch(dataset, np.arange(2), np.random.default_rng(0))
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(network)
        maps = SceneMaps(*network(images.to(CUDA)))
        losses = map_losses(maps, {name: target.to(CUDA) for name, target in targets.items()})
    assert {loss.device for loss in losses.values()} == {CUDA}


def test_fake_tensors_do_refuse_what_was_not_moved() -> None:
    layer = nn.Linear(3, 3)
    with FakeTensorMode(allow_non_fake_inputs=True):
        move(layer)
        with pytest.raises(RuntimeError, match="devices"):
            layer(torch.zeros(1, 3))
