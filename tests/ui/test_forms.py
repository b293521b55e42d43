"""Parts of the form: size, seed, labels, texts, the list of what is in effect."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
import pytest

from annotators.images import load_image
from cnet_app.request.generation import MAX_SEED, REQUEST_LIMITS
from cnet_app.request.units import UNIT_LIMITS
from cnet_app.ui.desk import Open
from cnet_app.ui.forms.seed import draw_seed
from cnet_app.ui.forms.size import Frame, fit_budget
from cnet_app.ui.forms.unit import UnitControls, build_scale, build_unit_controls
from cnet_app.ui.labels import LABELS, in_form_words
from cnet_app.ui.sources.paint import Held
from models.errors import InputError
from tests.ui.handlers import by_id, call, find, listeners


@pytest.mark.parametrize("side", [256, 512, 768, 1024])
@pytest.mark.parametrize("photo", [(1, 1), (3, 2), (2, 3), (4, 3), (16, 9), (9, 16), (21, 9), (5, 4), (4000, 3001)])
def test_the_size_has_the_photos_shape_within_the_budget(photo: tuple[int, int], side: int) -> None:
    width, height = fit_budget(*photo, side)
    assert width % 8 == height % 8 == 0
    assert width / height == pytest.approx(photo[0] / photo[1], rel=0.04)
    assert 0.9 <= width * height / side**2 <= 1.1


def test_multiples_of_64_are_taken_where_the_shape_allows() -> None:
    assert fit_budget(512, 512, 512) == (512, 512)
    assert fit_budget(2, 1, 512) == (728, 360)
    assert fit_budget(7, 4, 1024) == (1344, 768)


def test_a_long_photo_does_not_become_a_strip() -> None:
    width, height = fit_budget(5000, 100, 512)
    assert width / height == pytest.approx(3, rel=0.03)


def test_a_mask_is_white_and_a_picture_black_in_the_bars_of_pad() -> None:
    image = np.full((8, 16, 3), 100, np.uint8)
    frame = Frame(16, 16, "pad")
    assert load_image(frame.fit_png(image))[0].max() == 0
    assert load_image(frame.fit_png(image, around=255))[0].min() == 255
    assert np.array_equal(load_image(Frame(16, 16).fit_png(image)), image)  # the pipeline crops by itself


@pytest.mark.parametrize(
    ("frame", "text"),
    [
        (Frame(312, 208, from_photo=True), "Photo 600×400 px, picture 312×208 px (from the photo)."),
        (Frame(300, 200), "Photo 600×400 px, picture 300×200 px."),
        (Frame(256, 256), "Photo 600×400 px, picture 256×256 px (cropped)."),
        (Frame(256, 256, "pad"), "Photo 600×400 px, picture 256×256 px (padded)."),
    ],
)
def test_both_sizes_are_written(frame: Frame, text: str) -> None:
    assert frame.text((600, 400)) == text


def test_every_picture_of_a_job_has_a_seed() -> None:
    seeds = [draw_seed(8) for _ in range(50)]
    assert len(set(seeds)) > 40
    assert all(0 <= seed <= MAX_SEED - 7 for seed in seeds)


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (
            "control_guidance_start is 0.8, but it must not be after control_guidance_end, 0.2.",
            "“Control begins” is 0.8, but it must not be after “Control ends”, 0.2.",
        ),
        ("seed is None, but it must be a number.", "“Seed” is None, but it must be a number."),
        ("low_threshold is 0, but it must be from 1 to 255.", "“Low threshold” is 0, but it must be from 1 to 255."),
        ("block_weights has 3 numbers, but …", "“Block weights” has 3 numbers, but …"),
        ("openpose_embedded makes no map for canny.", "openpose_embedded makes no map for canny."),
        ("photo.png is not a picture that can be read.", "photo.png is not a picture that can be read."),
    ],
)
def test_messages_name_fields_by_their_labels(message: str, words: str) -> None:
    assert in_form_words(message) == words


def test_no_label_belongs_to_two_fields() -> None:
    assert len(set(LABELS.values())) == len(LABELS)
    assert {*REQUEST_LIMITS, *UNIT_LIMITS} - {"width", "height", "seed"} <= set(LABELS)


def test_what_is_written_as_text_becomes_numbers() -> None:
    with gr.Blocks():
        controls: UnitControls = build_unit_controls("unit", build_scale("unit"), "canny", None)

    def read(**given: Any) -> dict[str, Any]:
        values = {component: given.get(name, component.value) for name, component in controls.fields.items()}
        return controls.options(values, Frame(64, 64))

    empty = read()
    assert (empty["controlnet"], empty["mask"], empty["strength_curve"], empty["block_weights"]) == (None, None, (), ())
    full = read(strength_curve="0:1/0.5:0.2", block_weights="1/0.5", unconditional_block_weights="0.25")
    assert full["strength_curve"] == ((0, 1), (0.5, 0.2))
    assert (full["block_weights"], full["unconditional_block_weights"]) == ((1, 0.5), (0.25,))
    with pytest.raises(InputError, match="block_weights is 'a', but it must be numbers joined by slashes"):
        read(block_weights="a")


def active(app: gr.Blocks, values: dict[Any, Any], tab: str = "canny", held: Held | None = None) -> list[str]:
    """Return what the list near Generate shows."""
    (fn,) = [fn for fn in listeners(app, "create-eta", "change") if fn.name == "show"]
    states = {c: c.value for c in fn.inputs if isinstance(c, gr.State)}
    states |= {c: Open(tab=tab) for c in states if isinstance(c.value, Open)}
    (start, own) = sorted((c for c in states if isinstance(c.value, Held)), key=lambda c: c._id)
    states |= {own if tab == "inpaint" else start: held or Held()}
    (update,) = by_id(call(fn, {**states, **values})).values()
    assert update.visible == bool(update.choices)
    assert update.value == [id for _, id in update.choices]
    return [text for text, _ in update.choices]


def test_nothing_is_listed_while_all_is_as_it_was(built: gr.Blocks) -> None:
    assert active(built, {}) == active(built, {}, "compose") == []


def test_what_is_not_at_its_default_is_listed(built: gr.Blocks) -> None:
    changed = {
        "create-num_inference_steps": 4, "create-negative_prompt": "dull", "create-size": "custom",
        "create-resize": "pad", "model-lora_1": "style", "create-control_mode": "prompt", "create-scheduler": "ddim",
        "create-control_guidance_end": 0.5, "model-ip_adapter": "one",
    }  # fmt: skip
    assert active(built, changed) == [
        "LoRA style 1", "Reference image 0.6", "Control ends 0.5", "Control mode: My prompt is more important",
        "256×256 px", "Resize: pad", "4 steps", "DDIM", "Negative prompt",
    ]  # fmt: skip
    assert "Control ends 0.5" not in active(built, changed, "compose")


def test_a_picture_to_start_from_is_listed_where_it_counts(built: gr.Blocks) -> None:
    masked = Held(picture=True, masked=True)
    assert active(built, {}, held=masked) == ["From a picture · mask · denoising strength 0.6"]
    assert active(built, {}, "inpaint", masked) == ["From a picture · mask · denoising strength 0.6"]
    (fn,) = [fn for fn in listeners(built, "create-eta", "change") if fn.name == "show"]
    own = max((c for c in fn.inputs if isinstance(c, gr.State) and isinstance(c.value, Held)), key=lambda c: c._id)
    assert active(built, {own: masked}) == []  # the other tab's


def test_an_unticked_setting_goes_back_to_its_default(built: gr.Blocks) -> None:
    (fn,) = listeners(built, "create-active", "input")
    changed = {"create-num_inference_steps": 4, "create-eta": 0.5, "create-active": ["eta"]}
    assert by_id(call(fn, changed)) == {"create-num_inference_steps": 20}
    assert call(fn, {**changed, "create-active": ["eta", "num_inference_steps"]}) == gr.skip()


def test_reuse_brings_back_the_last_seed_and_locks_it(built: gr.Blocks) -> None:
    (fn,) = listeners(built, "create-reuse-seed", "click")
    (last,) = fn.inputs
    assert by_id(call(fn, {last: 7})) == {"create-seed": 7, "create-random": False}
    assert call(fn, {last: None}) == gr.skip()
    assert find(built, "create-random").value is True


def test_a_typed_seed_is_locked(built: gr.Blocks) -> None:
    (fn,) = listeners(built, "create-seed", "input")
    assert fn.fn() is False
