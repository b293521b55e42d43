"""Control units without a network of their own: the base itself reads their maps."""

from __future__ import annotations

from torch import nn


class NoNetwork(nn.Module):
    """Stands in the place of a ControlNet where the base reads a unit's map. It has no weights, and never runs."""
