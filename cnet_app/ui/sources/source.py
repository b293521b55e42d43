"""Interface of the inputs of a condition's tab."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Protocol

from annotators.base import Image
from annotators.poses import Pose
from cnet_app.registry.conditions import Condition
from cnet_app.ui.gradio_seams import Component, Updates, Values

Place = Literal["above", "pair", "below"]
"""Where in the tab it is built: above photo and map, in a row with the map, or below it."""


class Source(Protocol):
    """One input of a tab. Its components are built when it is created, inside the open layout."""

    id: ClassVar[str]
    place: ClassVar[Place]
    noun: ClassVar[str]
    """In the line that names its size."""
    choice: ClassVar[str]
    """Its title among the preprocessors, where it makes the map without one; empty where the preprocessors read it."""
    note: ClassVar[str]
    """Shown while it is chosen there."""

    def __init__(self, name: str) -> None:
        """Build the components; `name` begins their ids."""
        ...

    @classmethod
    def fits(cls, row: Condition) -> bool:
        """Return whether a condition offers this kind of input."""
        ...

    @property
    def components(self) -> set[Component]:
        """Inputs of a handler that reads it."""
        ...

    @property
    def filled_parts(self) -> list[Component]:
        """Outputs of a handler that fills it."""
        return list(self.components)

    @property
    def changes(self) -> list[Any]:
        """Events after which the map is another."""
        ...

    def is_empty(self, values: Values) -> bool:
        """Return whether there is nothing yet to make a map from."""
        ...

    def read(self, values: Values) -> Image | Pose:
        """Return the source image, (H, W, 3) RGB, or people as data. Raises InputError."""
        ...

    def filled(self, picture: Image | str) -> Updates:
        """Return what puts a picture, as pixels or as a path, into it; nothing where it takes none."""
        ...

    def example(self, picture: Image) -> Updates:
        """Return what puts the condition's example into it."""
        ...
