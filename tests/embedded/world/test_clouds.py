"""Blotches: of the asked strength, soft, and the same for the same generator."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.embedded.world import clouded


def test_blotches_are_soft_and_as_strong_as_asked() -> None:
    grey = np.full((256, 256, 3), 128, np.uint8)
    image = clouded(grey, np.random.default_rng(0), 8)
    change = image.astype(float) - grey
    assert change.std() == pytest.approx(7, abs=1.5)
    assert np.abs(np.diff(change, axis=0)).max() <= 6
    assert (image == clouded(grey, np.random.default_rng(0), 8)).all()
    assert (clouded(grey, np.random.default_rng(0), 0) == grey).all()
