"""What `train` prints of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnet_app.cli import train
from cnet_app.request.training import TrainingPlan
from cnet_app.training.run import Record, create_run


def test_overfitting_is_said_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = create_run(tmp_path, TrainingPlan(name="one", condition="canny", data="data", steps=40))
    show = train._show(run)  # pyright: ignore[reportPrivateUsage]
    for step in range(1, 41):
        loss = {"loss": 1 - step / 80, "learning_rate": 1e-4, "seconds": 0.1, "memory_mb": None}
        show(Record(kind="step", step=step, time=0.0, values=loss))
        score = 0.7 - 0.01 * abs(step - 10)
        show(Record(kind="probe", step=step, time=0.0, values={"scores": [score], "score": score, "pictures": []}))
    assert capsys.readouterr().out.count("learns these pairs by heart") == 1
