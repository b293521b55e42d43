"""The runner of an app with all that it stands on. Loads no torch."""

from __future__ import annotations

from cnet_app.engine.create import create_engine
from cnet_app.engine.maps import maps_through
from cnet_app.jobs.runner import Runner
from cnet_app.jobs.scoring import Scorer
from cnet_app.maps.again import annotate_again
from cnet_app.maps.annotate import Maps, open_store
from cnet_app.settings import Settings


def create_runner(settings: Settings) -> tuple[Runner, Maps]:
    """Return a runner over a new engine, which measures its pictures, and the maps that go through the same engine."""
    engine = create_engine(settings)
    maps = Maps(maps_through(engine), open_store(settings))
    return Runner(settings, engine, Scorer(annotate_again(maps))), maps
