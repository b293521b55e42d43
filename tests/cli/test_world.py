"""`world`: scenes by seed."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.conftest import Call


def test_world_draws_the_same_scene_for_the_same_seed(call: Call, tmp_path: Path) -> None:
    code, out, _ = call("world", "--seed", 1, "--count", 1, "--size", 64, "--output", tmp_path / "a", "--json")
    (sample,) = json.loads(out)["samples"]
    call("world", "--seed", 1, "--count", 1, "--size", 64, "--output", tmp_path / "b")
    assert code == 0
    assert sample["caption"] in (tmp_path / "a" / "captions.jsonl").read_text()
    for path in (sample["image"], *sample["maps"].values()):
        assert Path(path).read_bytes() == (tmp_path / "b" / Path(path).name).read_bytes()
