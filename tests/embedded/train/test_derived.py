"""Maps that are made of the picture while training."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.embedded.train.data.derived import DERIVED
from cnet_app.embedded.world import create_scene


@pytest.mark.parametrize("name", DERIVED)
def test_hints_vary_and_are_the_pictures_own(name: str) -> None:
    image = create_scene(3, 64).image
    hints = [DERIVED[name](image, np.random.default_rng(seed)) for seed in range(12)]
    assert all(hint.shape == image.shape and hint.dtype == np.float32 for hint in hints)
    assert all(np.isin(hint, [-1]).any() or 0 <= hint.min() <= hint.max() <= 1 for hint in hints)
    assert len({hint.tobytes() for hint in hints}) > 3


def test_some_pictures_have_a_part_taken_out() -> None:
    image = create_scene(3, 64).image
    holes = [(DERIVED["picture"](image, np.random.default_rng(seed)) == -1).mean() for seed in range(40)]
    assert 4 <= sum(hole > 0 for hole in holes) <= 24
    assert max(holes) < 0.8
