"""One run from its plan to its ControlNet: load, read, encode, estimate, train, export."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator, PartialState
from filelock import FileLock, Timeout

from cnet_app.registry.conditions import condition
from cnet_app.request.training import TrainingPlan, plan_to_json
from cnet_app.training.checks import check_plan, notes_on
from cnet_app.training.data.cache import encode_examples
from cnet_app.training.data.framing import Framing, bucket_of, frame_control
from cnet_app.training.data.notes import notes_on_data
from cnet_app.training.data.pairs import DataSet, Pair, image_size
from cnet_app.training.loop import Loop, Report
from cnet_app.training.memory.advice import out_of_memory
from cnet_app.training.memory.estimate import measure
from cnet_app.training.monitoring.probes import Probes
from cnet_app.training.monitoring.progress import Progress
from cnet_app.training.monitoring.watch import Log, append, repair_log
from cnet_app.training.processes import by_main, join_processes
from cnet_app.training.run import PROBES, Record, RunFolder, State
from cnet_app.training.signals import between_steps
from cnet_app.training.storage import checkpoints
from cnet_app.training.storage.checkpoints import Checkpoint
from cnet_app.training.storage.export import export
from cnet_app.training.storage.places import base_folder, check_name, export_folder
from cnet_app.training.trainable import create_trainable
from cnet_app.training.trainable.base import Trainable
from models.downloads.disk import disk_error
from models.errors import USER_ERRORS, InputError, OutOfMemoryError, SaveError, is_out_of_memory
from models.loader import Base, load_base, load_vae
from models.machine.allocator import keep_freed

LOCK = ".training.lock"
"""In the folder of all runs: one training at a time."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
MIXED = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
"""accelerate's words for the number formats."""


def run_training(run: RunFolder, device: torch.device, show: Report = lambda record: None) -> State:
    """Train as the run's plan says, from its newest checkpoint on, and export the ControlNet at the end.

    `show` gets every record of the log. Raises USER_ERRORS, which are in the log too. Of the processes of one launch, the
    main one alone writes. A signal to end makes it pause after the step that runs.
    """
    plan = run.plan()
    processes = join_processes(device)
    accelerator = create_accelerator(plan, device)
    keeping = keep_freed() if device.type == "cpu" else nullcontext()
    with _alone(run, plan, processes), keeping:
        log = Log(run, show) if processes.is_main_process else None
        report: Report = log or _to_nobody
        try:
            state = _train(run, plan, accelerator, report)
        except Exception as error:
            told = _told(error, plan, device)
            report(_state("failed", str(told) if isinstance(told, USER_ERRORS) else f"It failed: {error}"))
            if told is error:
                raise
            raise told from error
        finally:
            if log:
                log.close()
    return state


def _to_nobody(record: Record) -> None:
    """Take a record of a process that is not the main one."""


def _train(run: RunFolder, plan: TrainingPlan, accelerator: Accelerator, report: Report) -> State:
    main = accelerator.is_main_process
    report(_state("preparing", "The data are read."))
    data, validation, pairs, held_out = check_plan(plan)
    for text in (*notes_on(plan, data), *notes_on_data(data), *(notes_on_data(validation) if validation else ())):
        _note(report, text)
    report(_state("preparing", "The base model is loaded."))
    trainable = create_trainable(_load_base(plan, accelerator.device), plan)
    report(_state("preparing", f"{len(pairs)} pairs are read and encoded."))
    with accelerator.main_process_first():
        examples = encode_examples(
            pairs, plan, trainable, run.path / "cache", partial(_encoded, report), partial(_note, report)
        )
    probes = _probes(held_out, validation or data, plan) if held_out else None
    if probes is not None and main:
        _keep_maps(run, probes)
    loop = Loop(run, plan, trainable, examples, probes, accelerator, report)
    if differing := checkpoints.changes(run.checkpoints, plan_to_json(plan)):
        words = "; ".join(f"{name} was {old} and is {new}" for name, (old, new) in differing.items())
        _note(report, f"Resumed at step {loop.progress.step} with changes: {words}.")
    report(measure(loop, plan, trainable))
    report(_state("running", ""))
    with between_steps(loop.end_soon, tells=main):
        state = loop.train()
    if state == "done" and main:
        _export(run, plan, trainable, loop, examples.key, report)
    report(_state(state, "", loop.progress.step))
    return state


