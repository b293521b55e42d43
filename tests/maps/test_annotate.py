"""Maps for a request: size, cache, warnings, and maps of the user's own."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import data

from annotators.base import Image
from annotators.canny import Canny
from annotators.maps.control_map import ControlMap
from annotators.maps.encoders import encode_normal, encode_segmentation
from annotators.maps.kinds import KINDS
from annotators.maps.recognise import looks_like
from annotators.networks.loading import aux_module
from annotators.networks.scene_net import SEGMENTS
from annotators.people.sticks import draw_pose
from annotators.runtime import Runtime
from cnet_app.maps.annotate import Maps, build_unit, open_store, run_here
from cnet_app.maps.availability import default_annotator
from cnet_app.maps.cache import CACHE_BYTES, MapCache
from cnet_app.maps.own import control_image_from_map
from cnet_app.registry.conditions import CONDITIONS, Condition
from cnet_app.settings import Settings, read_settings
from models.errors import InputError

PHOTO: Image = np.asarray(data.astronaut())[::2, ::2]


def test_the_map_is_made_at_the_size_of_the_picture(maps: Maps) -> None:
    made = maps.annotate("canny", "canny", PHOTO, {"low_threshold": 50}, 192, 128)
    assert made.pixels.shape == (128, 192, 3)
    assert set(np.unique(made.pixels)) == {0, 255}  # lines drawn at this size, not scaled to it
    assert dict(made.parameters) == {"low_threshold": 50, "high_threshold": 200, "automatic": False}
    assert made.warnings == ()


def test_a_unit_tells_how_its_map_was_made(maps: Maps) -> None:
    made = maps.annotate("canny", "canny", PHOTO, {}, 128, 128)
    unit = build_unit("canny", made, conditioning_scale=0.5)
    assert (unit.pixels == made.pixels).all()
    assert (unit.condition, unit.annotator, unit.conditioning_scale) == ("canny", "canny", 0.5)
    assert unit.annotator_parameters["low_threshold"] == 100
    assert unit.source_sha256 == made.source_sha256
    assert len(str(made.source_sha256)) == 64


def test_the_same_picture_is_annotated_once(maps: Maps, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    run = Canny.annotate

    def counted(self: Canny, source_image: Image) -> Image:
        calls.append(1)
        return run(self, source_image)

    monkeypatch.setattr(Canny, "annotate", counted)
    photo = np.roll(PHOTO, 7, axis=0)
    first = maps.annotate("canny", "canny", photo, {}, 128, 128)
    again = maps.annotate("canny", "canny", photo.copy(), {}, 128, 128)
    assert again.pixels is first.pixels
    assert not first.pixels.flags.writeable
    assert len(calls) == 1
    maps.annotate("canny", "canny", photo, {"low_threshold": 30}, 128, 128)
    maps.annotate("canny", "canny", photo, {}, 64, 64)
    maps.annotate("canny", "canny", photo[::-1], {}, 128, 128)
    assert len(calls) == 4


@pytest.mark.slow
def test_weights_that_were_changed_make_another_map(
    maps: Maps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    path = tmp_path / "lineart" / "sk_model.pth"
    path.parent.mkdir()
    made: list[Image] = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        torch.save(aux_module("lineart").Generator(3, 1, 3).state_dict(), path)
        made += [
            maps.annotate("lineart", "lineart", PHOTO, {"detect_resolution": 128}, 64, 64).pixels for _ in range(2)
        ]
    assert made[0] is made[1] and made[2] is made[3]
    assert not np.array_equal(made[1], made[2])
    again = Maps(run_here(Runtime())).annotate("lineart", "lineart", PHOTO, {"detect_resolution": 128}, 64, 64)
    assert np.array_equal(again.pixels, made[3])


def test_the_cache_is_bounded() -> None:
    cache = MapCache(max_bytes=10_000)
    for number in range(20):
        cache.get(number, lambda: ControlMap(pixels=np.zeros((30, 30, 3), np.uint8), kind=KINDS["lines"]))
    assert len(cache._maps) == 3
    assert set(cache._maps) == {17, 18, 19}


@pytest.mark.parametrize("id", ["canny", "softedge_gradient", "scribble_xdog"])
def test_a_flat_photo_warns(maps: Maps, id: str) -> None:
    name = next(row.id for row in CONDITIONS if id in row.annotators)
    made = maps.annotate(name, id, np.full((100, 100, 3), 128, np.uint8), {}, 64, 64)
    assert "No edges were found" in made.warnings[0]


def test_a_map_given_as_a_photo_warns(maps: Maps) -> None:
    edges = maps.annotate("canny", "canny", PHOTO, {}, 256, 256).pixels
    assert "already looks like a map for Canny" in maps.annotate("canny", "canny", edges, {}, 256, 256).warnings[0]


def test_wrong_requests_are_told(maps: Maps) -> None:
    with pytest.raises(InputError, match="hed makes no map for canny; choose one of: canny"):
        maps.annotate("canny", "hed", PHOTO)
    with pytest.raises(InputError, match="no annotator 'cany'"):
        maps.annotate("canny", "cany", PHOTO)
    with pytest.raises(InputError, match="no condition 'cany'"):
        maps.annotate("cany", "canny", PHOTO)
    with pytest.raises(InputError, match="low_threshold is 900"):
        maps.annotate("canny", "canny", PHOTO, {"low_threshold": 900})
    with pytest.raises(InputError, match="has no annotator parameters"):
        maps.annotate("canny", None, PHOTO, {"low_threshold": 90})
    with pytest.raises(InputError, match="too narrow"):
        maps.annotate("canny", "canny", np.zeros((16, 4000, 3), np.uint8))


def _own(condition: str, image: Image, *repairs: str) -> ControlMap:
    return control_image_from_map(condition, image, 128, 128, repairs=repairs)


def test_a_map_of_ones_own_is_taken_as_it_is(maps: Maps) -> None:
    edges = maps.annotate("canny", "canny", PHOTO, {}, 128, 128).pixels
    own = _own("canny", edges)
    assert (own.pixels == edges).all()
    assert (own.annotator, own.source_sha256, own.warnings) == (None, None, ())
    assert build_unit("canny", own).annotator is None
    assert (maps.annotate("canny", None, edges, None, 128, 128).pixels == edges).all()


def test_dark_lines_on_white_are_named_not_changed(maps: Maps) -> None:
    edges = maps.annotate("canny", "canny", PHOTO, {}, 128, 128).pixels
    dark = _own("canny", 255 - edges)
    assert "dark lines on white" in dark.warnings[0]
    assert (dark.pixels == 255 - edges).all()
    assert [repair.id for repair in dark.repairs] == ["invert"]
    inverted = _own("canny", 255 - edges, "invert")
    assert inverted.warnings == ("Its colours were inverted.",)
    assert inverted.repairs == ()
    assert (inverted.pixels == edges).all()


def test_label_maps_keep_their_colours_at_any_size() -> None:
    classes = np.array(SEGMENTS[:-1])[np.add.outer(np.arange(50) // 7, np.arange(90) // 11) % 8]
    colours = encode_segmentation(classes)
    own = _own("segmentation", colours)
    assert own.warnings == ()
    assert set(map(tuple, own.pixels.reshape(-1, 3))) <= set(map(tuple, colours.reshape(-1, 3)))


@pytest.mark.parametrize("row", [row for row in CONDITIONS if row.kind.id != "picture"], ids=lambda row: row.id)
def test_a_photo_given_as_a_map_warns(row: Condition) -> None:
    own = _own(row.id, PHOTO)
    assert "if it is a photo, choose an annotator" in own.warnings[0]
    assert not looks_like(row.kind, PHOTO)


def test_real_maps_are_recognised() -> None:
    y, x = np.mgrid[-1:1:128j, -1:1:128j]
    z = np.sqrt(np.clip(1 - x**2 - y**2, 0, None))
    normals = encode_normal(np.dstack([x, -y, z]) * (z > 0)[..., None])
    person = np.column_stack([np.random.default_rng(0).uniform(20, 100, (18, 2)), np.ones(18)])
    pose = draw_pose([person], 256, 256)
    assert looks_like(KINDS["normal"], normals)
    assert looks_like(KINDS["pose"], pose)
    assert _own("normal", normals).warnings == _own("openpose", pose).warnings == ()


def test_a_blank_map_warns() -> None:
    assert "one colour only" in _own("depth", np.zeros((64, 64, 3), np.uint8)).warnings[0]


def test_the_default_annotator_is_the_best_that_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnet_app.maps.availability.find", lambda id: None)
    offline = {row.id: default_annotator(row.id) for row in CONDITIONS}
    assert offline["canny"] == "canny"
    assert offline["softedge"] == "softedge_gradient"
    assert offline["depth"] == "depth_embedded"
    monkeypatch.setattr("cnet_app.maps.availability.find", lambda id: "somewhere")
    assert default_annotator("depth") == "midas"
    monkeypatch.setattr(
        "cnet_app.maps.availability.find", lambda id: "here" if id in ("openpose_body", "embedded_annotator") else None
    )
    assert default_annotator("openpose") == "openpose_embedded"  # not what is free for research only
    monkeypatch.setattr("cnet_app.maps.availability.find", lambda id: None if id == "dwpose" else "here")
    assert default_annotator("openpose") == "mediapipe_pose"


@pytest.mark.parametrize("row", [row for row in CONDITIONS if row.kind.id == "picture"], ids=lambda row: row.id)
def test_a_picture_is_its_own_map(maps: Maps, row: Condition) -> None:
    made = maps.annotate(row.id, row.annotators[0], PHOTO, {}, PHOTO.shape[1], PHOTO.shape[0])
    assert made.pixels.shape == PHOTO.shape
    assert made.warnings == _own(row.id, PHOTO).warnings == ()
    assert "steers nothing" in maps.annotate(row.id, row.annotators[0], np.full_like(PHOTO, 128)).warnings[0]


def test_a_map_is_made_once_even_over_restarts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    runs: list[int] = []
    run = Canny.annotate
    monkeypatch.setattr(Canny, "annotate", lambda self, image: (runs.append(1), run(self, image))[1])
    first, again = (
        Maps(run_here(Runtime()), open_store(Settings(cache_dir=str(tmp_path)))).annotate(
            "canny", "canny", PHOTO, {}, 96, 96
        )
        for _ in range(2)  # the second as after a restart
    )
    assert (again.pixels == first.pixels).all()
    assert again == replace(first, pixels=again.pixels)
    assert len(runs) == len(list((tmp_path / "maps").iterdir())) == 1


def test_how_many_maps_are_kept_is_a_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("CNET_MAP_CACHE_MB", "0")
    assert open_store(read_settings([])) is None
    monkeypatch.setenv("CNET_MAP_CACHE_MB", "much")
    with pytest.raises(SystemExit):
        read_settings([])
    assert "CNET_MAP_CACHE_MB is wrong: 'much' is not a whole number from 0 to 1000000" in capsys.readouterr().err
    monkeypatch.setenv("CNET_MAP_CACHE_MB", "1")
    maps = Maps(run_here(Runtime()), open_store(read_settings([])))
    maps.annotate("canny", "canny", PHOTO, {"low_threshold": 77}, 96, 96)
    assert len(list((tmp_path / "cache" / "maps").iterdir())) == 1


def test_who_asks_at_the_same_time_waits_for_the_one_map() -> None:
    cache = MapCache(CACHE_BYTES)
    runs: list[int] = []

    def make() -> ControlMap:
        runs.append(1)
        time.sleep(0.05)
        return ControlMap(pixels=np.zeros((8, 8, 3), np.uint8), kind=KINDS["lines"])

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: cache.get("key", make), range(4)))
    assert len(runs) == 1
    assert all(map is made[0] for map in made)


def test_dark_lines_on_paper_are_noticed_like_a_map(maps: Maps) -> None:
    paper = np.full((64, 64, 3), 255, np.uint8)
    paper[20:23, 8:56] = 0
    for image, words in ((paper, "a drawing on paper"), (255 - paper, "a map")):
        made = maps.annotate("canny", "canny", image, None, 64, 64)
        assert any(words in text for text in made.warnings)
        assert [repair.id for repair in made.repairs] == ["as_it_is"]
    assert not maps.annotate("lineart", "invert", paper, None, 64, 64).warnings
