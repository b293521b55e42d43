"""Batches: each picture of a folder takes the place of the recipe's photo, with its own prompt, size and name."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from annotators.canny import Canny
from annotators.sources.images import load_image, resize
from cnet_app.jobs.sweeps.batches import BatchPlan, BatchWork, create_batch, default_places, list_pictures
from cnet_app.jobs.sweeps.manifest import Manifest, read_manifest
from cnet_app.jobs.sweeps.sweeps import failures, run_sweep
from cnet_app.maps.annotate import Maps
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.sizes import fit_budget
from cnet_app.request.sweeps.tables import read_table
from cnet_app.request.units import ControlUnit
from models.errors import InputError

BLACK = encode_png(np.zeros((128, 128, 3), np.uint8))
CANNY = ControlUnit(
    condition="canny",
    control_image=BLACK,
    annotator="canny",
    annotator_parameters={"low_threshold": 40},
    conditioning_scale=0.7,
)
RECIPE = GenerationRequest(prompt="a ball", units=(CANNY,), width=128, height=128, seed=5)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten photos with a shape of their own, a caption, and files that are no photos."""
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    for number in (1, 2, 10):
        pixels = np.full((60, 90 if number == 2 else 60, 3), 30, np.uint8)
        pixels[10:40, 5 * number : 5 * number + 15] = (220, 180, 60)
        Image.fromarray(pixels).save(folder / f"photo{number}.png")
    Image.new("RGB", (64, 64), "red").save(folder / "inner" / "deep.png")
    (folder / "photo2.txt").write_text("a hat", encoding="utf-8")
    (folder / "bad.jpg").write_bytes(b"no picture")
    (folder / ".hidden.png").write_bytes(b"")
    (folder / "notes.doc").write_bytes(b"")
    return folder


def batch(
    folder: Path, maps: Maps, plan: BatchPlan, files: Sequence[Path] = (), **more: Any
) -> tuple[Manifest, BatchWork]:
    manifest = create_batch(folder.parent / "pictures", "Mine", plan, files or list_pictures(folder)[0], **more)
    return manifest, BatchWork(manifest, maps, Wildcards(folder))


def requests(folder: Path, maps: Maps, plan: BatchPlan, **more: Any) -> dict[str, GenerationRequest]:
    manifest, work = batch(folder, maps, plan, [folder / f"photo{n}.png" for n in (1, 2, 10)], **more)
    return {part.what["name"]: work.request(manifest, index) for index, part in enumerate(manifest.parts)}


def test_pictures_come_in_natural_order_without_folders_and_hidden_files(folder: Path) -> None:
    pictures, others = list_pictures(folder)
    assert [path.name for path in pictures] == ["bad.jpg", "photo1.png", "photo2.png", "photo10.png"]
    assert others == ["notes.doc", "photo2.txt"]
    with pytest.raises(InputError, match="cannot be read"):
        list_pictures(folder / "none")


def test_each_map_is_made_of_its_picture_at_its_aspect(folder: Path, maps: Maps) -> None:
    made = requests(folder, maps, BatchPlan(recipe=RECIPE))
    assert list(made) == ["photo1.png", "photo2.png", "photo10.png"]
    for name, request in made.items():
        photo = load_image(folder / name)
        size = fit_budget(photo.shape[1], photo.shape[0], 128, 8)
        (unit,) = request.units
        assert (request.width, request.height) == size
        assert np.array_equal(unit.pixels, Canny(low_threshold=40)(resize(photo, *size)))
        assert (unit.conditioning_scale, unit.annotator_parameters["low_threshold"]) == (0.7, 40)
        assert (request.seed, request.prompt) == (5, "a hat" if name == "photo2.png" else "a ball")
    assert len({request.units[0].source_sha256 for request in made.values()}) == 3
    assert made["photo2.png"].width > made["photo2.png"].height


def test_a_fixed_size_is_the_recipes(folder: Path, maps: Maps) -> None:
    made = requests(folder, maps, BatchPlan(recipe=RECIPE, size="fixed"))
    assert {(one.width, one.height, one.units[0].pixels.shape) for one in made.values()} == {(128, 128, (128, 128, 3))}


def test_what_the_pictures_replace_is_chosen(folder: Path, maps: Maps) -> None:
    own = ControlUnit(condition="depth", control_image=BLACK)
    both = replace(RECIPE, units=(CANNY, own), initial_image=BLACK, strength=0.5)
    assert default_places(both) == ("unit1",)
    assert default_places(replace(RECIPE, units=(own,))) == ("unit1",)
    assert default_places(replace(RECIPE, units=(), initial_image=BLACK)) == ("start",)
    assert {one.units[1].control_image for one in requests(folder, maps, BatchPlan(recipe=both)).values()} == {BLACK}
    made = requests(folder, maps, BatchPlan(recipe=both, into=("unit2", "start")))
    for name, request in made.items():
        photo = resize(load_image(folder / name), request.width, request.height)
        assert np.array_equal(request.units[1].pixels, photo)
        assert request.initial_image is not None
        assert np.array_equal(load_image(request.initial_image), photo)
        assert request.units[0] == CANNY
    with pytest.raises(
        InputError, match="into is 'unit3' .*, but the pictures of a batch replace one of: unit1, unit2, start"
    ):
        requests(folder, maps, BatchPlan(recipe=both, into=("unit3",)))
    with pytest.raises(InputError, match="has no control image and no picture to start from"):
        requests(folder, maps, BatchPlan(recipe=replace(RECIPE, units=())))