def _export(run: RunFolder, plan: TrainingPlan, trainable: Trainable, loop: Loop, key: str, report: Report) -> None:
    """Write the ControlNet of a run that is done: its last weights, or the best ones where it has stopped early."""
    folder = run.path / "export" if plan.network == "lite" else export_folder(plan.name)
    best = checkpoints.best(run.checkpoints) if loop.progress.step < plan.steps else None
    if best is not None and best != loop.progress.step:
        checkpoint = checkpoints.load(checkpoints.folder_of(run.checkpoints, best))
        put_weights(trainable, checkpoint)
        _note(report, f"The best checkpoint, of step {best}, is exported.", loop.progress.step)
        files = export(trainable, plan, Progress.from_state(checkpoint.state["progress"]), key, folder, run.id())
        report(_exported(plan, best, folder, files))
        return
    with loop.averaged():
        files = export(trainable, plan, loop.progress, key, folder, run.id())
    report(_exported(plan, loop.progress.step, folder, files))


def _exported(plan: TrainingPlan, step: int, folder: Path, files: Sequence[Path]) -> Record:
    values = {"path": str(folder), "files": [path.name for path in files]}
    if plan.unlock_after:
        values["base"] = str(base_folder(plan))
    return Record(kind="exported", step=step, time=time.time(), values=values)


def put_weights(trainable: Trainable, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into the network, the averaged ones where there are any."""
    trainable.load_trained(checkpoint.network)
    if checkpoint.average is not None:
        values = [value for group in trainable.groups() for value in group["params"]]
        for number, value in enumerate(values):
            value.data.copy_(checkpoint.average[str(number)])


def export_checkpoint(run: RunFolder, device: torch.device, which: str = "newest") -> tuple[int, Path]:
    """Export the checkpoint `newest`, `best` or of a step, also of a run that goes on; return its step and the folder.

    The run's log notes it. Raises InputError where there is none yet, or the network is one that no tab takes, and what
    loading the base does.
    """
    plan = run.plan()
    if plan.network == "lite":
        raise InputError(
            f"{plan.name} is a ControlNet-lite, which no tab takes; its pictures are the samples of the run."
        )
    check_name(plan, run.id())
    checkpoint = checkpoints.chosen(run.checkpoints, which)
    if checkpoint is None:
        raise InputError(f"{plan.name} has no checkpoint yet; the first is written after step {plan.checkpoint_every}.")
    trainable = create_trainable(_load_base(plan, device), plan)
    if plan.unlock_after and checkpoint.step + 1 >= plan.unlock_after:
        trainable.unlock()
    put_weights(trainable, checkpoint)
    key = str(checkpoints.read_manifest(checkpoints.folder_of(run.checkpoints, checkpoint.step)).get("data", ""))
    folder = export_folder(plan.name)
    files = export(trainable, plan, Progress.from_state(checkpoint.state["progress"]), key, folder, run.id())
    append(run, _exported(plan, checkpoint.step, folder, files))
    return checkpoint.step, folder


def _state(state: State, message: str, step: int = 0) -> Record:
    values = {"state": state, "message": message, "process_id": os.getpid()}
    return Record(kind="state", step=step, time=time.time(), values=values)


def _encoded(report: Report, done: int, total: int) -> None:
    report(_state("preparing", f"{done} of {total} pairs are encoded."))


def _note(report: Report, message: str, step: int = 0) -> None:
    report(Record(kind="note", step=step, time=time.time(), values={"message": message}))


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
def _alone(run: RunFolder, plan: TrainingPlan, processes: PartialState) -> Generator[None]:
    """Refuse a second training on this machine, and make the run's folder ready. The processes of one launch have one lock."""
    lock = FileLock(run.path.parent / LOCK, timeout=0)

    def take() -> None:
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(
                f"Another training runs in {run.path.parent}; wait for its end, or stop it with `train stop NAME`."
            ) from error
        check_name(plan, run.id())  # before hours of training, not after them
        for wish in ("stop", "pause"):
            run.wish(wish).unlink(missing_ok=True)
        repair_log(run)

    try:
        by_main(processes, take)
        yield
    finally:
        lock.release()


def _told(error: Exception, plan: TrainingPlan, device: torch.device) -> Exception:
    """Return the error that the user reads: out of memory with what to change, and a full disk as such."""
    if is_out_of_memory(error):
        return OutOfMemoryError(out_of_memory(plan, device))
    return error if isinstance(error, USER_ERRORS) else disk_error(error) or error
