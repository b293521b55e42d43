"""A condition's tab: the map follows its form, the request holds what the form shows, faults are shown where they arise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
import pytest
from PIL import Image

from annotators.images import load_image, resize
from cnet_app.jobs.runner import Runner
from cnet_app.registry.conditions import CONDITIONS
from cnet_app.request.generation import MAX_SEED, GenerationRequest
from cnet_app.ui.sources.paint import Held
from tests.ui.handlers import by_id, call, find, listeners, run


def show_map(app: gr.Blocks, id: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the map and its note after another size was chosen."""
    return run(app, f"{id}-remap", "click", values)


def generate(app: gr.Blocks, runner: Runner, id: str, values: dict[str, Any]) -> GenerationRequest:
    """Press Generate and return the request that was sent; AssertionError with the message where none was."""
    *_, sent = run(app, f"{id}-go", "click", values, gr.Request(session_hash="me"))
    job = next(value for value in sent.values() if isinstance(value, str) and len(value) == 16)
    request = runner.state(job).request
    assert isinstance(request, GenerationRequest)
    return request


def refused(app: gr.Blocks, id: str, values: dict[str, Any]) -> str:
    """Press Generate and return the message in the box."""
    *_, updates = run(app, f"{id}-go", "click", values, gr.Request(session_hash="me"))
    assert 'data-status="failed"' in updates["create-progress"]
    return updates["create-progress"]


def painted(folder: Path, picture: str, marked: bool = True) -> list[str]:
    """Files of an editor: a picture, and a layer whose upper half is painted."""
    layer = np.zeros((64, 64, 4), np.uint8)
    layer[:32] = (20, 184, 166, 255 if marked else 0)
    path = folder / f"layer-{marked}.png"
    Image.fromarray(layer).save(path)
    return [picture, str(path)]


def test_the_map_follows_the_parameters(built: gr.Blocks, photo: str) -> None:
    size = {"canny-photo": photo, "create-size": "custom", "create-width": 128, "create-height": 64}
    (strict,) = show_map(built, "canny", size | {"canny-canny-high_threshold": 255, "canny-canny-low_threshold": 200})
    (lax,) = show_map(built, "canny", size | {"canny-canny-high_threshold": 60, "canny-canny-low_threshold": 30})
    assert strict["canny-map"].shape == lax["canny-map"].shape == (64, 128, 3)
    assert (lax["canny-map"] > 0).sum() > 1.3 * (strict["canny-map"] > 0).sum()


def test_the_map_has_the_shape_of_its_photo_and_both_sizes_are_shown(built: gr.Blocks, wide: str) -> None:
    (made,) = show_map(built, "canny", {"canny-photo": wide})
    height, width = made["canny-map"].shape[:2]
    assert width == pytest.approx(2 * height, rel=0.03)
    assert f"Photo 128×64 px, picture {width}×{height} px (from the photo)." in made["canny-map-note"]


def test_a_slider_on_its_way_past_its_partner_is_no_fault(built: gr.Blocks, photo: str) -> None:
    crossed = {"canny-photo": photo, "canny-canny-low_threshold": 250, "canny-canny-high_threshold": 100}
    assert show_map(built, "canny", crossed) == []
    assert "above the high threshold" in refused(built, "canny", crossed)


def test_sliders_that_are_ordered_push_each_other_along(built: gr.Blocks) -> None:
    pairs = [("canny-canny-low_threshold", "canny-canny-high_threshold", "max")]
    pairs += [("create-control_guidance_end", "create-control_guidance_start", "min")]
    for moved, pushed, which in pairs:
        block = find(built, moved)
        pushing = [fn for fn in built.fns.values() if (block._id, "input") in fn.targets and not fn.fn]
        assert [[component.elem_id for component in fn.outputs] for fn in pushing] == [[pushed]]
        assert f"Math.{which}" in str(pushing[0].js)


