"""Fixtures of the golden results."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.golden.make import one_cpu_thread


@pytest.fixture(scope="module", autouse=True)
def _one_cpu_thread() -> Iterator[None]:  # pyright: ignore[reportUnusedFunction]
    """One thread, as for the references."""
    with one_cpu_thread():
        yield
