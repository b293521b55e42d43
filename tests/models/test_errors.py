"""Which exceptions of libraries mean that the memory is too small."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.errors import DamagedError, OutOfMemoryError, WeightsError, is_out_of_memory


def test_real_failures_to_allocate_are_recognised() -> None:
    with pytest.raises(RuntimeError) as of_torch:
        torch.empty(10**15)
    with pytest.raises(MemoryError) as of_numpy:
        np.empty(10**15)
    assert is_out_of_memory(of_torch.value)
    assert is_out_of_memory(of_numpy.value)


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("The picture is too large."),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("MPS backend out of memory (MPS allocated: 8.00 GB)."),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4 bytes."),
        Exception("[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Exception during initialization: std::bad_alloc"),
    ],
)
def test_too_little_memory(error: Exception) -> None:
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("Error(s) in loading state_dict for HED: Missing key(s)"),
        DamagedError("net.pth is damaged"),
        WeightsError("memory.pth is not on this disk"),
        OSError(28, "No space left on device"),
        KeyboardInterrupt("out of memory"),
    ],
)
def test_other_failures(error: BaseException) -> None:
    assert not is_out_of_memory(error)
