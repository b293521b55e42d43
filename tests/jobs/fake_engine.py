"""An engine without a model: pictures that show their seed, and gates that a test can close."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import MutableSequence
from dataclasses import dataclass, field, replace
from typing import Any, assert_never

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from annotators.base import create
from annotators.maps.control_map import run_annotator
from annotators.registry import annotator
from annotators.sources.images import load_image
from cnet_app.engine.protocol import Downloading, EngineStatus, Event, Loading, MapMade, PictureMade, Prepared, Stepped
from cnet_app.engine.stream import Emit, Stream, run_in_thread
from cnet_app.maps.upscale import to_generation
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.tasks import Task
from cnet_app.request.units import ControlUnit
from cnet_app.request.upscale import UpscaleRequest
from models.downloads.download import DownloadProgress
from models.errors import CancelledError, EngineError


@dataclass
class FakeEngine:
    """Records its tasks, fails where `faults` has an error, waits for `may_load`, and at `gate` before the first step."""

    seconds: float = 0.0
    """Of one step."""
    gate: threading.Event = field(default_factory=threading.Event)
    may_load: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    faults: dict[str, BaseException] = field(default_factory=dict[str, BaseException])
    """Prompt to what is raised."""
    prompts: MutableSequence[str] = field(default_factory=list[str])
    downloads: list[str] = field(default_factory=list[str])
    """Ids of finished downloads."""
    download_bytes: int = 0
    state: EngineStatus = field(default_factory=lambda: EngineStatus(state="new"))
    unloads: int = 0

    def __post_init__(self) -> None:
        self.gate.set()
        self.may_load.set()

    def start(self) -> None:
        self.state = EngineStatus(state="ready", base="embedded", base_reason="this is a test", device="cpu")

    def go_down(self, message: str = "The engine stopped three times.") -> None:
        self.state = replace(self.state, state="down", message=message)

    def status(self) -> EngineStatus:
        return self.state

    def unload(self) -> None:
        self.unloads += 1

    def close(self) -> None:
        self.state = EngineStatus(state="down")

    def run(self, task: Task) -> Stream:
        if self.state.state == "down":
            raise EngineError(self.state.message)
        return run_in_thread(lambda emit, cancelled: self._perform(task, emit, cancelled), "fake")

    def _perform(self, task: Task, emit: Emit, cancelled: threading.Event) -> None:
        if isinstance(task, DownloadRequest):
            self._download(task, emit, cancelled)
        elif isinstance(task, MapRequest):
            made_by = create(annotator(task.annotator), task.annotator_parameters)
            pixels, data = run_annotator(made_by, load_image(task.source_image))
            emit(MapMade(pixels=pixels, data=data.to_json() if data else None))
        elif isinstance(task, GenerationRequest | UpscaleRequest):
            request = to_generation(task) if isinstance(task, UpscaleRequest) else task
            self._generate(request, emit, cancelled)
        else:
            assert_never(task)

    def _download(self, task: DownloadRequest, emit: Emit, cancelled: threading.Event) -> None:
        for id in task.ids:
            for done in range(0, self.download_bytes, 10_000_000):
                _check(cancelled)
                emit(Downloading(file=DownloadProgress(f"{id}.safetensors", done, self.download_bytes, None, None)))
                time.sleep(0.01)
            self.downloads.append(id)

    def _generate(self, request: GenerationRequest, emit: Emit, cancelled: threading.Event) -> None:
        self.prompts.append(request.prompt)
        if request.prompt in self.faults:
            raise self.faults[request.prompt]
        emit(Loading(name=request.base))
        _wait(self.may_load, cancelled)
        emit(Prepared(request=request))
        self.entered.set()
        for index in range(request.num_images):
            _wait(self.gate, cancelled)
            own = request.only_picture(index)
            for step in range(1, request.num_inference_steps + 1):
                _check(cancelled)
                time.sleep(self.seconds)
                emit(_stepped(own, index, step))
            emit(
                PictureMade(
                    index=index,
                    pixels=fake_picture(own, own.num_inference_steps),
                    facts={"device": "none", "scheduler": "ddim"},
                )
            )


def _check(cancelled: threading.Event) -> None:
    if cancelled.is_set():
        raise CancelledError("Cancelled.")


def _wait(gate: threading.Event, cancelled: threading.Event) -> None:
    while not gate.wait(0.01):
        _check(cancelled)


def _stepped(request: GenerationRequest, index: int, step: int) -> Event:
    buffer = io.BytesIO()
    Image.fromarray(fake_picture(request, step)[:128, :128]).save(buffer, "JPEG")
    return Stepped(image_index=index, step=step, steps=request.num_inference_steps, preview=buffer.getvalue())


def fake_picture(request: GenerationRequest, step: int) -> NDArray[np.uint8]:
    """(H, W, 3): its first map, tinted by the seed, brighter with every step."""
    shape = (request.height, request.width, 3)
    tint = np.random.default_rng(request.seed).integers(60, 255, 3)
    ramp = np.linspace(0.2, step / request.num_inference_steps, request.width)[None, :, None]
    picture = np.broadcast_to(tint * ramp, shape).astype(np.uint8)
    control = request.units[0].pixels if request.units else picture
    return np.maximum(picture, control) if control.shape == shape else picture


def request(prompt: str = "a test", **values: Any) -> GenerationRequest:
    """A small request with one canny unit."""
    unit = ControlUnit(condition="canny", control_image=encode_png(np.zeros((64, 64, 3), np.uint8)))
    small: dict[str, Any] = {"units": (unit,), "width": 64, "height": 64, "num_inference_steps": 3}
    return GenerationRequest(prompt=prompt, **(small | values))