def test_a_bad_file_leaves_its_message_in_the_box_and_no_toast(
    built: gr.Blocks, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    path = tmp_path / "text.png"
    path.write_text("<b>no picture</b>")
    (updates,) = show_map(built, "canny", {"canny-photo": str(path)})
    assert updates["canny-map"] is None
    assert "text.png" in updates["canny-map-note"]
    assert str(tmp_path) not in updates["canny-map-note"]
    assert not list(recwarn)


def test_every_example_gives_a_picture_an_annotator_and_a_prompt(built: gr.Blocks) -> None:
    for row in CONDITIONS:
        (fn,) = listeners(built, f"{row.id}-example", "click")
        updates = by_id(call(fn, {}))
        assert updates[f"{row.id}-annotator"] in row.annotators
        assert updates["create-prompt"] == row.example_prompt
        given = updates[f"{row.id}-picture"]["background"] if row.masked else updates[f"{row.id}-photo"]
        assert given.ndim == 3


def test_no_example_touches_what_other_tabs_use(built: gr.Blocks) -> None:
    for row in CONDITIONS:
        (fn,) = listeners(built, f"{row.id}-example", "click")
        changed = {component.elem_id for component in fn.outputs if component.elem_id}
        assert changed <= {f"{row.id}-{part}" for part in ("photo", "picture", "mask", "strength", "annotator")} | {
            "create-prompt"
        }


def test_a_masked_condition_uses_its_own_picture_and_others_the_common_one(
    built: gr.Blocks, runner: Runner, photo: str, wide: str, tmp_path: Path
) -> None:
    own = {"inpaint-picture": painted(tmp_path, photo), "start-picture": [wide], "canny-photo": photo}
    inpainted = generate(built, runner, "inpaint", own)
    assert inpainted.initial_image is not None and inpainted.inpaint_mask is not None
    assert np.array_equal(load_image(inpainted.initial_image), load_image(Path(photo)))
    mask = load_image(inpainted.inpaint_mask)
    assert (mask[:64] == 255).all() and (mask[64:] == 0).all()
    assert inpainted.strength == 0.6
    other = generate(built, runner, "canny", own)
    assert other.initial_image is not None and other.inpaint_mask is None
    assert np.array_equal(load_image(other.initial_image), load_image(Path(wide)))
    assert generate(built, runner, "canny", own | {"start-picture": []}).initial_image is None


def test_a_masked_condition_needs_a_mask(built: gr.Blocks, photo: str, tmp_path: Path) -> None:
    assert "Inpaint needs a mask" in refused(built, "inpaint", {"inpaint-picture": painted(tmp_path, photo, False)})
    assert "There is no picture yet" in refused(built, "inpaint", {})


def test_picture_and_mask_are_brought_to_the_size_as_the_map_is(
    built: gr.Blocks, runner: Runner, wide: str, tmp_path: Path
) -> None:
    values = {
        "inpaint-picture": painted(tmp_path, wide), "create-size": "custom", "create-width": 64, "create-height": 64,
        "create-resize": "pad",
    }  # fmt: skip
    request = generate(built, runner, "inpaint", values)
    assert request.initial_image is not None and request.inpaint_mask is not None
    padded = resize(load_image(Path(wide)), 64, 64, "pad")
    assert np.array_equal(load_image(request.initial_image), padded)
    assert np.array_equal(request.units[0].pixels[16:-16], padded[16:-16])  # the bars are repainted
    mask = load_image(request.inpaint_mask)[:, 0, 0]
    assert (mask[:16] == 255).all() and (mask[-16:] == 255).all()  # the bars
    assert (mask[20:30] == 255).all() and (mask[34:46] == 0).all()


def test_what_an_editor_holds_is_known_without_its_picture(built: gr.Blocks, photo: str, tmp_path: Path) -> None:
    (fn,) = listeners(built, "start-picture", "upload")
    for files, held in (
        ([], Held()),
        ([photo], Held(picture=True)),
        (painted(tmp_path, photo, False), Held(picture=True)),
        (painted(tmp_path, photo), Held(picture=True, masked=True)),
    ):
        assert list(call(fn, {"start-picture": files}).values()) == [held]


def test_a_seed_is_drawn_for_every_click_and_shown(built: gr.Blocks, runner: Runner, photo: str) -> None:
    seeds: set[int] = set()
    for _ in range(3):
        *_, updates = run(built, "canny-go", "click", {"canny-photo": photo}, gr.Request(session_hash="me"))
        seeds.add(updates["create-seed"])
    assert len(seeds) == 3
    locked = {"canny-photo": photo, "create-random": False, "create-seed": 7}
    assert generate(built, runner, "canny", locked).seed == 7
    last = generate(built, runner, "canny", {"canny-photo": photo, "create-num_images": 8})
    assert last.seed + 7 <= MAX_SEED


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, 63, 10**9, -1])
def test_numbers_that_cannot_be_are_named_by_their_label(value: Any, built: gr.Blocks, photo: str) -> None:
    wrong = {"canny-photo": photo, "create-size": "custom", "create-width": value}
    assert "“Width” is" in refused(built, "canny", wrong)


def test_a_fault_names_fields_as_the_form_does(built: gr.Blocks, photo: str) -> None:
    crossed = {"create-control_guidance_start": 0.8, "create-control_guidance_end": 0.2}
    message = refused(built, "canny", {"canny-photo": photo, **crossed})
    assert "“Control begins”" in message and "“Control ends”" in message
    assert "control_guidance" not in message


def test_a_fault_is_gone_in_the_next_tab(built: gr.Blocks) -> None:
    (fn,) = [fn for fn in listeners(built, "depth-tab", "select") if fn.name == "opened"]
    failed = next(c for c in fn.inputs if isinstance(c, gr.State) and c.value is False)
    assert "Ready." in by_id(call(fn, {failed: True}))["create-progress"]
    assert "create-progress" not in by_id(call(fn, {failed: False}))
