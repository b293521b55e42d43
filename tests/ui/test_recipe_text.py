"""A line of the history in words."""

from __future__ import annotations

import time
from dataclasses import replace

from cnet_app.jobs.store import Record
from cnet_app.ui.recipe_text import LONGEST, record_line

RECORD = Record(
    id="1", kind="generation", schema=2, created=1e9, status="done", session="", prompt="", base="sd15", conditions="",
    width=64, height=64, num_images=1, seed=1, seconds=1.0, error="", paths=(), scores={},
)  # fmt: skip


def test_a_long_prompt_is_cut_to_the_longest_line() -> None:
    def line(prompt: str) -> str:
        return record_line(replace(RECORD, prompt=prompt))

    exact, longer = "x" * LONGEST, "y" * (LONGEST + 1)
    assert line(exact).endswith(f" · done · {exact}")
    assert line(longer).endswith(f" · {'y' * (LONGEST - 1)}…")
    assert line("").endswith(" · done · no prompt")
    assert line("").startswith(time.strftime("%d %b %H:%M", time.localtime(1e9)))
