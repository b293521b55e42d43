"""The processes of one launch, by torch.distributed.run or accelerate: what one of them does for all."""

from __future__ import annotations

from collections.abc import Callable

import torch
from accelerate import PartialState
from accelerate.utils import broadcast_object_list


def join_processes(device: torch.device) -> PartialState:
    """Return this process's place among those of its launch; alone it is the main one. Waits for the others."""
    return PartialState(cpu=device.type == "cpu")


def by_main(processes: PartialState, act: Callable[[], object]) -> None:
    """Let the main process act while the others wait. Where it fails, the others end quietly, since it says why."""
    failed = [processes.is_main_process]
    try:
        if processes.is_main_process:
            act()
            failed = [False]
    finally:
        if processes.num_processes > 1:
            broadcast_object_list(failed)
    if failed[0]:
        raise SystemExit(0)
