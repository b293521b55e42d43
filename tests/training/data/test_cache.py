"""Encoded pairs: once, whole or not at all, the same as encoded now, and independent of the data folder afterwards."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from cnet_app.request.training import TrainingPlan
from cnet_app.training.data import cache, file_sums
from cnet_app.training.data.cache import StoredExamples, encode_examples, shard_path
from cnet_app.training.data.framing import Framing, frame_image
from cnet_app.training.data.pairs import Pair, read_image
from cnet_app.training.data.readers import read_data
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.base import Trainable
from models.errors import DamagedError, InputError, SaveError, TrainingError
from models.files import sha256_of
from models.tiny import tiny_base
from tests.training.data.folders import picture_bytes, write

PLAN = TrainingPlan(name="run", condition="softedge", data="unused", size=64, caption="a ball")
COUNT = 5


@pytest.fixture(scope="module")
def trainable() -> Trainable:
    return create_trainable(tiny_base("sd15"), PLAN)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    files: dict[str, str | bytes] = {}
    for number in range(COUNT):
        files |= {
            f"images/{number}.png": picture_bytes(number, 64),
            f"maps/{number}.png": picture_bytes(9 + number, 64),
        }
    return write(tmp_path / "data", files | {"images/0.txt": "a red ball", "images/1.txt": "a box"})


@pytest.fixture(autouse=True)
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "SHARD", 2)


def pairs_of(data: Path) -> tuple[Pair, ...]:
    return read_data(data).pairs


class Counting:
    """A trainable that counts the pictures it encodes."""

    def __init__(self, trainable: Trainable) -> None:
        self.trainable, self.count = trainable, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainable, name)

    def encode_moments(self, images: torch.Tensor) -> torch.Tensor:
        self.count += len(images)
        return self.trainable.encode_moments(images)


def encode(trainable: Any, data: Path, folder: Path, plan: TrainingPlan = PLAN, **more: Any) -> StoredExamples:
    return encode_examples(pairs_of(data), plan, trainable, folder, **more)


def all_of(examples: StoredExamples) -> Sequence[torch.Tensor]:
    count = len(examples.buckets)
    read = examples.read(range(count), [0] * count, [False] * count)
    return [read.moments, read.hints, *read.prompts.values()]


def test_what_is_read_is_what_encoding_gives(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    examples = encode(trainable, data, tmp_path / "cache", done=lambda *at: seen.append(at))
    assert examples.buckets == ((64, 64),) * COUNT and examples.variants == 1
    assert seen[-1] == (COUNT, COUNT) and [done for done, _ in seen] == sorted(done for done, _ in seen)
    read = examples.read([1, 4], [0, 0], [False, True])
    for row, index in enumerate((1, 4)):
        image = frame_image(read_image(pairs_of(data)[index]), Framing(64, 64))
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
        assert torch.equal(read.moments[row], trainable.encode_moments(pixels)[0])
    assert read.hints.shape == (2, 3, 64, 64) and 0 <= float(read.hints.min()) < float(read.hints.max()) <= 1
    words = trainable.encode_prompts(["a box", ""])
    assert read.prompts.keys() == words.keys()
    for name, tensor in words.items():
        torch.testing.assert_close(read.prompts[name], tensor, atol=1e-6, rtol=1e-5)
    third = examples.read([2], [0], [False])
    torch.testing.assert_close(third.prompts["states"], trainable.encode_prompts(["a ball"])["states"], atol=1e-6, rtol=1e-5)  # fmt: skip


def test_nothing_is_encoded_twice_and_the_data_folder_may_vanish(
    trainable: Trainable, data: Path, tmp_path: Path
) -> None:
    counting = Counting(trainable)
    first = encode(counting, data, tmp_path / "cache")
    again = encode(counting, data, tmp_path / "cache")
    assert counting.count == COUNT and again == first
    shutil.rmtree(data)
    assert all(torch.equal(one, two) for one, two in zip(all_of(first), all_of(again), strict=True))


def test_each_part_of_the_key(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    def key(plan: TrainingPlan = PLAN, network: Trainable = trainable) -> str:
        return encode(network, data, tmp_path / "cache", plan).key

    keys = [key(), key(replace(PLAN, size=128)), key(replace(PLAN, caption="x")), key(replace(PLAN, flip=True))]
    keys += [key(replace(PLAN, crop=True)), key(replace(PLAN, crop=True, seed=1)), key(replace(PLAN, condition="lineart"))]  # fmt: skip
    assert key(replace(PLAN, steps=9, learning_rate=1e-3, seed=3)) == keys[0]
    keys.append(key(network=create_trainable(tiny_base("sd15", seed=1), PLAN)))
    base = tiny_base("sd15")
    with torch.no_grad():
        next(base.text_encoders[0].parameters()).add_(0.1)
    keys.append(key(network=create_trainable(base, PLAN)))
    write(data, {"maps/0.png": picture_bytes(99, 64)})
    keys.append(key())
    assert len(set(keys)) == len(keys)


def test_a_kill_while_writing_costs_the_shard_alone(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "cache"

    def kill(done: int, total: int) -> None:
        if done >= 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode(trainable, data, folder, done=kill)
    (place,) = (path for path in folder.iterdir() if path.is_dir())
    assert not (place / cache.INDEX).exists()
    left = place / ".pairs-00001.safetensors.part"
    left.write_bytes(b"half a shard")
    os.utime(left, (0, 0))
    shard_path(place, "pairs", 1).write_bytes(b"not noted, so not trusted")
    counting = Counting(trainable)
    resumed = encode(counting, data, folder)
    assert counting.count == COUNT - 2 and not left.exists()
    assert all(torch.equal(one, two) for one, two in zip(all_of(resumed), all_of(encode(trainable, data, tmp_path / "whole")), strict=True))  # fmt: skip


@pytest.mark.parametrize(("damage", "again"), [("torn", COUNT), ("changed", 2), ("gone", 2)])
def test_a_damaged_cache_is_encoded_again(
    trainable: Trainable, data: Path, tmp_path: Path, damage: str, again: int
) -> None:
    place = encode(trainable, data, tmp_path / "cache").folder
    shard, sums = shard_path(place, "pairs", 1), place / cache.SUMS
    if damage == "torn":
        sums.write_text(sums.read_text()[:-9])
    elif damage == "changed":
        changed = bytearray(shard.read_bytes())
        changed[-1] ^= 1
        shard.write_bytes(changed)
    else:
        shard.unlink()
    counting = Counting(trainable)
    examples = encode(counting, data, tmp_path / "cache")
    assert counting.count == again
    assert all_of(examples)[0].isfinite().all()
    assert set(json.loads((place / cache.INDEX).read_text())["sha256"]) == {path.name for path in place.glob("*.safetensors")}  # fmt: skip


def test_a_shard_that_goes_while_training_is_one_sentence(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    examples = encode(trainable, data, tmp_path / "cache")
    shard_path(examples.folder, "pairs", 0).unlink()
    with pytest.raises(DamagedError, match=r"has lost a part .*; delete the folder, and resume the training."):
        examples.read([0], [0], [False])


def test_a_full_disk_is_one_sentence_and_leaves_what_is_whole(
    trainable: Trainable, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save, written = cache.save_file, list[Path]()

    def no_room(tensors: Any, path: Path) -> None:
        if len(written) == 3:
            path.write_bytes(b"half")
            raise OSError(28, "No space left on device")
        written.append(path)
        save(tensors, path)

    monkeypatch.setattr(cache, "save_file", no_room)
    with pytest.raises(SaveError, match=r"could not be written .*\(No space left on device\); make room, and resume"):
        encode(trainable, data, tmp_path / "cache")
    assert not list(tmp_path.rglob("*.part"))
    monkeypatch.setattr(cache, "save_file", save)
    counting = Counting(trainable)
    encode(counting, data, tmp_path / "cache")
    assert counting.count == COUNT - 2


def test_shards_stay_open_and_are_bounded(
    trainable: Trainable, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    real = cache.safe_open

    def counted(path: Path, framework: str) -> Any:
        opened.append(path)
        return real(path, framework)

    examples = encode(trainable, data, tmp_path / "cache")
    monkeypatch.setattr(cache, "safe_open", counted)
    first, again = all_of(examples), all_of(examples)
    assert len(opened) == len(set(opened)) == 3 + 2  # three shards of pairs, two of prompts
    monkeypatch.setattr(cache, "MOST_OPEN", 2)
    tight = replace(examples, shards=cache.OpenShards())
    assert all(torch.equal(*three[:2]) and torch.equal(*three[1:]) for three in zip(first, again, all_of(tight), strict=True))  # fmt: skip
    assert len(vars(tight.shards)["_files"]) == 2


def test_variants_are_crops_and_mirrors_of_picture_and_map_alike(
    trainable: Trainable, data: Path, tmp_path: Path
) -> None:
    examples = encode(trainable, data, tmp_path / "cache", replace(PLAN, flip=True, crop=True))
    assert examples.variants == 2 * cache.CROPS
    plain, mirrored = (examples.read([0], [variant], [False]) for variant in (0, 1))
    assert torch.equal(mirrored.hints, plain.hints.flip(-1)) and not torch.equal(mirrored.moments, plain.moments)


def test_a_copy_of_the_data_has_the_same_key(
    trainable: Trainable, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting, read = Counting(trainable), list[Path]()
    monkeypatch.setattr(file_sums, "sha256_of", lambda path: (read.append(path), sha256_of(path))[1])
    first = encode(counting, data, tmp_path / "cache")
    assert len(read) == 2 * COUNT
    assert encode(counting, data, tmp_path / "cache") == first and len(read) == 2 * COUNT
    for path in data.rglob("*.png"):
        os.utime(path, ns=(1, 1))
    assert encode(counting, data, tmp_path / "cache") == first
    shutil.copytree(data, tmp_path / "copy")
    assert encode(counting, tmp_path / "copy", tmp_path / "cache") == first and counting.count == COUNT
    content = bytearray((data / "maps" / "0.png").read_bytes())
    content[-1] ^= 1
    (data / "maps" / "0.png").write_bytes(content)
    (tmp_path / "cache" / "files.json").write_text("[]")
    assert encode(counting, data, tmp_path / "cache").key != first.key


def test_a_pose_without_its_people_is_not_mirrored(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    plan, notes = replace(PLAN, condition="openpose", flip=True), list[str]()
    assert encode(trainable, data, tmp_path / "cache", plan, note=notes.append).variants == 1
    assert len(notes) == 1 and notes[0].startswith("flip has no effect") and "5 of 5 maps have no JSON" in notes[0]
    people = {"people": [{"pose_keypoints_2d": [9.0, 9.0, 1.0] * 18}], "canvas_width": 64, "canvas_height": 64}
    for number in range(COUNT):
        write(data, {f"maps/{number}.json": json.dumps(people)})
    assert encode(trainable, data, tmp_path / "cache", plan).variants == 2


def test_prompts_that_are_cut_are_noted(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    notes: list[str] = []
    encode(trainable, data, tmp_path / "cache", note=notes.append)
    assert not notes
    write(data, {"images/3.txt": "a red ball on a table " * 30})
    encode(trainable, data, tmp_path / "cache", note=notes.append)
    (text,) = notes
    assert text.startswith("1 of 5 prompts are longer than the 16 tokens") and "'a red ball on a table" in text


def test_bad_pairs_are_named(trainable: Trainable, data: Path, tmp_path: Path) -> None:
    pairs = pairs_of(data)
    (data / "maps" / "3.png").unlink()
    with pytest.raises(InputError, match=r"maps/3.png cannot be read \(No such file"):
        encode_examples(pairs, PLAN, trainable, tmp_path / "cache")
    write(data, {"maps/3.png": "no picture"})
    with pytest.raises(InputError, match=r"3\.png"):
        encode_examples(pairs, PLAN, trainable, tmp_path / "cache")


def test_an_autoencoder_that_overflows_is_told_before_training(data: Path, tmp_path: Path) -> None:
    trainable: Any = Counting(create_trainable(tiny_base("sd15"), PLAN))
    trainable.encode_moments = lambda images: torch.full((1, 8, 8, 8), float(np.inf))
    with pytest.raises(
        TrainingError, match=r"no valid numbers for 0.png in torch.float32; choose float32 as precision"
    ):
        encode(trainable, data, tmp_path / "cache")
