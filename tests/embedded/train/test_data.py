"""Rendered data, and maps read back into geometry."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from annotators.maps.encoders import ADE20K_PALETTE, encode_normal
from annotators.people.sticks import draw_pose
from cnet_app.embedded.train.data.batches import draw_batch, frayed, having
from cnet_app.embedded.train.data.dataset import MAPS, Dataset, batches, load_dataset, render
from cnet_app.embedded.train.stages.scene_net import classes_of, decode_normal, joint_heat
from cnet_app.embedded.world import create_sample
from models.errors import DamagedError, InputError


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return render(tmp_path_factory.mktemp("world"), first_seed=5, count=10, size=64, workers=1)


def test_renders_the_world_with_its_maps(rendered: Dataset) -> None:
    assert len(rendered) == 10
    assert np.array_equal(rendered.images[3], create_sample(8, 64).image)
    assert rendered.present[:, MAPS.index("canny")].all()
    scenes = having(rendered, "depth")
    assert 0 < len(scenes) < 10
    assert rendered.control_image("depth", int(scenes[0])).shape == (64, 64, 3)


def test_rendering_again_draws_nothing_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    render(tmp_path, first_seed=5, count=2, size=64, workers=1)
    monkeypatch.setattr("cnet_app.embedded.train.data.dataset._render_chunk", None)
    assert len(render(tmp_path, first_seed=5, count=2, size=64, workers=1)) == 2


def test_half_of_the_captions_are_emptied(rendered: Dataset) -> None:
    latents = np.zeros((10, 16, 8, 8), np.float16)
    rng = np.random.default_rng(0)
    batch = draw_batch(rendered, latents, np.arange(10).repeat(30), rng, empty_captions=0.5)
    assert 0.4 < np.mean([caption == "" for caption in batch.captions]) < 0.6
    assert batch.hints.shape == (300, 3, 64, 64)
    assert 0 <= float(batch.hints.min()) < float(batch.hints.max()) <= 1


def test_frayed_strokes_lose_some_ink_and_gain_none() -> None:
    strokes = np.zeros((256, 256, 3), np.uint8)
    strokes[::16] = 255
    lost = []
    for seed in range(20):
        rest = frayed(strokes, np.random.default_rng(seed))
        assert not (rest & ~strokes).any()
        lost.append(1 - rest.sum() / strokes.sum())
    assert 0 < min(lost) < 0.05
    assert 0.15 < max(lost) < 0.4


def test_an_epoch_sees_every_picture_once() -> None:
    order = batches(12, 4, seed=3)
    epoch = np.concatenate([next(order) for _ in range(3)])
    assert sorted(epoch) == list(range(12))
    assert not np.array_equal(epoch, np.concatenate([next(order) for _ in range(3)]))


def test_a_batch_of_more_pictures_than_there_are_is_refused() -> None:
    with pytest.raises(InputError, match="A batch takes 4 pictures, but there are 3; render more"):
        next(batches(3, 4, seed=0))


def test_a_folder_of_other_pictures_is_refused(tmp_path: Path) -> None:
    render(tmp_path, first_seed=5, count=2, size=32, workers=1)
    with pytest.raises(InputError, match="holds 2 pictures of 32 px, but the plan has 3 of 32 px"):
        render(tmp_path, first_seed=5, count=3, size=32, workers=1)


@pytest.mark.parametrize("content", ["", '[{"caption": "a r'])
def test_half_written_captions_are_rendered_again(content: str, tmp_path: Path) -> None:
    whole = render(tmp_path, first_seed=5, count=2, size=32, workers=1)
    (tmp_path / "0.json").write_text(content)
    with pytest.raises(InputError, match="has no pictures yet"):
        load_dataset(tmp_path)
    assert render(tmp_path, first_seed=5, count=2, size=32, workers=1).captions == whole.captions


def test_half_written_pictures_are_named(tmp_path: Path) -> None:
    render(tmp_path, first_seed=5, count=2, size=32, workers=1)
    content = (tmp_path / "depth.npy").read_bytes()
    (tmp_path / "depth.npy").write_bytes(content[: len(content) // 2])
    with pytest.raises(DamagedError, match="depth.npy is damaged"):
        load_dataset(tmp_path)


def test_the_key_of_a_data_set_follows_its_pictures_maps_and_captions(rendered: Dataset) -> None:
    lighter = np.minimum(np.asarray(rendered.images), 254) + np.uint8(1)
    others = [
        dataclasses.replace(rendered, images=lighter),
        dataclasses.replace(rendered, captions=[*rendered.captions[:-1], "a ball"]),
        dataclasses.replace(rendered, maps=dict(rendered.maps) | {"depth": 255 - rendered.maps["depth"]}),
    ]
    keys = {data.key for data in (rendered, *others)}
    assert len(keys) == 4
    assert dataclasses.replace(rendered).key == rendered.key


def test_segmentation_colours_read_back() -> None:
    classes = np.arange(150, dtype=np.uint8).reshape(10, 15)
    colours = ADE20K_PALETTE[classes]  # a few classes share theirs
    assert np.array_equal(ADE20K_PALETTE[classes_of(colours)], colours)


def test_normals_read_back() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(8, 8, 3))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    read = decode_normal(encode_normal(vectors)[None])[0].permute(1, 2, 0).numpy()
    assert (read * vectors).sum(axis=2).min() > 0.999


def test_joints_read_back_from_a_drawn_skeleton() -> None:
    person = np.zeros((18, 3), np.float32)
    person[:, 0], person[:, 1], person[:, 2] = np.linspace(40, 200, 18), np.linspace(220, 30, 18), 1
    heat = joint_heat(draw_pose([person], 256, 256))
    for joint, (x, y, _) in enumerate(person):
        row, column = np.unravel_index(heat[joint].argmax(), heat[joint].shape)
        assert abs(column * 4 + 2 - x) <= 5 and abs(row * 4 + 2 - y) <= 5
