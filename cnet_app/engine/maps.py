"""Maps by networks, through the engine. Loads no torch."""

from __future__ import annotations

from cnet_app.engine.protocol import Engine, MapMade, Note
from cnet_app.maps.annotate import Annotated, MakeMap
from cnet_app.request.maps import MapRequest
from models.errors import EngineError


def maps_through(engine: Engine) -> MakeMap:
    """Return what `Maps` calls for annotators with a network."""

    def make(request: MapRequest) -> Annotated:
        notes: list[str] = []
        made: MapMade | None = None
        for event in engine.run(request):
            if isinstance(event, MapMade):
                made = event
            elif isinstance(event, Note):
                notes.append(event.text)
        if made is None:
            raise EngineError("The engine ended without a map; try again.")
        return Annotated(made.pixels, made.data, tuple(notes))

    return make
