"""One map to be made: the source image and the annotator with its parameters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from annotators.base import Annotator, create, parameters
from annotators.registry import annotator
from annotators.sources.images import load_image
from cnet_app.registry.conditions import condition
from cnet_app.request.limits import MAX_NAME, check_picture, check_text, check_total, checked_scalars
from cnet_app.request.pictures import picture_size
from cnet_app.request.plain import FrozenMap, Scalar, Versioned
from models.errors import InputError


@dataclass(frozen=True, kw_only=True)
class MapRequest(Versioned):
    """Everything that makes a map."""

    kind: ClassVar[str] = "map"
    condition: str
    annotator: str
    """Id of one of the condition's annotators."""
    annotator_parameters: Mapping[str, Scalar] = field(default_factory=dict)
    """By name; after construction every parameter is in it, absent ones with their default."""
    source_image: bytes = field(repr=False)
    """PNG at the size the map is made at."""

    def __post_init__(self) -> None:
        for name in ("condition", "annotator"):
            check_text(self, name, MAX_NAME)
        row = condition(self.condition)
        kind = annotator(self.annotator, row.annotators)
        if self.annotator not in row.annotators:
            raise InputError(
                f"annotator is {self.annotator!r}, but a map for {row.title} is made by one of: {', '.join(row.annotators)}."
            )
        checked = checked_scalars("annotator_parameters", self.annotator_parameters)
        made_by = create(kind, checked)
        filled = FrozenMap({name: getattr(made_by, name) for name in parameters(kind)})
        object.__setattr__(self, "annotator_parameters", filled)
        check_total([len(self.source_image)] if isinstance(self.source_image, bytes) else [])  # pyright: ignore[reportUnnecessaryIsInstance]
        check_picture("source_image", self.source_image, optional=False)

    @property
    def made_by(self) -> Annotator:
        """The annotator with these parameters."""
        return create(annotator(self.annotator), self.annotator_parameters)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The source image, (H, W, 3) RGB."""
        return load_image(self.source_image)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the map."""
        return picture_size(self.source_image)
