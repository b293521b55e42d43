"""What becomes of memory that is freed."""

from __future__ import annotations

import platform
import resource

import psutil
import pytest
import torch

from models.machine.allocator import keep_freed, return_freed

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other libraries return memory by themselves")
LARGE = 50_000_000
"""Bytes of a block that glibc would take from the system on its own."""


def taken_pages() -> int:
    """Clear a large block a few times; return how many pages the system had to give for it."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        torch.zeros(LARGE, dtype=torch.uint8).fill_(1)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


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
def test_a_freed_block_serves_the_next_tensor() -> None:
    plain = taken_pages()
    with keep_freed() as can:
        assert can
        taken_pages()
        kept, held = taken_pages(), psutil.Process().memory_info().rss
    assert kept < 0.1 * plain
    assert held - psutil.Process().memory_info().rss > 0.8 * LARGE, "it is returned at the end"


def test_other_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    with keep_freed() as can:
        assert not can
