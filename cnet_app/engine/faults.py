"""A device that no longer works, recognised by what its library raises. Loads no torch."""

from __future__ import annotations

import re

from models.errors import is_out_of_memory

_BROKEN_DEVICE = re.compile(
    r"(CUDA|HIP) error|device-side assert|CUDNN_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR|MAPPING_ERROR)"
    r"|CUBLAS_STATUS_(EXECUTION_FAILED|INTERNAL_ERROR)|unspecified launch failure|illegal memory access",
    re.IGNORECASE,
)


def is_broken_device(error: BaseException) -> bool:
    """Return whether an exception means that every later call on this device fails too, until the process is started again."""
    return isinstance(error, RuntimeError) and not is_out_of_memory(error) and bool(_BROKEN_DEVICE.search(str(error)))
