"""A photo: uploaded, pasted or taken."""

from __future__ import annotations

from typing import Any, ClassVar

from annotators.base import Image
from cnet_app.registry.conditions import Condition
from cnet_app.ui.forms.controls import photo_input, read_photo
from cnet_app.ui.gradio_seams import Component, Updates, Values
from cnet_app.ui.sources.source import Place, Source


class PhotoSource(Source):
    """The picture that preprocessors read, or a map of the user's own."""

    id: ClassVar[str] = "photo"
    place: ClassVar[Place] = "pair"
    noun: ClassVar[str] = "photo"
    choice: ClassVar[str] = ""
    note: ClassVar[str] = ""

    def __init__(self, name: str, height: int = 300) -> None:
        self.photo = photo_input("Photo", elem_id=f"{name}-photo", height=height, min_width=150)

    @classmethod
    def fits(cls, row: Condition) -> bool:
        return not row.masked

    @property
    def components(self) -> set[Component]:
        return {self.photo}

    @property
    def changes(self) -> list[Any]:
        return [self.photo.change]

    def is_empty(self, values: Values) -> bool:
        return not values[self.photo]

    def read(self, values: Values) -> Image:
        return read_photo(values[self.photo])

    def filled(self, picture: Image | str) -> Updates:
        return {self.photo: picture}

    def example(self, picture: Image) -> Updates:
        return self.filled(picture)
