"""Coverage and the hint about fighting layers, as the page gets them."""

from __future__ import annotations

import base64
from typing import Any

from annotators.sources.images import load_image
from tests.ui.conftest import Caller


def covered(caller: Caller, photo: dict[str, Any], **changes: Any) -> Any:
    """Coverage of a draft with one layer of edges over a photo, 128×64 px."""
    layer = {"condition": "canny", "source": "photo", "conditioning_scale": 0.5, "enabled": True} | changes
    frame = {"width": 128, "height": 64, "fit": "crop"}
    return caller(
        "coverage", draft={"photo": photo, "frame": frame, "layers": [layer], "settings": {"base": "embedded"}}
    )


def test_coverage_is_a_picture_of_the_frame_with_its_numbers(caller: Caller, photo: dict[str, Any]) -> None:
    made = covered(caller, photo)
    picture = load_image(base64.b64decode(made["image"].partition("base64,")[2]))
    assert picture.shape == (64, 128, 3)
    assert (made["least"], made["most"]) == (0.5, 0.5)
    assert "above 1.5" in made["legend"]
    assert covered(caller, photo, control_guidance_end=0.5)["most"] == 0.25


def test_coverage_of_nothing_is_refused(caller: Caller, photo: dict[str, Any]) -> None:
    assert covered(caller, photo, enabled=False)["error"].startswith("No layer is switched on")


def test_coverage_asks_for_missing_files_first(caller: Caller, photo: dict[str, Any]) -> None:
    made = covered(caller, photo, condition="depth", annotator="zoe")
    assert [row["title"] for row in made["missing"]["items"]] == ["Zoe depth"]


def test_a_hint_is_in_the_words_of_the_page(caller: Caller) -> None:
    assert caller("fighting", norms=[[1.0, 1.0]]) == {"hint": None}
    assert "drowns" in caller("fighting", norms=[[9.0], [1.0]])["hint"]
    assert "“Limit combined strength”" in caller("fighting", norms=[[1.0], [1.0], [1.0]])["hint"]
