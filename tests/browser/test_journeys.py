"""User journeys in a real browser."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, expect

from annotators.canny import Canny
from annotators.images import load_image
from annotators.maps import encode_depth
from annotators.poses import Pose
from annotators.recognise import REPAIRS
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.recipe import read_request
from tests.browser.conftest import open_page, visit, visitor
from tests.browser.driver import LONG, REAL, StudioPage
from tests.source import ROOT

pytestmark = pytest.mark.browser


def newest(folder: Path) -> Path:
    return max(folder.glob("*.png"), key=lambda path: path.stat().st_mtime)


def wait_picture(studio: StudioPage, folder: Path, known: set[Path]) -> Path:
    """Wait for a new picture and the end of its job, and return its path."""
    for _ in range(1200):
        new = set(folder.glob("*.png")) - known
        if new:
            studio.wait_status("done")
            return next(iter(new))
        studio.page.wait_for_timeout(100)
    raise AssertionError("No picture was made.")


def make(studio: StudioPage, folder: Path) -> Path:
    """Press Generate, also where an earlier picture is shown as done."""
    known = set(folder.glob("*.png"))
    studio.generate()
    return wait_picture(studio, folder, known)


def shorten(studio: StudioPage, pictures: int = 1, steps: int = 4) -> None:
    """Little work, so that journeys are quick."""
    studio.fill_number("create-num_images", pictures)
    studio.unfold()
    studio.fill_number("create-num_inference_steps", steps)


def test_photo_to_map_to_pictures_to_a_download_that_remakes_itself(
    studio: StudioPage, photo: Path, tmp_path: Path
) -> None:
    studio.upload("canny-photo", photo)
    studio.wait_map("canny-map")
    studio.fill_prompt("a poster in ocean colours")
    shorten(studio, pictures=2)
    studio.generate()
    studio.wait_status("done")
    expect(studio.pictures()).to_have_count(2)
    file = studio.download(tmp_path)
    request = read_request(file)
    assert (request.prompt, request.num_inference_steps) == ("a poster in ocean colours", 4)
    assert load_image(file).shape == (request.height, request.width, 3)
    if REAL:
        command = [
            sys.executable,
            "-m",
            "cnet_app",
            "generate",
            "--recipe",
            str(file),
            "--output",
            str(tmp_path / "again"),
        ]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
        assert np.array_equal(load_image(newest(tmp_path / "again")), load_image(file))


def test_a_scribble_is_drawn_with_the_brush_in_the_hand(studio: StudioPage, output_dir: Path) -> None:
    studio.open_tab("Scribble")
    expect(studio.at("scribble-canvas").locator("canvas").first).to_be_visible()
    studio.wait_brush("scribble-canvas")
    studio.stroke("scribble-canvas", 0.32, 0.68)
    studio.wait_map("scribble-map")
    studio.at("scribble-canvas").get_by_label("Clear canvas").click()
    studio.wait_brush("scribble-canvas")  # again, to begin anew
    studio.stroke("scribble-canvas", 0.32, 0.68)
    studio.wait_map("scribble-map")
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    control = read_request(newest(output_dir)).units[0].pixels[..., 0] > 127
    height, width = control.shape
    assert control[:, width // 3 : 2 * width // 3].any(axis=0).all()
    assert not control[: height // 4].any()
    assert not control[:, : width // 8].any()


def test_what_a_painted_mask_leaves_out_stays_as_it_was(studio: StudioPage, photo: Path, output_dir: Path) -> None:
    studio.at("start").locator("button").first.click()
    expect(studio.at("start-picture").locator("canvas").first).to_be_visible()
    studio.page.wait_for_timeout(
        2000
    )  # the editor shows its canvas before it can take a picture, and nothing says when
    studio.upload("start-picture", photo)
    studio.wait_brush("start-picture")
    studio.stroke("start-picture", 0.45, 0.55)
    studio.upload("canny-photo", photo)
    studio.wait_map("canny-map")
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    request = read_request(newest(output_dir))
    assert request.initial_image is not None and request.inpaint_mask is not None
    assert np.array_equal(load_image(request.initial_image), load_image(photo))
    new = load_image(request.inpaint_mask)[..., 0] > 127
    assert new[128].any() and not new[:64].any() and not new[-64:].any()
    if REAL:
        picture = load_image(newest(output_dir))
        assert (picture[~new] == load_image(photo)[~new]).all()
        assert (picture[new] != load_image(photo)[new]).any()


def test_what_is_asked_stays_while_tabs_change_and_the_open_one_is_made(
    studio: StudioPage, photo: Path, output_dir: Path
) -> None:
    studio.upload("canny-photo", photo)
    studio.wait_map("canny-map")
    studio.fill_number("create-conditioning_scale", 2)
    shorten(studio)
    studio.open_tab("Soft edge")
    expect(studio.prompt).to_have_attribute("placeholder", "For example: a poster in dusk colours")
    studio.choose("softedge-annotator", "Soft edge (no weights)")
    studio.upload("softedge-photo", photo)
    studio.wait_map("softedge-map")
    studio.set_size(128, 256)
    studio.wait_map_width("softedge-map", 128)
    studio.fill_prompt("one for both")
    studio.prompt.press("Enter")
    studio.wait_status("done")
    request = read_request(newest(output_dir))
    assert [unit.condition for unit in request.units] == ["softedge"]
    assert (request.prompt, request.width, request.units[0].conditioning_scale) == ("one for both", 128, 2)
    studio.open_tab("Canny")
    studio.wait_map_width("canny-map", 128)
    expect(studio.pictures()).to_have_count(1)
    expect(studio.prompt).to_have_value("one for both")
    shorten(studio, steps=150)
    studio.generate()
    studio.wait_text("step ")
    studio.prompt.press("Enter")  # starts no second one beside it
    studio.cancel()
    studio.wait_status("cancelled")
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    assert [unit.condition for unit in read_request(newest(output_dir)).units] == ["canny"]


def test_compose_joins_maps(studio: StudioPage, output_dir: Path, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(1.0, 2.0, 256, dtype=np.float32)[:, None], (1, 256))
    Image.fromarray(encode_depth(ramp)).save(tmp_path / "depth.png")
    pose = np.zeros((256, 256, 3), np.uint8)
    pose[60:200, 120:130] = (255, 85, 0)
    Image.fromarray(pose).save(tmp_path / "pose.png")
    line = np.zeros((256, 256, 3), np.uint8)
    line[120:124, 40:200] = 255
    Image.fromarray(255 - line).save(tmp_path / "line.png")
    studio.open_tab("Compose")
    studio.at("compose-3").locator("button").first.click()
    studio.choose("compose-3-condition", "Scribble")
    studio.choose("compose-3-annotator", "None: use my image as the map")
    studio.upload("compose-3-photo", tmp_path / "line.png")
    studio.wait_map("compose-3-map")
    studio.at("compose-3-repairs").get_by_label(REPAIRS["invert"].title).check()
    for number, name in ((1, "pose"), (2, "depth")):
        studio.choose(f"compose-{number}-annotator", "None: use my image as the map")
        studio.upload(f"compose-{number}-photo", tmp_path / f"{name}.png")
        studio.wait_map(f"compose-{number}-map")
    studio.fill_number("compose-2-conditioning_scale", 0)
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    units = read_request(newest(output_dir)).units
    assert [(unit.condition, unit.annotator, unit.conditioning_scale) for unit in units] == [
        ("openpose", None, 1.0),
        ("depth", None, 0.0),
        ("scribble", None, 1.0),
    ]
    assert np.array_equal(units[2].pixels, line)


def test_cancel_in_the_middle_then_generate_again(studio: StudioPage, photo: Path, output_dir: Path) -> None:
    studio.upload("canny-photo", photo)
    shorten(studio, pictures=8, steps=150)
    studio.generate()
    studio.wait_text("step ")
    before = len(list(output_dir.glob("*.png")))
    studio.cancel()
    studio.wait_status("cancelled")
    assert len(list(output_dir.glob("*.png"))) <= before + 1
    shorten(studio, steps=3)
    studio.generate()
    studio.wait_status("done")


def test_a_second_browser_sees_its_place_and_is_served(
    studio: StudioPage, browser: Browser, url: str, photo: Path
) -> None:
    studio.upload("canny-photo", photo)
    shorten(studio, pictures=8, steps=150)
    studio.generate()
    studio.wait_text("step ")
    for other in visit(browser, url, width=1280, height=900):
        other.upload("canny-photo", photo)
        shorten(other, steps=3)
        other.generate()
        other.wait_text("Place 1 in line.")
        studio.cancel()
        other.wait_status("done")
    studio.wait_status("cancelled")


def test_the_page_fits_a_phone(browser: Browser, url: str, photo: Path) -> None:
    for studio in visit(browser, url, width=390, height=844, phone=True):
        studio.upload("canny-photo", photo)
        studio.wait_map("canny-map")
        shorten(studio)
        studio.generate()
        studio.wait_status("done")
        assert studio.page.evaluate("document.documentElement.scrollWidth") <= 390
        studio.open_tab("Compose")
        expect(studio.at("compose-1-photo")).to_be_visible()
        button = studio.at("create-generate").bounding_box()
        assert button and button["height"] >= 44
        assert 0 <= button["y"] <= 844 - button["height"]  # at hand wherever the page is scrolled to
        studio.open_tab("All maps")
        expect(studio.at("all-make")).to_be_visible()
        assert studio.page.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_bad_file_shows_its_sentence_and_the_next_good_one_works(
    studio: StudioPage, photo: Path, tmp_path: Path
) -> None:
    bad = tmp_path / "text.png"
    bad.write_text("this is no picture")
    studio.upload("canny-photo", bad)
    expect(studio.at("canny-map-note")).to_contain_text("text.png")
    assert str(tmp_path) not in studio.page.content()
    studio.generate()
    studio.wait_status("failed")
    studio.clear_photo("canny-photo")
    studio.upload("canny-photo", photo)
    studio.wait_map("canny-map")
    shorten(studio)
    studio.generate()
    studio.wait_status("done")


def test_a_map_with_dark_lines_is_repaired_by_one_click(
    studio: StudioPage, photo: Path, output_dir: Path, tmp_path: Path
) -> None:
    lines = np.full((256, 256, 3), 255, np.uint8)
    lines[100:104, 40:200] = 0
    Image.fromarray(lines).save(tmp_path / "lines.png")
    studio.choose("canny-annotator", "None: use my image as the map")
    studio.upload("canny-photo", tmp_path / "lines.png")
    expect(studio.at("canny-map-note")).to_contain_text("dark lines on white")
    studio.at("canny-repairs").get_by_label(REPAIRS["invert"].title).check()
    expect(studio.at("canny-map-note")).to_contain_text("Its colours were inverted.")
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    assert np.array_equal(read_request(newest(output_dir)).units[0].pixels, 255 - lines)
    studio.clear_photo("canny-photo")
    studio.upload("canny-photo", photo)  # another picture is not repaired unasked
    expect(studio.at("canny-map-note")).not_to_contain_text("inverted")


def test_a_map_taken_for_a_photo_is_taken_as_it_is_by_one_click(
    studio: StudioPage, photo: Path, output_dir: Path, tmp_path: Path
) -> None:
    edges = Canny()(np.asarray(Image.open(photo).convert("RGB")))
    Image.fromarray(edges).save(tmp_path / "edges.png")
    studio.upload("canny-photo", tmp_path / "edges.png")
    expect(studio.at("canny-map-note")).to_contain_text("already looks like a map for Canny")
    studio.at("canny-repairs").get_by_label(REPAIRS["as_it_is"].title).check()
    expect(studio.at("canny-annotator").locator("input")).to_have_value("None: use my image as the map")
    expect(studio.at("canny-map-note")).not_to_contain_text("already")
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    unit = read_request(newest(output_dir)).units[0]
    assert unit.annotator is None
    assert np.array_equal(unit.pixels, edges)


def test_the_inpaint_example_has_a_mask(studio: StudioPage, output_dir: Path) -> None:
    studio.open_tab("Inpaint")
    shorten(studio)
    studio.at("inpaint-example").click()
    studio.wait_status("done")
    request = read_request(newest(output_dir))
    assert [unit.condition for unit in request.units] == ["inpaint"]
    assert request.initial_image and request.inpaint_mask


def test_people_come_out_of_a_file_and_go_into_one(studio: StudioPage, output_dir: Path, tmp_path: Path) -> None:
    points = [value for joint in range(18) for value in (60 + 8 * joint, 40 + 9 * joint, 1)]
    pose = {"people": [{"pose_keypoints_2d": points}], "canvas_width": 256, "canvas_height": 256}
    (tmp_path / "people.json").write_text(json.dumps(pose))
    studio.open_tab("OpenPose")
    with studio.page.expect_file_chooser() as chosen:
        studio.at("openpose-people").click()
    chosen.value.set_files(tmp_path / "people.json")
    studio.wait_map("openpose-map")
    expect(studio.at("openpose-annotator").locator("input")).to_have_value("Pose from a file (JSON)")
    expect(studio.at("openpose-data")).to_be_visible()
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    unit = read_request(newest(output_dir)).units[0]
    assert (unit.condition, unit.annotator) == ("openpose", None)
    assert np.array_equal(unit.pixels, Pose.from_json(pose).draw())
    studio.set_size(128, 128)  # people are drawn again, not resized
    studio.wait_map_width("openpose-map", 128)
    drawn = read_request(make(studio, output_dir)).units[0].pixels
    assert np.array_equal(drawn, Pose.from_json(pose).resized(128, 128).draw())


def test_all_maps_of_a_photo(studio: StudioPage, photo: Path) -> None:
    from cnet_app.registry.conditions import CONDITIONS

    studio.open_tab("All maps")
    studio.upload("all-photo", photo)
    studio.at("all-make").click()
    expect(studio.at("all-maps").locator("button.thumbnail-item")).to_have_count(len(CONDITIONS), timeout=LONG)
    studio.at("all-maps").locator("button.thumbnail-item").nth(1).click()
    studio.wait_map("softedge-map")
    expect(studio.prompt).to_have_attribute("placeholder", "For example: a poster in dusk colours")
    expect(studio.page.get_by_role("tab", name="History", exact=True)).to_have_count(1)


def test_the_history_makes_a_picture_again(studio: StudioPage, photo: Path, output_dir: Path) -> None:
    studio.upload("canny-photo", photo)
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    first = newest(output_dir)
    studio.open_tab("History")
    studio.at("history-made").locator("button.thumbnail-item").first.click()
    expect(studio.at("history-recipe")).to_contain_text("4 steps")
    studio.generate("history")
    studio.wait_status("done", "history")
    assert newest(output_dir) != first
    assert np.array_equal(load_image(newest(output_dir)), load_image(first))


def test_a_removed_or_foreign_picture_takes_its_recipe_along(
    studio: StudioPage, photo: Path, output_dir: Path, tmp_path: Path
) -> None:
    studio.upload("canny-photo", photo)
    shorten(studio)
    studio.generate()
    studio.wait_status("done")
    mine = newest(output_dir)
    studio.open_tab("History")
    for leave in ("remove", "foreign"):
        studio.upload("history-picture", mine)
        expect(studio.at("history-recipe")).to_contain_text("4 steps")
        if leave == "remove":
            studio.clear_photo("history-picture")
            expect(studio.at("history-recipe")).to_contain_text("Drop a picture")
        else:
            studio.clear_photo("history-picture")
            studio.upload("history-picture", photo)
            expect(studio.at("history-recipe")).to_contain_text("holds no recipe")
        studio.generate("history")
        studio.wait_status("failed", "history")
        expect(studio.at("history-progress")).to_contain_text("There is no recipe yet")
        if leave == "foreign":
            studio.clear_photo("history-picture")


def test_a_fault_of_one_tab_is_not_shown_in_the_next_and_never_twice(studio: StudioPage) -> None:
    studio.generate()
    studio.wait_status("failed")
    expect(studio.page.locator(".toast-body")).to_have_count(0)
    studio.open_tab("Depth")
    studio.wait_status("idle")


def test_two_clicks_make_two_pictures_and_the_last_seed_can_be_reused(
    studio: StudioPage, photo: Path, output_dir: Path
) -> None:
    studio.upload("canny-photo", photo)
    shorten(studio)
    seeds: list[int] = []
    for _ in range(2):
        seeds.append(read_request(make(studio, output_dir)).seed)
        expect(studio.at("create-seed").locator("input")).to_have_value(str(seeds[-1]))
    assert seeds[0] != seeds[1]
    studio.lock_seed(5)
    studio.at("create-reuse-seed").click()
    expect(studio.at("create-seed").locator("input")).to_have_value(str(seeds[1]))
    assert read_request(make(studio, output_dir)).seed == seeds[1]


def test_the_size_follows_the_photo_and_can_be_chosen(studio: StudioPage, output_dir: Path, tmp_path: Path) -> None:
    Image.fromarray(np.tile(np.arange(256, dtype=np.uint8)[None, :, None], (128, 1, 3))).save(tmp_path / "wide.png")
    studio.upload("canny-photo", tmp_path / "wide.png")
    studio.wait_map_width("canny-map", 360)
    expect(studio.at("canny-map-note")).to_contain_text("Photo 256×128 px, picture 360×184 px (from the photo).")
    studio.set_size(128, 128)
    studio.wait_map_width("canny-map", 128)
    studio.wait_active("128×128 px")
    studio.at("create-active").get_by_text("128×128 px").click()
    studio.wait_map_width("canny-map", 360)
    expect(studio.at("create-active")).to_be_hidden()


def test_the_lower_threshold_pushes_the_upper_along(studio: StudioPage, photo: Path) -> None:
    studio.upload("canny-photo", photo)
    studio.wait_map("canny-map")
    studio.fill_number("canny-canny-low_threshold", 240)
    expect(studio.at("canny-canny-high_threshold").locator("input[type=number]")).to_have_value("240")
    expect(studio.at("canny-map-note")).not_to_contain_text("threshold")
    studio.wait_map("canny-map")


@pytest.mark.skipif(not REAL, reason="the examples of most tabs need the embedded weights")
def test_an_example_asks_for_the_same_picture_whatever_was_done_before(
    browser: Browser, fake_url: str, tmp_path: Path
) -> None:
    """Every example in one page, forwards and backwards, against the same example on a page of its own."""
    from cnet_app.registry.conditions import CONDITIONS

    ids = {row.title: row.id for row in CONDITIONS if "embedded" in row.controlnets} | {"Compose": "compose"}

    def asked(studio: StudioPage, title: str) -> GenerationRequest:
        known = set((tmp_path / "outputs").glob("*.png"))
        studio.open_tab(title)
        studio.at(f"{ids[title]}-example").click()
        return read_request(wait_picture(studio, tmp_path / "outputs", known))

    with visitor(browser, fake_url, width=1280, height=900) as context:
        fresh: dict[str, GenerationRequest] = {}
        for title in ids:
            studio = open_page(context.new_page(), fake_url)
            studio.lock_seed(3)
            fresh[title] = asked(studio, title)
            studio.page.close()
        studio = open_page(context.new_page(), fake_url)
        studio.lock_seed(3)
        for title in [*ids, *reversed(ids)]:
            assert asked(studio, title) == fresh[title], title
