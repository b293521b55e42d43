"""A larger picture: what is asked for, and what cannot be."""

from __future__ import annotations

import numpy as np
import pytest
from skimage import data

from annotators.sources.images import load_image
from cnet_app.maps.upscale import to_generation
from cnet_app.request.pictures import encode_png
from cnet_app.request.upscale import UpscaleRequest
from models.errors import InputError

PHOTO = data.coffee()[:100, :150]


@pytest.mark.parametrize(("base", "scale"), [("sd15", 1.0), ("z_image", 0.85), ("owner/unknown", 1.0)])
def test_the_unit_starts_at_the_strength_of_its_controlnet(base: str, scale: float) -> None:
    request = to_generation(UpscaleRequest(picture=encode_png(PHOTO), factor=2, prompt="coffee", base=base))
    assert request.units[0].conditioning_scale == scale


def test_the_picture_is_start_and_map_at_its_new_size() -> None:
    request = to_generation(UpscaleRequest(picture=encode_png(PHOTO), factor=2, prompt="coffee", seed=3))
    assert (request.width, request.height, request.prompt, request.seed) == (300, 200, "coffee", 3)
    assert 0 < request.strength < 1
    (unit,) = request.units
    assert unit.condition == "tile"
    assert request.initial_image is not None
    assert load_image(request.initial_image).shape == unit.pixels.shape == (200, 300, 3)
    assert np.abs(unit.pixels[::2, ::2].astype(int) - PHOTO).mean() < 12


@pytest.mark.parametrize(
    ("shape", "factor", "sentence"),
    [((100, 100), 5, "factor is 5, but it must be from 1 to 4"), ((1200, 1000), 2, "it may be at most 1.7")],
)
def test_what_is_too_large_is_told(shape: tuple[int, int], factor: float, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        UpscaleRequest(picture=encode_png(np.zeros((*shape, 3), np.uint8)), factor=factor)
