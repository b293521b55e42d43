"""The doctor finds every seeded fault, says where and what to do, and accuses no clean pair."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from annotators.base import Image
from annotators.maps.encoders import encode_segmentation
from annotators.sources.images import load_image
from benchmarks.data.drawn_pairs import draw_pair, write_image, write_pairs
from benchmarks.data.seeded_faults import ALL, FAULTS, VALIDATION, seed_faults
from cnet_app.registry.conditions import condition
from cnet_app.training.data.contact_sheet import CELL, contact_sheet
from cnet_app.training.data.doctor import TITLES, check_data, read_features
from cnet_app.training.data.pairs import DataSet, Problem
from cnet_app.training.data.readers import read_data
from tests.training.data.folders import write

SIDE, COUNT = 128, 45


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """A clean data set of each condition that has faults."""
    folders = {id: tmp_path_factory.mktemp("clean") / id for id in ALL}
    for id, folder in folders.items():
        write_pairs(folder, id, COUNT, SIDE)
    return folders


def check(folder: Path, id: str, **options: object) -> tuple[DataSet, tuple[Problem, ...]]:
    data = read_data(folder)
    given = {"size": SIDE, "workers": 1} | options
    return data, check_data(data, id, **given)  # pyright: ignore[reportArgumentType]


def kinds(problems: tuple[Problem, ...]) -> Mapping[str, int]:
    return Counter(problem.kind for problem in problems)


@pytest.mark.parametrize("id", ALL)
def test_every_seeded_fault_is_found_and_nobody_else_accused(
    clean: Mapping[str, Path], tmp_path: Path, id: str
) -> None:
    folder = tmp_path / id
    shutil.copytree(clean[id], folder)
    expected = seed_faults(folder, id)
    validation = read_data(tmp_path / f"{id}-{VALIDATION}")
    data, problems = check(folder, id, validation=validation)
    assert {(problem.kind, problem.pair) for problem in problems} == expected
    for problem in problems:
        assert problem.kind in TITLES and problem.pair in problem.where
        assert problem.message.startswith(problem.where) and ("; " in problem.message or ", or " in problem.message)
        assert 0 < problem.severity <= 1
        assert problem.kind != "shifted" or (
            " % to the right and " in problem.message and " % up from" in problem.message
        )
    sheet = contact_sheet(data, problems, condition(id).kind)
    assert sheet is not None and sheet.shape[1] > 8 * CELL and sheet.std() > 10


def test_faults_of_a_table_name_line_and_file(tmp_path: Path) -> None:
    lines = [{"image": f"{name}.png", "conditioning_image": f"{name}_map.png", "text": "x"} for name in "abc"]
    (tmp_path / "metadata.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        image, control = draw_pair("canny", seed, SIDE)
        write_image(tmp_path / f"{name}.png", image)
        write_image(tmp_path / f"{name}_map.png", np.zeros_like(control) if name == "b" else control)
    messages = [problem.message for problem in check(tmp_path, "canny")[1]]
    assert messages == [
        "metadata.jsonl, line 2 (b.png) has a map of one colour, which teaches nothing; build it again, or remove the pair.",
        "metadata.jsonl, line 3 (c.png) has the same picture as metadata.jsonl, line 1 (a.png); remove one of the two.",
    ]


def test_every_kind_of_problem_is_seeded() -> None:
    of_the_whole = {"condition"}
    assert {*FAULTS} | of_the_whole == {*TITLES}


@pytest.mark.parametrize("id", ALL)
def test_a_clean_data_set_has_no_problem(clean: Mapping[str, Path], id: str) -> None:
    data, problems = check(clean[id], id)
    assert problems == () and len(data.pairs) == COUNT
    assert contact_sheet(data, problems, condition(id).kind) is None


def test_several_processes_find_the_same(clean: Mapping[str, Path]) -> None:
    data = read_data(clean["depth"])
    pairs = data.pairs * 3
    seen: list[tuple[int, int]] = []
    one, two = (read_features(pairs, "depth", workers, lambda *at: seen.append(at)) for workers in (1, 2))
    assert all(np.array_equal(a.image.edges, b.image.edges) for a, b in zip(one, two, strict=True) if a.image and b.image)  # fmt: skip
    assert seen[-1] == (len(pairs), len(pairs)) and seen[: len(seen) // 2] == seen[len(seen) // 2 :]


def test_every_map_of_another_picture(clean: Mapping[str, Path], tmp_path: Path) -> None:
    """Two runs of names that are one apart, as after a picture was removed."""
    folder = tmp_path / "data"
    shutil.copytree(clean["normal"], folder)
    maps = sorted((folder / "conditioning_images").iterdir())[:8]
    moved = [path.read_bytes() for path in maps]
    for path, data in zip(maps, moved[1:] + moved[:1], strict=True):
        path.write_bytes(data)
    _, problems = check(folder, "normal")
    assert kinds(problems) == {"swapped": 8}
    assert "fits the picture of images/00001.png; exchange the maps." in problems[0].message


def test_all_depth_maps_are_inverted(clean: Mapping[str, Path], tmp_path: Path) -> None:
    shutil.copytree(clean["depth"] / "images", tmp_path / "images")
    (tmp_path / "conditioning_images").mkdir()
    for path in (clean["depth"] / "conditioning_images").iterdir():
        write_image(tmp_path / "conditioning_images" / path.name, 255 - load_image(path))
    _, problems = check(tmp_path, "depth")
    assert [problem.message for problem in problems] == [
        "Most depth maps are brighter at the top, where pictures are far; if near is black in them, invert all."
    ]


def pair_of(folder: Path, image: Image, control: Image | bytes) -> Path:
    write(folder, {"images/a.txt": "x", "conditioning_images/a.png": control if isinstance(control, bytes) else b""})
    if not isinstance(control, bytes):
        write_image(folder / "conditioning_images" / "a.png", control)
    write_image(folder / "images" / "a.png", image)
    return folder


def as_png(pixels: np.ndarray[tuple[int, ...], np.dtype[np.generic]]) -> bytes:
    import io

    from PIL import Image as Pillow

    file = io.BytesIO()
    Pillow.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def test_files_of_other_tools_are_judged_as_training_reads_them(tmp_path: Path) -> None:
    """Class numbers, depth in millimetres, and ink on a transparent sheet are no faults."""
    image, _ = draw_pair("segmentation", 1, SIDE)
    numbers = np.zeros((SIDE, SIDE), np.uint8)
    numbers[40:90, 30:100] = 12
    assert not check(pair_of(tmp_path / "labels", image, as_png(numbers)), "segmentation")[1]
    distances = np.repeat(np.linspace(9000, 800, SIDE).astype(np.uint16)[:, None], SIDE, axis=1)
    assert not check(pair_of(tmp_path / "depth", image, as_png(distances)), "depth")[1]
    sheet = np.zeros((SIDE, SIDE, 4), np.uint8)
    sheet[60:64, 20:100, 3] = 255
    assert "blank" not in kinds(check(pair_of(tmp_path / "ink", image, as_png(sheet)), "scribble")[1])
    assert not check(pair_of(tmp_path / "right", image, encode_segmentation(numbers)), "segmentation")[1]


def test_pictures_alike_but_not_the_same(tmp_path: Path) -> None:
    """Plain pictures, noise, and the same scene with one thing elsewhere are different pictures; equal files are not."""
    rng = np.random.default_rng(0)
    plain = [np.full((SIDE, SIDE, 3), 200 + step, np.uint8) for step in (0, 1)]
    noise = [rng.normal(128, 40, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8) for _ in range(2)]
    moved = [np.full((SIDE, SIDE, 3), 90, np.uint8) for _ in range(2)]
    moved[0][20:40, 20:40] = moved[1][20:40, 30:50] = (200, 30, 30)
    for number, image in enumerate((*plain, *noise, *moved, plain[0])):
        write_image(tmp_path / f"{number}.png", image)
        (tmp_path / f"{number}.txt").write_text("x")
    _, problems = check(tmp_path, "canny")
    assert [(problem.kind, problem.pair) for problem in problems] == [("missing", ""), ("duplicate", "6")]
    assert problems[1].message == "6.png has the same picture as 0.png; remove one of the two."


def test_pictures_alone_are_told_how_to_become_pairs(tmp_path: Path) -> None:
    write(tmp_path / "my pictures", {f"{number}.png": number for number in range(3)})
    _, (first, *_) = check(tmp_path / "my pictures", "canny", caption="x", size=16)
    assert first.kind == "missing" and "holds 3 pictures alone, without maps" in first.message
    assert f"data build --images '{tmp_path / 'my pictures'}' --condition canny" in first.message


@pytest.mark.parametrize("wanted", ["depth", "lineart"])
def test_data_of_another_condition_are_judged_as_their_own(
    clean: Mapping[str, Path], tmp_path: Path, wanted: str
) -> None:
    shutil.copytree(clean["canny"], tmp_path / "data")
    (tmp_path / "data" / "data.json").write_text('{"condition": "canny"}')
    for path in sorted((tmp_path / "data" / "conditioning_images").glob("*.png"))[:2]:
        write_image(path, 255 - load_image(path))
    _, problems = check(tmp_path / "data", wanted)
    assert "was built for canny, not for " + wanted in problems[0].message
    assert [problem.kind for problem in problems] == ["condition", "inverted", "inverted"]
    assert kinds(check(tmp_path / "data", "canny")[1]) == {"inverted": 2}


def test_empty_captions_of_most_pairs_are_one_problem(clean: Mapping[str, Path], tmp_path: Path) -> None:
    shutil.copytree(clean["canny"], tmp_path / "data")
    for path in (tmp_path / "data" / "images").glob("*.txt"):
        path.unlink()
    _, problems = check(tmp_path / "data", "canny")
    assert [problem.message.partition(";")[0] for problem in problems] == [f"{COUNT} of {COUNT} pairs have no prompt"]
    assert not check(tmp_path / "data", "canny", caption="a picture")[1]


def test_sizes_far_below_the_trained_one(clean: Mapping[str, Path]) -> None:
    _, problems = check(clean["canny"], "canny", size=512)
    assert kinds(problems) == {"size": COUNT}
    assert "128x128, far below the 512 px that are trained at; use larger ones, or lower size" in problems[0].message


@pytest.mark.parametrize(("suffix", "damage"), [(".png", "cut"), (".png", "changed"), (".png", "empty"), (".jpg", "cut"), (".jpg", "empty")])  # fmt: skip
def test_unreadable_files_are_named(tmp_path: Path, suffix: str, damage: str) -> None:
    image, control = draw_pair("canny", 1, SIDE)
    pair_of(tmp_path, image, control)
    path = tmp_path / "conditioning_images" / f"a{suffix}"
    (tmp_path / "conditioning_images" / "a.png").unlink()
    write_image(path, control)
    data = path.read_bytes()
    path.write_bytes({"cut": data[:-300], "changed": data[:200] + b"\0" * 9 + data[209:], "empty": b""}[damage])
    _, problems = check(tmp_path, "canny")
    assert [problem.kind for problem in problems] == ["unreadable"]
    assert problems[0].where == "images/a.png" and path.name in problems[0].message


@pytest.mark.slow
def test_nobody_is_accused_among_a_thousand_clean_pairs(tmp_path: Path) -> None:
    for id in (*ALL, "lineart", "mlsd", "tile", "recolor", "color"):
        write_pairs(tmp_path / id, id, 100, 128, first=1000)
        assert check(tmp_path / id, id)[1] == ()
