"""One run from its plan to its ControlNet: load, read, encode, estimate, train, export."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from filelock import FileLock, Timeout

from cnet_app.registry.conditions import condition
from cnet_app.request.training import TrainingPlan
from cnet_app.training import checkpoints
from cnet_app.training.advice import out_of_memory
from cnet_app.training.data.cache import encode_examples
from cnet_app.training.data.framing import Framing, bucket_of, frame_control
from cnet_app.training.data.notes import notes_on
from cnet_app.training.data.pairs import DataSet, Pair, image_size
from cnet_app.training.data.readers import read_data
from cnet_app.training.estimate import measure
from cnet_app.training.export import base_folder, export, export_folder
from cnet_app.training.loop import Loop
from cnet_app.training.probes import Probes, split
from cnet_app.training.progress import Progress
from cnet_app.training.run import PROBES, Record, RunFolder, State
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.base import Trainable
from cnet_app.training.watch import Log, repair_log
from models.errors import USER_ERRORS, InputError, OutOfMemoryError, SaveError, is_out_of_memory
from models.loader import Base, load_base, load_vae
from models.machine.allocator import keep_freed

LOCK = ".training.lock"
"""In the folder of all runs: one training at a time."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MIXED = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
"""accelerate's words for the number formats."""


def run_training(run: RunFolder, device: torch.device, show: Callable[[Record], None] = lambda record: None) -> State:
    """Train as the run's plan says, from its newest checkpoint on, and export the ControlNet at the end.

    `show` gets every record of the log. Raises USER_ERRORS, which are in the log too.
    """
    plan = run.plan()
    accelerator = create_accelerator(plan, device)
    keeping = keep_freed() if device.type == "cpu" else nullcontext()
    with _alone(run, accelerator.num_processes), keeping:
        _forget_wishes(run)
        repair_log(run)
        log = Log(run, show)
        try:
            state = _train(run, plan, accelerator, log)
        except Exception as error:
            told = _told(error, plan, device)
            log(_state("failed", str(told) if isinstance(told, USER_ERRORS) else f"It failed: {error}"))
            if told is error:
                raise
            raise told from error
        finally:
            log.close()
    return state


def _train(run: RunFolder, plan: TrainingPlan, accelerator: Accelerator, log: Log) -> State:
    main = accelerator.is_main_process
    report: Callable[[Record], None] = log if main else lambda record: None
    report(_state("preparing", "The base model is loaded."))
    trainable = create_trainable(_load_base(plan, accelerator.device), plan)
    data = read_data(Path(plan.data))
    validation = read_data(Path(plan.validation)) if plan.validation else None
    for text in (text for some in (data, validation) if some for text in notes_on(some, plan.condition)):
        _note(report, text)
    pairs, held_out = split(data, validation, plan)
    report(_state("preparing", f"{len(pairs)} pairs are read and encoded."))
    with accelerator.main_process_first():
        examples = encode_examples(
            pairs, plan, trainable, run.path / "cache", partial(_encoded, report), partial(_note, report)
        )
    probes = _probes(held_out, validation or data, plan) if held_out else None
    if probes is not None and main:
        _keep_maps(run, probes)
    loop = Loop(run, plan, trainable, examples, probes, accelerator, report)
    report(measure(loop, plan, trainable))
    report(_state("running", ""))
    state = loop.train()
    if state == "done" and main:
        _export(run, plan, trainable, loop, examples.key, report)
    report(_state(state, "", loop.progress.step))
    return state


def _export(
    run: RunFolder, plan: TrainingPlan, trainable: Trainable, loop: Loop, key: str, report: Callable[[Record], None]
) -> None:
    folder = run.path / "export" if plan.network == "lite" else export_folder(plan.name)
    with loop.averaged():
        files = export(trainable, plan, loop.progress, key, folder)
    values = {"path": str(folder), "files": [path.name for path in files]}
    if plan.unlock_after:
        values["base"] = str(base_folder(plan))
    report(Record(kind="exported", step=loop.progress.step, time=time.time(), values=values))


