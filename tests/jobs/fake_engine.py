"""An engine without a model: pictures that show their seed, and doors a test can close."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnet_app.engine.engine import Engine, FileProgress
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.errors import CancelledError
from models.stopping import stopping_point


@dataclass
class FakeEngine:
    """Records what it is asked, fails where `faults` says so, waits for `may_load`, and at `gate` before the first step."""

    seconds: float = 0.0
    """Of one step."""
    gate: threading.Event = field(default_factory=threading.Event)
    may_load: threading.Event = field(default_factory=threading.Event)
    entered: threading.Event = field(default_factory=threading.Event)
    faults: dict[str, BaseException] = field(default_factory=dict)
    """Prompt, or `base:ID`, to what is raised."""
    download: int = 0
    """Bytes of every file."""
    prompts: list[str] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.gate.set()
        self.may_load.set()

    def engine(self) -> Engine:
        return Engine(self.choose_base, self.load_base, self.load_controlnet, self.generate, fetch=self.fetch)

    def choose_base(self) -> tuple[str, str]:
        return "embedded", "this is a test"

    def fetch(self, id: str, progress: FileProgress) -> None:
        for done in range(0, self.download, 10_000_000):
            progress(f"{id}.safetensors", done, self.download)
            time.sleep(0.01)

    def load_base(self, id: str, rung: Any) -> Any:
        assert self.may_load.wait(5)
        stopping_point()
        self.loaded.append(id)
        if f"base:{id}" in self.faults:
            raise self.faults[f"base:{id}"]
        return SimpleNamespace(id=id, family="embedded", rung=rung)

    def load_controlnet(self, id: str, base: Any) -> Any:
        self.loaded.append(id)
        return SimpleNamespace(id=id, base=base)

    def generate(
        self,
        base: Any,
        controlnets: Sequence[Any],
        request: GenerationRequest,
        *,
        on_step: Callable[[Any], None],
        on_note: Callable[[str], None],
        cancelled: Callable[[], bool],
    ) -> list[NDArray[np.uint8]]:
        self.prompts.append(request.prompt)
        if request.prompt in self.faults:
            raise self.faults[request.prompt]
        self.entered.set()
        while not self.gate.wait(0.01):
            if cancelled():
                raise CancelledError("stopped")
        for step in range(1, request.num_inference_steps + 1):
            if cancelled():
                raise CancelledError("stopped")
            time.sleep(self.seconds)
            picture = fake_picture(request, step)
            on_step(
                SimpleNamespace(
                    image_index=0,
                    step=step,
                    steps=request.num_inference_steps,
                    preview=lambda picture=picture: picture,
                    norms=lambda: [[1.0]],
                )
            )
        return [fake_picture(request, request.num_inference_steps)]


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
