"""What a failed call of a library means: no memory, a device that no longer works, or a fault of ours. Loads no torch."""

from __future__ import annotations

import re

_OUT_OF_MEMORY = re.compile(
    r"out of memory"  # CUDA, MPS ("MPS backend out of memory"), ROCm, onnxruntime's CUDA arena
    r"|can't allocate memory|not enough memory"  # torch's CPU allocator, Linux and Windows
    r"|ALLOC_FAILED"  # cuBLAS and cuDNN
    r"|failed to allocate memory|bad_alloc|bad allocation"  # onnxruntime, C++
    r"|Insufficient memory|Failed to allocate \d+ bytes"  # OpenCV
    r"|Invalid buffer size|Tried to allocate",  # MPS
    re.IGNORECASE,
)
_BROKEN_DEVICE = re.compile(
    r"(CUDA|HIP) error|device-side assert|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
    r"|CUBLAS_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|unspecified launch failure|illegal memory access",
    re.IGNORECASE,
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception of torch, onnxruntime, OpenCV, numpy or Python means that memory ran out."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError | OSError) | _is_of_opencv(error) and bool(_OUT_OF_MEMORY.search(str(error)))


def is_broken_device(error: BaseException) -> bool:
    """Whether an exception means that every later call on this device fails too, until the process is started again."""
    return isinstance(error, RuntimeError) and not is_out_of_memory(error) and bool(_BROKEN_DEVICE.search(str(error)))


def _is_of_opencv(error: BaseException) -> bool:
    """cv2.error derives from Exception alone."""
    return type(error).__module__.startswith("cv2")
