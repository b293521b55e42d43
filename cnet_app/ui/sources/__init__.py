"""The kinds of input that a condition's map is made from: one file a kind, all with the same methods.

A new kind is a file with a class that has the methods of sources.source.Source, and a place in KINDS.
"""

from __future__ import annotations

from cnet_app.registry.conditions import Condition
from cnet_app.ui.sources.drawing import DrawingSource
from cnet_app.ui.sources.paint import PaintSource
from cnet_app.ui.sources.photo import PhotoSource
from cnet_app.ui.sources.pose import PoseSource
from cnet_app.ui.sources.source import Source

KINDS: tuple[type[Source], ...] = (DrawingSource, PaintSource, PhotoSource, PoseSource)
"""In the order in which a tab shows them."""


def kinds_for(row: Condition) -> list[type[Source]]:
    """Return the kinds of input that a condition offers."""
    return [kind for kind in KINDS if kind.fits(row)]
