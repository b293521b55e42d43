"""A run's folder as a training leaves it, with invented values: for looking at the page where nothing is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cnet_app.request.pictures import encode_png
from cnet_app.request.training import TrainingPlan
from cnet_app.training.run import Record, RecordKind, RunFolder, create_run, line

STEPS, EVERY, PROBES, JUMP = 200, 20, 2, 120


def write_run(outputs: Path, name: str = "example") -> RunFolder:
    """Write a run that is done below the folder of pictures; it converges at step JUMP."""
    plan = TrainingPlan(
        name=name, condition="canny", data="data", steps=STEPS, probe_every=EVERY, probes=PROBES, size=64
    )
    run = create_run(outputs / "trainings", plan)
    generator = np.random.default_rng(0)
    for folder in ("probes", "samples"):
        (run.path / folder).mkdir()
    for number in range(PROBES):
        (run.path / "probes" / f"{number}.png").write_bytes(encode_png(_picture(generator)))
    lines: list[str] = []

    def record(kind: RecordKind, step: int, **values: object) -> None:
        lines.append(line(Record(kind=kind, step=step, time=1e9 + step, values=values)))

    memory = {"base": 60, "network": 12, "total": 150}
    record("estimate", 0, memory_mb=memory, seconds={"step": 0.5, "total": 100})
    for step in range(STEPS + 1):
        if step:
            loss = float(0.5 / np.sqrt(step) * generator.uniform(0.5, 2))
            record("step", step, loss=loss, learning_rate=1e-5, seconds=0.5, memory_mb=900)
        if step % EVERY == 0:
            paths = [f"samples/step-{step:06d}-{number}.png" for number in range(PROBES)]
            for path in paths:
                (run.path / path).write_bytes(encode_png(_picture(generator)))
            score = 0.6 if step >= JUMP else 0.2
            record("probe", step, scores=[score] * PROBES, score=score, pictures=paths)
        if step == JUMP + EVERY:
            record("converged", step, at=JUMP, before=0.2, score=0.6)
    record("checkpoint", JUMP, path=f"checkpoints/step-{JUMP:06d}", best=True)
    record("checkpoint", STEPS, path=f"checkpoints/step-{STEPS:06d}", best=False)
    record("note", STEPS, message="No look at the probes has been better for 5 looks.")
    record("state", STEPS, state="done", message="", process_id=1)
    run.log.write_text("".join(lines))
    return run


def write_pairs(folder: Path) -> Path:
    """Write three pairs."""
    for name in ("images", "conditioning_images"):
        (folder / name).mkdir(parents=True)
        for number in range(3):
            (folder / name / f"{number}.png").write_bytes(encode_png(_picture(np.random.default_rng(number))))
    return folder


def _picture(generator: np.random.Generator) -> np.ndarray:
    return np.kron(generator.integers(0, 255, (4, 4, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
