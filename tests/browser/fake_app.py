"""The app over a fake engine, for looking at the page where there is no model: `python -m tests.browser.fake_app --port 7861`."""

from __future__ import annotations

from cnet_app.engine.maps import maps_through
from cnet_app.jobs.runner import Runner
from cnet_app.maps.annotate import Maps
from cnet_app.settings import read_settings
from cnet_app.ui.app import serve
from tests.jobs.fake_engine import FakeEngine

if __name__ == "__main__":
    chosen = read_settings()
    engine = FakeEngine(seconds=0.1)
    serve(chosen, Runner(chosen, engine), Maps(maps_through(engine)))
