"""Maps that belong to another picture, on edges of noise."""

from __future__ import annotations

import numpy as np

from cnet_app.training.data.features import SIDE, Edges
from cnet_app.training.data.likeness import Fits, Misplaced, misplaced

COUNT = 12


def edges(*parts: tuple[float, int]) -> Edges:
    """Return the sum of fields of noise, each a share and a seed."""
    total = sum(share * np.random.default_rng(seed).standard_normal((SIDE, SIDE)) for share, seed in parts)
    return np.clip(128 + 24 * np.asarray(total), 0, 255).astype(np.uint8)


def test_exchanged_maps_are_both_named_where_a_third_picture_fits_one_as_well() -> None:
    images = [edges((1, seed)) for seed in range(COUNT)]
    controls = [edges((1, seed)) for seed in range(COUNT)]
    images[0] = edges((0.75, 0), (0.66, 100))
    images[2] = edges((0.77, 0), (0.64, 2))
    controls[2] = images[2]
    controls[0], controls[1] = controls[1], controls[0]
    fits = Fits(images, controls)
    assert fits.of(1, 2) > fits.of(1, 0) > 0.7, "the third picture fits better"
    assert list(misplaced(fits)) == [Misplaced(0, other=1), Misplaced(1, other=0)]
