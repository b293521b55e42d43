"""Annotators that need no download still make the maps they made."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.golden import references
from tests.golden.__main__ import main
from tests.golden.make import available_annotators, make_map, make_scene, map_kind
from tests.golden.references import (
    ELSEWHERE,
    EXACT,
    HARD,
    MAPS,
    SCENE,
    SCENE_SEED,
    SMOOTH,
    fault,
    load,
    source_image,
)


@pytest.mark.parametrize("id", sorted(path.stem for path in MAPS.glob("*.png")))
def test_an_annotator_makes_its_map(id: str) -> None:
    kind = map_kind(id)
    found = fault(MAPS / f"{id}.png", make_map(id, source_image(kind)), ELSEWHERE.get(kind, SMOOTH))
    assert not found, found


def test_every_annotator_without_a_download_has_a_reference() -> None:
    missing = [id for id in available_annotators() if not (MAPS / f"{id}.png").exists()]
    assert not missing, f"run python -m tests.golden {' '.join(missing)}"


def test_the_scene_that_maps_are_made_of_is_drawn_as_before() -> None:
    found = fault(SCENE, make_scene(SCENE_SEED), SMOOTH)
    assert not found, found


def test_a_small_change_of_a_map_is_noticed_on_any_machine() -> None:
    lines = load(MAPS / "canny.png")
    moved = np.roll(lines, 1, axis=1)
    assert EXACT.fault(moved, lines)
    assert HARD.fault(moved, lines)
    grey = load(MAPS / "depth_embedded.png")
    brighter = np.clip(grey.astype(int) + 1, 0, 255).astype(np.uint8)
    assert EXACT.fault(brighter, grey)
    assert SMOOTH.fault(brighter, grey)


def test_another_machine_writes_the_first_reference_of_a_map_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "is_same_machine", lambda: False)
    with pytest.raises(SystemExit, match="describes another machine, so that blur cannot be written again"):
        main(["blur"])
    monkeypatch.setattr(references, "MAPS", tmp_path)
    main(["blur"])
    assert np.array_equal(load(tmp_path / "blur.png"), load(MAPS / "blur.png"))
