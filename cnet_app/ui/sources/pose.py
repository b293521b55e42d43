"""People from a JSON file, as OpenPose and other tools write them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import gradio as gr

from annotators.base import Image
from annotators.poses import Pose, load_pose
from cnet_app.registry.conditions import Condition
from cnet_app.ui.gradio_seams import Component, Updates, Values
from cnet_app.ui.sources.source import Place, Source
from models.errors import InputError


class PoseSource(Source):
    """People as data: they are drawn at the size of the picture, without a network."""

    id: ClassVar[str] = "people"
    place: ClassVar[Place] = "below"
    noun: ClassVar[str] = "pose"
    choice: ClassVar[str] = "Pose from a file (JSON)"
    note: ClassVar[str] = "The people of the file are drawn as they are."

    def __init__(self, name: str) -> None:
        self.file = gr.UploadButton("Load pose (JSON)", size="sm", file_types=[".json"], elem_id=f"{name}-people")

    @classmethod
    def fits(cls, row: Condition) -> bool:
        return row.kind.id == "pose"

    @property
    def components(self) -> set[Component]:
        return {self.file}

    @property
    def changes(self) -> list[Any]:
        return [self.file.upload]

    def is_empty(self, values: Values) -> bool:
        return not values[self.file]

    def read(self, values: Values) -> Pose:
        if not values[self.file]:
            raise InputError("There is no pose yet; load one from a JSON file, or choose another preprocessor.")
        return load_pose(Path(values[self.file]))

    def filled(self, picture: Image | str) -> Updates:
        return {}

    def example(self, picture: Image) -> Updates:
        return {}
