"""The app over a fake engine, for looking at the page where there is no model: `python -m tests.browser.fake_app --port 7861`."""

from __future__ import annotations

import sys

from annotators.runtime import Runtime
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.scoring import Scorer
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, run_here
from cnet_app.settings import read_settings
from cnet_app.ui.app import serve
from cnet_app.ui.stopping import until_stopped
from tests.jobs.fake_engine import FakeEngine

if __name__ == "__main__":
    chosen, maps = read_settings(), Maps(run_here(Runtime()))
    runner = Runner(chosen, FakeEngine(seconds=0.01), Scorer(annotate_again(maps)))
    sys.exit(until_stopped(lambda stop: serve(chosen, runner, maps, stop.wait)))
