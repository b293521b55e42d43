"""Signals to the app and to its page without a model: it ends in order, and what it did not finish can be continued."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cnet_app.jobs.runner import HISTORY, Runner
from cnet_app.jobs.store import Store
from cnet_app.settings import Settings
from tests.faults.conftest import IS_POSIX
from tests.jobs.fake_engine import FakeEngine
from tests.jobs.test_runner import finish
from tests.source import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not IS_POSIX, reason="Windows has other signals")]
LONGEST = 9.0
"""Seconds from the signal to the end: containers are killed after ten."""
PATIENCE = 120.0

SERVE = """
import sys, time
from cnet_app.ui.stopping import until_stopped

def run(stop):
    from pathlib import Path
    from annotators.runtime import Runtime
    from cnet_app.engine.process import ProcessEngine
    from cnet_app.jobs.runner import Runner
    from cnet_app.maps.annotate import Maps, run_here
    from cnet_app.settings import Settings
    from tests.engine import children
    from tests.jobs.fake_engine import request

    settings = Settings(output_dir=Path(sys.argv[1]), cache_dir=sys.argv[1] + "/cache", port=0)
    engine = ProcessEngine(settings, children.serve)
    runner = Runner(settings, engine)

    def wait():
        runs = runner.submit(request("wait", num_images=2), "me")
        for prompt in ("first", "second"):
            runner.submit(request(prompt), "me")
        while runner.state(runs).status != "running" or engine.status().state != "ready":
            time.sleep(0.05)
        print("engine", engine.status().process_id, flush=True)
        stop.wait()

    if sys.argv[2] == "alone":
        wait()
        return
    from cnet_app.ui.app import serve
    serve(settings, runner, Maps(run_here(Runtime())), wait)

if __name__ == "__main__":
    sys.exit(until_stopped(run))
"""


def hears_interrupts() -> None:
    """Undo what a shell does to processes in its background, so that the tests may run there."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def started(folder: Path, how: str) -> tuple[subprocess.Popen[str], int]:
    """Return the app, with its "page" or "alone", with one running and two waiting jobs, and its engine's process id."""
    script = folder / "app_of_the_test.py"
    script.write_text(SERVE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GRADIO_TEMP_DIR": str(folder / "uploads")}
    app = subprocess.Popen(
        [sys.executable, str(script), str(folder / "pictures"), how], cwd=ROOT, env=environment,
        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hears_interrupts,
    )  # fmt: skip
    assert app.stdout is not None
    for line in app.stdout:
        if line.startswith("engine "):
            return app, int(line.split()[1])
    raise AssertionError(app.communicate()[1])


def gone(pid: int) -> bool:
    """Return whether a process ends within a few seconds."""
    ends = time.monotonic() + 5
    while psutil.pid_exists(pid) and time.monotonic() < ends:
        time.sleep(0.05)
    return not psutil.pid_exists(pid)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_the_app_in_order_and_its_jobs_continue_after_the_next_start(tmp_path: Path, name: str) -> None:
    app, engine = started(tmp_path, "page")
    began = time.monotonic()
    app.send_signal(getattr(signal, name))
    if name == "SIGTERM":
        app.send_signal(signal.SIGTERM)  # as some supervisors do
    _, errors = app.communicate(timeout=PATIENCE)
    assert app.returncode == 0, errors
    assert time.monotonic() - began < LONGEST
    assert "Traceback" not in errors
    assert gone(engine)
    records = Store(tmp_path / "pictures" / HISTORY).recent()
    assert {record.prompt: record.status for record in records} == dict.fromkeys(
        ("wait", "first", "second"), "interrupted"
    )
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine())
    for record in records:
        assert finish(runner, runner.resume(record.id, "me")).status == "done"
    assert runner.library.search().total == 4
    assert not list((tmp_path / "pictures").glob("*.part"))
    runner.close()


def test_a_kill_leaves_no_engine_and_its_jobs_continue_after_the_next_start(tmp_path: Path) -> None:
    app, engine = started(tmp_path, "alone")
    app.kill()
    app.communicate(timeout=PATIENCE)
    assert gone(engine)
    runner = Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine())
    assert {record.status for record in runner.history()} == {"interrupted"}
    ends = [finish(runner, runner.resume(record.id, "me")).status for record in runner.history()]
    assert ends == ["done"] * 3
    runner.close()


@pytest.mark.parametrize("after", [0.5, 1.5, 3.0])
def test_a_signal_while_the_app_starts_ends_it_without_a_traceback(tmp_path: Path, after: float) -> None:
    command = [sys.executable, "app.py", "--port", "0", "--output-dir", str(tmp_path / "pictures")]
    app = subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_until(lambda: _takes_signals(app.pid))
    time.sleep(after)
    app.terminate()
    _, errors = app.communicate(timeout=PATIENCE)
    assert (app.returncode, errors) == (0, "")
    Runner(Settings(output_dir=tmp_path / "pictures"), FakeEngine()).close()


def wait_until(is_so: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < ends
        time.sleep(0.02)


def _takes_signals(pid: int) -> bool:
    """Return whether a process has a handler for SIGTERM; on other systems than Linux, soon enough."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        time.sleep(1.0)
        return True
    (caught,) = [line.split()[1] for line in status.read_text().splitlines() if line.startswith("SigCgt")]
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


def test_a_signal_that_was_turned_off_stays_so(tmp_path: Path) -> None:
    code = """
import os, signal
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from cnet_app.ui.stopping import until_stopped
def run(stop):
    os.kill(os.getpid(), signal.SIGHUP)
    print("still here", flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
raise SystemExit(until_stopped(run))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "still here\n", "")