def export_newest(run: RunFolder, device: torch.device) -> tuple[int, Path]:
    """Export the newest checkpoint, also of a run that goes on; return its step and the folder of the ControlNet.

    Raises InputError where there is none yet, or the network is one that no tab takes, and what loading the base does.
    """
    plan = run.plan()
    if plan.network == "lite":
        raise InputError(
            f"{plan.name} is a ControlNet-lite, which no tab takes; its pictures are the samples of the run."
        )
    checkpoint = checkpoints.newest(run.checkpoints)
    if checkpoint is None:
        raise InputError(f"{plan.name} has no checkpoint yet; the first is written after step {plan.checkpoint_every}.")
    trainable = create_trainable(_load_base(plan, device), plan)
    if plan.unlock_after and checkpoint.step + 1 >= plan.unlock_after:
        trainable.unlock()
    trainable.load_trained(checkpoint.network)
    if checkpoint.average is not None:
        values = [value for group in trainable.groups() for value in group["params"]]
        for number, value in enumerate(values):
            value.data.copy_(checkpoint.average[str(number)])
    key = str(checkpoints.read_manifest(checkpoints.folder_of(run.checkpoints, checkpoint.step)).get("data", ""))
    folder = export_folder(plan.name)
    export(trainable, plan, Progress.from_state(checkpoint.state["progress"]), key, folder)
    return checkpoint.step, folder


def _state(state: State, message: str, step: int = 0) -> Record:
    values = {"state": state, "message": message, "process_id": os.getpid()}
    return Record(kind="state", step=step, time=time.time(), values=values)


def _encoded(report: Callable[[Record], None], done: int, total: int) -> None:
    report(_state("preparing", f"{done} of {total} pairs are encoded."))


def _note(report: Callable[[Record], None], message: str) -> None:
    report(Record(kind="note", step=0, time=time.time(), values={"message": message}))


def _load_base(plan: TrainingPlan, device: torch.device) -> Base:
    """A decoder that is trained needs float32."""
    dtype = torch.float32 if plan.unlock_after else DTYPES[plan.precision]
    base = load_base(plan.base, device, dtype)
    return replace(base, vae=load_vae(plan.vae, base.family, device, dtype)) if plan.vae else base


def _probes(pairs: Sequence[Pair], data: DataSet, plan: TrainingPlan) -> Probes:
    kind = condition(plan.condition).kind
    sizes = [bucket_of(*image_size(pair), plan.size, plan.buckets) for pair in pairs]

    def frame(control: Any, width: int, height: int) -> Any:
        return frame_control(control, Framing(width, height), kind)

    return Probes(pairs, data, plan, sizes, frame)


def _keep_maps(run: RunFolder, probes: Probes) -> None:
    """Write the probes' maps, for who looks at the samples. Raises SaveError."""
    folder = run.path / PROBES
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, unit in enumerate(probes.units):
            (folder / f"{number}.png").write_bytes(unit.control_image)
    except OSError as error:
        raise SaveError(
            f"{folder} cannot be written ({error.strerror}); make room, and resume the training."
        ) from error


def create_accelerator(plan: TrainingPlan, device: torch.device) -> Accelerator:
    """Raises InputError where the device cannot train in the plan's number format."""
    if plan.precision == "float16" and device.type != "cuda":
        raise InputError(
            f"precision is float16, but {device} cannot train in it; choose float32, or bfloat16 where the device has it."
        )
    create: Any = Accelerator
    return create(cpu=device.type == "cpu", mixed_precision=MIXED[plan.precision])


@contextmanager
def _alone(run: RunFolder, processes: int) -> Generator[None]:
    """Refuse a second training on this machine; the processes of one launch belong together."""
    if processes > 1:
        yield
        return
    lock = FileLock(run.path.parent / LOCK, timeout=0)
    try:
        with lock:
            yield
    except Timeout as error:
        raise InputError(
            f"Another training runs in {run.path.parent}; wait for its end, or stop it with `train stop NAME`."
        ) from error


def _forget_wishes(run: RunFolder) -> None:
    for wish in ("stop", "pause"):
        run.wish(wish).unlink(missing_ok=True)


def _told(error: Exception, plan: TrainingPlan, device: torch.device) -> Exception:
    """Return the error that the user reads: out of memory with what to change."""
    return OutOfMemoryError(out_of_memory(plan, device)) if is_out_of_memory(error) else error
