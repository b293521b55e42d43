"""What TensorBoard shows of a run, read from its event files."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnet_app.training.monitoring.watch import Log
from cnet_app.training.run import Record, RunFolder


def events(folder: Path) -> list[Any]:
    """The events of a folder's files: each record is a length, its checksum, the event and its checksum."""
    event_pb2 = pytest.importorskip("tensorboardX.proto.event_pb2")
    found: list[Any] = []
    for path in folder.iterdir():
        data = path.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            found.append(event_pb2.Event.FromString(data[12 : 12 + length]))
            data = data[16 + length :]
    return found


def test_curves_probes_samples_and_the_jump_are_events(tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "one")
    run.samples.mkdir(parents=True)
    Image.fromarray(np.full((8, 8, 3), 200, np.uint8)).save(run.samples / "step-000002-0.png")
    log = Log(run)
    step = {"loss": 0.5, "learning_rate": 1e-4, "seconds": 0.1, "memory_mb": None}
    log(Record(kind="step", step=1, time=0.0, values=step))
    probe = {"scores": [0.25, None], "score": 0.25, "pictures": ["samples/step-000002-0.png"]}
    log(Record(kind="probe", step=2, time=0.0, values=probe))
    log(Record(kind="converged", step=2, time=0.0, values={"at": 2, "before": 0.1, "score": 0.6}))
    log.close()
    values = [(event.step, value) for event in events(run.path / "tensorboard") for value in event.summary.value]
    scalars = {(step, value.tag): value.simple_value for step, value in values if value.HasField("simple_value")}
    assert scalars == pytest.approx({
        (1, "training/loss"): 0.5, (1, "training/learning_rate"): 1e-4, (1, "training/seconds"): 0.1,
        (2, "training/score"): 0.25, (2, "probes/0"): 0.25,
    })  # fmt: skip
    (image,) = [value for _, value in values if value.HasField("image")]
    assert (image.tag, image.image.width, image.image.height) == ("probes/0", 8, 8)
    texts = [value.tensor.string_val[0].decode() for _, value in values if value.HasField("tensor")]
    assert texts == ["Step 2: agreement 0.10 → 0.60"]
