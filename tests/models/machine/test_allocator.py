"""What becomes of memory that is freed."""

from __future__ import annotations

import platform
import subprocess
import sys

import psutil
import pytest

from models.machine.allocator import keep_freed, return_freed
from tests.source import ROOT

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries return memory by themselves")
LARGE = 50_000_000
"""Bytes of a block that glibc would take from the system on its own."""
PAGES_AND_MEMORY = f"""
import resource
import numpy as np
import psutil
from models.machine.allocator import keep_freed

def taken_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        np.full({LARGE}, 1, np.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

plain = taken_pages()
with keep_freed() as can:
    assert can
    taken_pages()
    kept, held = taken_pages(), psutil.Process().memory_info().rss
print(plain, kept, held - psutil.Process().memory_info().rss)
"""
"""Clears a large block a few times, and prints how many pages the system had to give for it, first as usual, then with freed memory
kept, and how many bytes are returned at the end."""


@glibc
def test_memory_between_pieces_in_use_is_returned() -> None:
    pieces = [bytes(2000) for _ in range(30_000)]
    kept = pieces[::100]
    del pieces
    process = psutil.Process()
    before = process.memory_info().rss
    return_freed()
    assert before - process.memory_info().rss > 20_000_000
    assert len(kept) == 300


@glibc
def test_a_freed_block_serves_the_next_one() -> None:
    """In a process of its own, as trainings are: glibc treats the heap of one that has run for long in other ways."""
    command = [sys.executable, "-c", PAGES_AND_MEMORY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    plain, kept, returned = map(int, done.stdout.split())
    assert kept < 0.1 * plain
    assert returned > 0.8 * LARGE


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with keep_freed() as can:
        assert not can
