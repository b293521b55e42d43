"""The calls for coverage: what the page is given to draw."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from skimage import data

from annotators.images import load_image
from annotators.runtime import Runtime
from cnet_app.jobs.assets import Assets
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.request.pictures import encode_png
from cnet_app.ui.calls.context import Context, Visitor
from cnet_app.ui.calls.coverage import coverage_of_draft, hint_of_norms
from models.errors import InputError

PAGE = Visitor("a page")


@pytest.fixture
def context(runner: Runner, tmp_path: Path) -> Context:
    assets = Assets(tmp_path, 10**8)
    return Context(runner._settings, runner, Maps(run_here(Runtime())), assets, lambda path: True, lambda *_: "")


def draft(context: Context, **changes: Any) -> dict[str, Any]:
    """A draft with one layer of edges over a photo."""
    photo = context.assets.put(encode_png(np.ascontiguousarray(data.astronaut()[::4, ::4])))
    layer = {"condition": "canny", "source": "photo", "conditioning_scale": 0.5, "enabled": True} | changes
    frame = {"width": 128, "height": 64, "fit": "crop"}
    return {"photo": {"sha256": photo}, "frame": frame, "layers": [layer], "settings": {"base": "embedded"}}


def test_coverage_is_a_picture_of_the_frame_with_its_numbers(context: Context) -> None:
    made = coverage_of_draft(context, PAGE, {"draft": draft(context)})
    picture = load_image(base64.b64decode(made["image"].partition("base64,")[2]))
    assert picture.shape == (64, 128, 3)
    assert (made["least"], made["most"]) == (0.5, 0.5)
    assert "1.5" in made["legend"]
    half = coverage_of_draft(context, PAGE, {"draft": draft(context, control_guidance_end=0.5)})
    assert half["most"] == 0.25


def test_coverage_of_nothing_is_refused(context: Context) -> None:
    with pytest.raises(InputError, match="No layer is switched on"):
        coverage_of_draft(context, PAGE, {"draft": draft(context, enabled=False)})


def test_coverage_asks_for_missing_files_first(context: Context) -> None:
    made = coverage_of_draft(context, PAGE, {"draft": draft(context, condition="depth", annotator="zoe")})
    assert [row["title"] for row in made["missing"]["items"]] == ["Zoe depth"]


def test_a_hint_is_in_the_words_of_the_page(context: Context) -> None:
    assert hint_of_norms(context, PAGE, {"norms": [[1.0, 1.0]]}) == {"hint": None}
    assert "drowns" in hint_of_norms(context, PAGE, {"norms": [[9.0], [1.0]]})["hint"]
    assert "“Limit combined strength”" in hint_of_norms(context, PAGE, {"norms": [[1.0], [1.0], [1.0]]})["hint"]
