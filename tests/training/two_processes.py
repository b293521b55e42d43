"""One of the processes of an accelerate launch: the runs of test_loop.py, a folder each, their logs written by the main process."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from accelerate import Accelerator

from cnet_app.training.loop import Loop
from cnet_app.training.run import Record, RunFolder, line
from cnet_app.training.trainable import create_trainable
from models.family_facts import Family
from models.tiny import tiny_base
from tests.training.examples import MemoryExamples
from tests.training.test_loop import TWO_PLANS


def main(folder: Path, family: Family) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    plan, run = replace(TWO_PLANS[family], batch_size=2), RunFolder(folder)

    def report(record: Record) -> None:
        with run.log.open("a") as file:
            file.write(line(record))

    trainable = create_trainable(tiny_base(family), plan)
    assert Loop(run, plan, trainable, MemoryExamples(trainable), None, Accelerator(cpu=True), report).train() == "done"


if __name__ == "__main__":
    for family in TWO_PLANS:
        main(Path(sys.argv[1]) / family, family)
