"""Stands for `python -m cnet_app` where only the handling of processes matters: `train resume|export` and `data build|check`.

A training writes a step every hundredth of a second and obeys the wishes; its data folder's name says what happens to it.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from cnet_app.training.run import GIVE_WAY_SECONDS, Record, RecordKind, RunFolder, Wish, line

ENDS: tuple[tuple[Wish, str], ...] = (("stop", "stopped"), ("pause", "paused"))


def record(run: RunFolder, kind: RecordKind, step: int, **values: Any) -> None:
    with run.log.open("a") as file:
        file.write(line(Record(kind=kind, step=step, time=time.time(), values=values)))


def state(run: RunFolder, step: int, name: str, message: str = "") -> None:
    record(run, "state", step, state=name, message=message, process_id=os.getpid())


def must_wait(run: RunFolder) -> bool:
    path = run.wish("give-way")
    return path.exists() and time.time() - path.stat().st_mtime < GIVE_WAY_SECONDS


def train(run: RunFolder) -> int:
    data = Path(run.plan().data).name
    if data == "refused":
        print("Another training runs in a terminal; wait for its end.", file=sys.stderr)
        return 2
    if data == "slow":
        time.sleep(60)
    steps = [one.step for one in run.records()[0] if one.kind == "step"]
    state(run, 0, "preparing", "The base model is loaded.")
    state(run, 0, "running")
    for step in range(max(steps, default=0) + 1, run.plan().steps + 1):
        if must_wait(run):
            state(run, step - 1, "waiting", "A picture is made first.")
            while must_wait(run):
                time.sleep(0.01)
            state(run, step - 1, "running")
        for wish, end in ENDS:
            if run.wish(wish).exists():
                return state(run, step - 1, end) or 0
        time.sleep(0.01)
        record(run, "step", step, loss=1 / step, learning_rate=1e-3, seconds=0.01, memory_mb=5)
    record(run, "checkpoint", run.plan().steps, path="checkpoints/x", best=True)
    return state(run, run.plan().steps, "done") or 0


def data(kind: str, folder: str) -> int:
    for done in range(1, 4):
        print(json.dumps({"done": done, "total": 3}), file=sys.stderr, flush=True)
    if folder.endswith("broken"):
        print("The folder is broken; mend it.", file=sys.stderr)
        return 2
    if folder.endswith("slow"):
        time.sleep(60)
    problem = {"kind": "blank", "where": "a", "message": "a is blank.", "pair": "a", "severity": 1.0}
    print(json.dumps({"pairs": 3, "left_out": []} if kind == "build" else {"pairs": 3, "problems": [problem] * 30}))
    return int(kind == "check")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("action")
    parser.add_argument("name", nargs="?")
    for flag in ("output-dir", "images", "output"):
        parser.add_argument(f"--{flag}")
    args, _ = parser.parse_known_args()
    if args.command == "data":
        return data(args.action, args.images or args.name)
    run = RunFolder(Path(args.output_dir) / "trainings" / args.name)
    if args.action == "export":
        (run.path / "was-exported").touch()
        return 0
    return train(run)


if __name__ == "__main__":
    raise SystemExit(main())
