"""Stored recipes still load, and make the pictures they made."""

from __future__ import annotations

import pytest

from tests.golden.make import make_pictures
from tests.golden.references import (
    EXACT,
    PICTURES,
    SMOOTH,
    fault,
    load,
    load_recipe,
    picture_path,
    recipe_names,
)


@pytest.mark.slow
@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_makes_its_pictures(name: str) -> None:
    made = make_pictures(load_recipe(name))
    assert len(made) == len(list(PICTURES.glob(f"{name}_[0-9].png")))
    faults = [fault(picture_path(name, index), picture, SMOOTH) for index, picture in enumerate(made)]
    assert not any(faults), "\n".join(faults)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["canny", "control_modes", "sd15"])
def test_a_small_change_of_a_unit_is_noticed_on_any_machine(name: str) -> None:
    recipe = load_recipe(name)
    recipe["units"][0]["conditioning_scale"] += 0.05
    picture, reference = make_pictures(recipe)[0], load(picture_path(name, 0))
    assert EXACT.fault(picture, reference)
    assert SMOOTH.fault(picture, reference)
