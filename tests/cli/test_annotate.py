"""`annotate`: maps as files, people as data, and what is downloaded for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from annotators.people.poses import Pose
from cnet_app.embedded.world import create_sample
from cnet_app.registry.conditions import CONDITIONS
from tests.cli.conftest import Call, pixels


def test_annotate_writes_a_map_and_one_json_object(call: Call, photo: Path, tmp_path: Path) -> None:
    output = tmp_path / "map.png"
    code, out, _ = call("annotate", "canny", photo, "--output", output, "--set", "low_threshold=80", "--json")
    result = json.loads(out)
    assert code == 0
    assert (result["annotator"], result["parameters"]["low_threshold"]) == ("canny", 80)
    assert Image.open(output).size == (128, 96)


@pytest.mark.slow
def test_annotate_all_writes_every_map_it_can(call: Call, photo: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "maps"
    code, out, _ = call("annotate", "all", photo, "--output", folder, "--size", "64x64", "--json")
    made = json.loads(out)
    assert (code, made["left_out"]) == (0, {})
    assert {name.partition("-")[0] for name in made["maps"]} == {row.id for row in CONDITIONS}
    assert all(Image.open(path).size == (64, 64) for path in made["maps"].values())
    code, out, _ = call("annotate", "all", photo, "--output", folder, "--size", "64x64", "--every", "--json")
    assert "needs MiDaS" in json.loads(out)["left_out"]["depth-midas"]
    assert call("annotate", "all", photo, "--output", folder, "--annotator", "canny")[0] == 2


def test_annotate_warns_of_a_map_that_steers_nothing(call: Call, tmp_path: Path) -> None:
    flat = tmp_path / "flat.png"
    Image.new("RGB", (64, 64), (90, 90, 90)).save(flat)
    code, out, _ = call("annotate", "canny", flat, "--output", tmp_path / "map.png", "--json")
    assert code == 0
    assert "No edges were found" in json.loads(out)["warnings"][0]


def _text_as_png(path: Path) -> None:
    path.write_text("not a picture")


def _nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("make", [_text_as_png, _nothing])
def test_bad_files_end_in_one_sentence_and_code_2(call: Call, tmp_path: Path, make: Callable[[Path], None]) -> None:
    path = tmp_path / "bad.png"
    make(path)
    code, out, err = call("annotate", "canny", path, "--output", tmp_path / "map.png", "--json")
    assert (code, out) == (2, "")
    assert "bad.png" in err
    assert len(err.splitlines()) == 1


def test_missing_weights_end_in_code_3_and_name_the_file(call: Call, photo: Path, tmp_path: Path) -> None:
    code, out, err = call("annotate", "softedge", photo, "--annotator", "hed", "--output", tmp_path / "map.png")
    assert (code, out) == (3, "")
    assert "ControlNetHED.pth" in err
    assert len(err.splitlines()) == 1


def test_a_place_that_cannot_be_written_ends_in_code_1(call: Call, photo: Path, tmp_path: Path) -> None:
    code, _, err = call("annotate", "canny", photo, "--output", tmp_path / "nowhere" / "map.png")
    assert code == 1
    assert "cannot be written" in err


def test_people_come_as_data_and_go_as_data(call: Call, people: Path, tmp_path: Path) -> None:
    output, again = tmp_path / "map.png", tmp_path / "again.json"
    code, out, _ = call("annotate", "openpose", people, "--output", output, "--data", again, "--json")
    assert (code, json.loads(out)["annotator"]) == (0, None)
    assert Image.open(output).size == (128, 96)
    assert again.read_text() == json.dumps(Pose.from_json(json.loads(people.read_text())).to_json())
    usual = pixels(output).any(axis=2)
    call("annotate", "openpose", again, "--output", output, "--set", "sticks=thick", "--size", "1024x768")
    assert Image.open(output).size == (1024, 768)
    assert pixels(output).any(axis=2).mean() > usual.mean()
    code, out, _ = call("annotate", "openpose", people, "--output", output, "--set", "body=false", "--set", "faces=no")
    assert code == 2
    call("annotate", "openpose", people, "--output", output, "--set", "body=false")
    assert set(map(tuple, pixels(output).reshape(-1, 3))) == {(0, 0, 0), (255, 255, 255)}


def test_what_an_annotator_finds_is_written(call: Call, tmp_path: Path) -> None:
    photo, data = tmp_path / "scene.png", tmp_path / "people.json"
    Image.fromarray(create_sample(7, 128).image).save(photo)
    words = ("annotate", "openpose", photo, "--annotator", "openpose_embedded", "--output")
    code, _, err = call(*words, tmp_path / "map.png", "--data", data)
    assert code == 0, err
    call("annotate", "openpose", data, "--output", tmp_path / "again.png")
    assert np.array_equal(pixels(str(tmp_path / "again.png")), pixels(str(tmp_path / "map.png")))


def test_maps_of_ones_own_lie_on_their_nothing_and_depth_is_told(call: Call, tmp_path: Path) -> None:
    sheet = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    sheet.paste((255, 255, 255, 255), (20, 0, 24, 64))
    sheet.save(tmp_path / "lines.png")
    code, out, _ = call("annotate", "canny", tmp_path / "lines.png", "--annotator", "none", "--output", tmp_path / "a.png", "--json")  # fmt: skip
    assert (code, json.loads(out)["warnings"]) == (0, [])
    assert (pixels(tmp_path / "a.png")[:, :20] == 0).all() and (pixels(tmp_path / "a.png")[:, 20:24] == 255).all()
    call("annotate", "tile", tmp_path / "lines.png", "--annotator", "tile", "--output", tmp_path / "b.png")
    assert pixels(tmp_path / "b.png")[32, 4].min() > 200  # a photo lies on paper
    millimetres = np.linspace(4_000, 700, 64).astype(np.uint16)[:, None].repeat(64, axis=1)
    Image.fromarray(millimetres).save(tmp_path / "depth.png")
    code, out, _ = call("annotate", "depth", tmp_path / "depth.png", "--annotator", "none", "--output", tmp_path / "c.png", "--json")  # fmt: skip
    assert code == 0 and "holds distances from 700 to 4,000" in json.loads(out)["warnings"][0]
    made = pixels(tmp_path / "c.png")
    assert made[-1].min() > 250 and made[0].max() < 5


def test_people_without_a_size_take_that_of_the_command(call: Call, tmp_path: Path) -> None:
    body = [100.0, 50.0, 1.0] * 9 + [150.0, 120.0, 0.9] * 9
    (tmp_path / "keypoints.json").write_text(json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": body}]}))
    where = ("--output", tmp_path / "pose.png", "--json")
    code, out, _ = call("annotate", "openpose", tmp_path / "keypoints.json", "--size", "256x192", *where)
    assert (code, json.loads(out)["warnings"]) == (0, [])
    assert pixels(tmp_path / "pose.png")[46:54, 96:104].any()
    code, out, _ = call("annotate", "openpose", tmp_path / "keypoints.json", *where)
    assert code == 0 and "does not name its picture's size" in json.loads(out)["warnings"][0]
    assert (json.loads(out)["width"], json.loads(out)["height"]) == Image.open(tmp_path / "pose.png").size