def test_a_table_gives_files_prompts_and_fields(folder: Path, maps: Maps) -> None:
    table = folder / "table.csv"
    table.write_text(
        "file,prompt,negative_prompt,seed,unit1.conditioning_scale\n"
        "photo10.png,a cube,fog,9,1.5\nphoto2,,,,\nphoto10.png,a cone,,,\n"
    )
    rows = read_table(table, RECIPE)
    manifest, work = batch(folder, maps, BatchPlan(recipe=RECIPE), rows=rows)
    made = [work.request(manifest, index) for index in range(3)]
    assert [part.what["name"] for part in manifest.parts] == ["photo10.png", "photo2.png", "photo10-2.png"]
    assert [one.prompt for one in made] == ["a cube", "a ball", "a cone"]
    assert (made[0].negative_prompt, made[0].seed, made[0].units[0].conditioning_scale) == ("fog", 9, 1.5)
    assert (made[1].seed, made[1].units[0].conditioning_scale) == (5, 0.7)
    assert manifest.notes == ("2 pictures of the folder are not in the table and were left out.",)
    table.write_text("file\nphoto1.png\nphoto3.png\n")
    with pytest.raises(InputError, match=re.escape("Line 3 of the table names 'photo3.png' (did you mean")):
        batch(folder, maps, BatchPlan(recipe=RECIPE), rows=read_table(table, RECIPE))


def test_wildcards_differ_by_picture_and_a_recipes_prompt_has_none(folder: Path, maps: Maps) -> None:
    text = "a {red|green|blue|white|black} ball"
    recipe = replace(RECIPE, prompt=text)
    (folder / "photo2.txt").write_text("{a|b|c}")
    made = list(requests(folder, maps, BatchPlan(recipe=recipe, wildcards=True)).values())
    wildcards = Wildcards(folder)
    assert [one.prompt for one in made] == [
        wildcards.resolve(text, 5), wildcards.resolve("{a|b|c}", 6), wildcards.resolve(text, 7),
    ]  # fmt: skip
    assert [one.prompt_template for one in made] == [text, "{a|b|c}", text]
    assert {one.seed for one in made} == {5}
    plain = list(requests(folder, maps, BatchPlan(recipe=recipe)).values())
    assert [one.prompt for one in plain] == [text, wildcards.resolve("{a|b|c}", 6), text]
    with pytest.raises(InputError, match="no wildcard __none__"):
        requests(folder, maps, BatchPlan(recipe=replace(RECIPE, prompt="__none__"), wildcards=True))


def test_several_pictures_of_a_file_have_seeds_and_names_of_their_own(folder: Path, maps: Maps) -> None:
    made = requests(folder, maps, BatchPlan(recipe=replace(RECIPE, num_images=2)))
    assert list(made)[:3] == ["photo1-1.png", "photo1-2.png", "photo2-1.png"]
    assert [one.seed for one in made.values()] == [5, 6] * 3
    assert {one.num_images for one in made.values()} == {1}


def paint(folder: Path, seen: list[GenerationRequest]) -> Any:
    def make(request: GenerationRequest) -> Path:
        seen.append(request)
        path = folder / f"library{len(seen)}.png"
        Image.fromarray(request.units[0].pixels).save(path)
        return path

    return make


def test_results_are_named_like_their_files_and_bad_files_stop_nothing(folder: Path, maps: Maps) -> None:
    seen: list[GenerationRequest] = []
    manifest, work = batch(folder, maps, BatchPlan(recipe=RECIPE))
    done = run_sweep(manifest, work, paint(folder.parent, seen))
    names = ["bad.png", "photo1.png", "photo2.png", "photo10.png"]
    assert [done.picture(index) for index in range(4)] == [None, *(manifest.folder / name for name in names[1:])]
    (bad,) = failures(done)
    assert bad["name"] == "bad.jpg" and bad["error"].startswith("bad.jpg ")
    assert (folder.parent / "library1.png").is_file()
    Image.new("RGB", (64, 64)).save(folder / "bad.jpg")
    (manifest.folder / "photo2.png").unlink()
    again = run_sweep(read_manifest(manifest.path), work, paint(folder.parent, seen))
    assert (again.missing(), failures(again), len(seen)) == ([], [], 5)


def test_moved_results_are_in_the_batches_folder_alone(folder: Path, maps: Maps) -> None:
    manifest, _ = batch(folder, maps, BatchPlan(recipe=RECIPE))
    run_sweep(manifest, BatchWork(manifest, maps, move=True), paint(folder.parent, []))
    assert not list(folder.parent.glob("library*.png"))
    assert len(list(manifest.folder.glob("*.png"))) == 3


@pytest.mark.parametrize("name", ["../out.png", "a/b.png", "out.txt", 3, None])
def test_a_manifest_leads_out_of_no_folder(folder: Path, maps: Maps, name: object) -> None:
    manifest, _ = batch(folder, maps, BatchPlan(recipe=RECIPE))
    values = json.loads(manifest.path.read_bytes())
    values["parts"][0]["what"]["name"] = name
    manifest.path.write_text(json.dumps(values))
    with pytest.raises(InputError, match="is damaged"):
        BatchWork(read_manifest(manifest.path), maps)


def test_a_batch_of_nothing_is_refused(folder: Path, maps: Maps) -> None:
    with pytest.raises(InputError, match="The batch has 0 pictures to make"):
        create_batch(folder, "", BatchPlan(recipe=RECIPE), [])
