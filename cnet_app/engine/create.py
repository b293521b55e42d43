"""The engine that the settings name."""

from __future__ import annotations

from cnet_app.engine.protocol import Engine
from cnet_app.settings import Settings


def create_engine(settings: Settings, previews: bool = True) -> Engine:
    """Return an engine in a process of its own, which loads no torch here, or in a thread of this one.

    Without `previews`, which a process always makes, steps come without pictures, and take less time.
    """
    if settings.engine == "process":
        from cnet_app.engine.process import ProcessEngine

        return ProcessEngine(settings)
    from cnet_app.engine.torch_engine import TorchEngine

    return TorchEngine(settings, previews)
