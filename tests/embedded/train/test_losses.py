"""Losses, the average of the weights and the learning rate, against values from their definitions."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import nn
from torch.nn import functional as F

from annotators.networks.scene_net import SceneMaps
from cnet_app.embedded.train.common import AveragedWeights, learning_rate, logger
from cnet_app.embedded.train.data.dataset import Dataset
from cnet_app.embedded.train.stages.autoencoder import psnr, random_crops, reconstruction_loss, to_tensor
from cnet_app.embedded.train.stages.scene_net import map_losses, scene_batch, surface_mask
from tests.embedded.train.tiny import SIDE, random_dataset


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    return random_dataset()


def images(seed: int) -> torch.Tensor:
    return torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(seed)) * 2 - 1


def test_bytes_become_values_from_minus_one_to_one() -> None:
    pixels = np.array([[[[0, 51, 255]]]], np.uint8)
    tensor = to_tensor(pixels)
    assert tensor.shape == (1, 3, 1, 1)
    torch.testing.assert_close(tensor.flatten(), torch.tensor([-1, -0.6, 1]))


def test_the_signal_to_noise_ratio_is_that_of_scikit_image() -> None:
    one, other = images(0), images(1) * 1.5
    expected = peak_signal_noise_ratio(one.numpy(), other.clamp(-1, 1).numpy(), data_range=2)
    assert psnr(other, one) == pytest.approx(expected, abs=1e-4)


def test_the_reconstruction_loss_is_nought_for_the_picture_itself_and_grows_with_the_error() -> None:
    target = images(0)
    losses = [reconstruction_loss(target + step * images(1), target).item() for step in (0, 0.01, 0.1, 0.5)]
    assert losses[0] == 0
    assert losses == sorted(losses)
    assert losses[1] > 0


def test_an_error_of_brightness_alone_costs_its_size_and_square() -> None:
    """An even error moves no edge and no colour."""
    target = images(0)
    assert reconstruction_loss(target + 0.3, target).item() == pytest.approx(0.3 + 2 * 0.09, abs=1e-5)


def test_an_error_of_colour_costs_more_than_one_of_brightness() -> None:
    target = images(0)
    tint = torch.tensor((0.3, 0, -0.3)).view(1, 3, 1, 1)
    grey = torch.full((1, 3, 1, 1), 0.3) * torch.tensor((2 / 3) ** 0.5)
    same_square = (tint.square().mean(), grey.square().mean())
    torch.testing.assert_close(*same_square)
    assert reconstruction_loss(target + tint, target) > reconstruction_loss(target + grey, target)


def test_a_lost_faint_edge_costs_more_than_the_same_step_missing_of_a_strong_one() -> None:
    def step(height: float) -> torch.Tensor:
        image = torch.zeros(1, 3, 4, 4)
        image[..., 2:] = height
        return image

    faint = reconstruction_loss(step(0.0), step(0.1))
    strong = reconstruction_loss(step(1.0), step(1.1))
    assert faint > strong


def scene_targets() -> tuple[SceneMaps, dict[str, torch.Tensor]]:
    """Return maps that are all right, and their targets."""
    chance = torch.Generator().manual_seed(0)
    depth, softedge = torch.rand(2, 1, 8, 8, generator=chance), torch.rand(2, 1, 8, 8, generator=chance).round()
    normal = F.normalize(torch.randn(2, 3, 8, 8, generator=chance), dim=1)
    classes = torch.randint(4, (2, 8, 8), generator=chance)
    pose = torch.rand(2, 18, 2, 2, generator=chance).round()
    maps = SceneMaps(
        depth=depth,
        normal=normal,
        segmentation=F.one_hot(classes, 4).permute(0, 3, 1, 2) * 40.0,
        pose=pose * 80 - 40,
        softedge=softedge * 80 - 40,
    )
    targets = {
        "depth": depth, "normal": normal, "surface": torch.ones(2, 1, 8, 8), "segmentation": classes, "pose": pose,
        "softedge": softedge,
    }  # fmt: skip
    return maps, targets


def test_right_maps_cost_nothing() -> None:
    losses = map_losses(*scene_targets())
    assert set(losses) == {"depth", "normal", "segmentation", "pose", "softedge"}
    assert all(abs(loss.item()) < 1e-5 for loss in losses.values())


def test_normals_cost_one_minus_their_cosine_where_there_is_a_surface() -> None:
    maps, targets = scene_targets()
    opposite = maps._replace(normal=-maps.normal)
    assert map_losses(opposite, targets)["normal"].item() == pytest.approx(2, abs=1e-5)
    half = targets["surface"].clone()
    half[..., :4] = 0
    mixed = maps._replace(normal=torch.where(half > 0, maps.normal, -maps.normal))
    assert map_losses(mixed, targets | {"surface": half})["normal"].item() == pytest.approx(0, abs=1e-5)
    assert map_losses(mixed, targets | {"surface": torch.zeros_like(half)})["normal"].item() == 0


def test_a_joint_that_is_missed_costs_more_than_one_that_is_made_up() -> None:
    maps, targets = scene_targets()
    there, nowhere = torch.ones_like(maps.pose), torch.zeros_like(maps.pose)
    missed = map_losses(maps._replace(pose=there * -3), targets | {"pose": there})["pose"]
    made_up = map_losses(maps._replace(pose=there * 3), targets | {"pose": nowhere})["pose"]
    assert missed.item() == pytest.approx(21 * made_up.item(), rel=1e-4)


def test_pictures_of_a_batch_are_brighter_or_darker_and_their_maps_stay(dataset: Dataset) -> None:
    indices = np.array([2, 5])
    pictures, targets = scene_batch(dataset, indices, np.random.default_rng(0))
    assert pictures.shape == (2, 3, SIDE, SIDE)
    assert 0 <= pictures.min() <= pictures.max() <= 1
    again, same = scene_batch(dataset, indices, np.random.default_rng(1))
    assert not torch.equal(again, pictures)
    assert all(torch.equal(same[name], target) for name, target in targets.items())
    np.testing.assert_array_equal(targets["depth"][1, 0] * 255, dataset.maps["depth"][5, ..., 0])
    torch.testing.assert_close(targets["normal"].norm(dim=1), torch.ones(2, SIDE, SIDE))


def test_the_sky_alone_has_no_surface() -> None:
    sky, floor = (6, 230, 230), (80, 50, 50)  # in the colours of ADE20K
    mask = surface_mask(np.array([[sky, floor]], np.uint8))
    assert mask.tolist() == [[0, 1]]


def test_crops_are_parts_of_the_pictures_or_their_mirror_images(dataset: Dataset) -> None:
    columns = np.broadcast_to(np.arange(SIDE, dtype=np.uint8)[:, None], (8, SIDE, SIDE, 3))
    crops = random_crops(dataclasses.replace(dataset, images=columns), np.random.default_rng(0), 60, 24)
    steps = ((crops + 1) * 127.5).round().diff(dim=3)[:, 0, 0]
    assert crops.shape == (60, 3, 24, 24)
    assert ((steps == 1).all(dim=1) | (steps == -1).all(dim=1)).all()
    mirrored = int((steps == -1).all(dim=1).sum())
    assert 18 <= mirrored <= 42
    assert len(np.unique(crops[:, 0, 0].min(dim=1).values)) > 15


def test_the_average_follows_at_once_in_the_beginning_and_slowly_later() -> None:
    module = nn.Linear(2, 2)
    average = AveragedWeights(module, decay=0.9)
    assert average.module is not module
    assert not any(value.requires_grad for value in average.module.parameters())
    before = module.weight.detach().clone()
    with torch.no_grad():
        module.weight.add_(1)
    average.update(module, step=0)
    torch.testing.assert_close(average.module.weight, before + 0.9)
    average.update(module, step=10_000)
    torch.testing.assert_close(average.module.weight, before + 0.9 + 0.1 * 0.1)


@pytest.mark.parametrize("steps", [400, 4000])
def test_the_rate_rises_for_a_hundred_steps_stays_and_falls_to_a_twentieth(steps: int) -> None:
    rates = [learning_rate(step, steps, 2.0) for step in range(steps)]
    rise = min(100, steps // 5)
    assert rates[0] == pytest.approx(2 / rise)
    assert rates[rise - 1 : steps // 2 + 1] == pytest.approx([2.0] * (steps // 2 + 2 - rise))
    assert rates[3 * steps // 4] == pytest.approx(1.0)
    assert rates[-1] == pytest.approx(2 * 0.05)
    assert all(later <= earlier for earlier, later in zip(rates[rise:], rates[rise + 1 :], strict=False))


def test_the_log_has_a_line_of_json_for_each_call_and_goes_on_in_the_same_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "new" / "log.jsonl"
    logger(path)(step=50, loss=0.123456789)
    logger(path)(step=100, note="done")
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"step": 50, "loss": 0.12346}, {"step": 100, "note": "done"},
    ]  # fmt: skip
    assert capsys.readouterr().out == path.read_text()
