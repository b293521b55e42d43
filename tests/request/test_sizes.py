"""Sizes of pictures that follow a photo."""

from __future__ import annotations

import pytest

from cnet_app.request.sizes import fit_budget


@pytest.mark.parametrize("multiple", [8, 16])
@pytest.mark.parametrize(("width", "height"), [(640, 427), (451, 300), (300, 451), (1000, 100), (512, 512)])
def test_a_size_lies_on_the_grid_of_the_family(width: int, height: int, multiple: int) -> None:
    found = fit_budget(width, height, 1024, multiple)
    assert all(side % multiple == 0 for side in found)
    ratio = min(max(width / height, 1 / 3), 3)
    assert found[0] / found[1] == pytest.approx(ratio, rel=0.03)
    assert found[0] * found[1] == pytest.approx(1024**2, rel=0.1)


def test_a_finer_grid_is_nearer_to_the_photo() -> None:
    assert fit_budget(451, 300, 512, 8) == (624, 416)
    assert fit_budget(451, 300, 512, 16) == (624, 416)
    assert fit_budget(443, 300, 512, 8) == (624, 424)
    assert fit_budget(443, 300, 512, 16) == (624, 416)
