"""The engine in this process: the only place where the app runs networks."""

from __future__ import annotations

import io
import logging
import platform
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, assert_never

import diffusers
import torch
from PIL import Image as Pillow

from annotators.base import Image, create
from annotators.maps.control_map import run_annotator
from annotators.registry import annotator
from annotators.runtime import LoadedNetworks, Runtime
from annotators.sources.images import load_image
from cnet_app import __version__
from cnet_app.diffusion import pipeline
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.schedulers import scheduler_facts
from cnet_app.engine.faults import is_broken_device
from cnet_app.engine.loaded import LoadedModels
from cnet_app.engine.protocol import (
    PREVIEW_INTERVAL,
    PREVIEW_SIDE,
    Downloading,
    EngineStatus,
    MapMade,
    Note,
    PictureMade,
    Prepared,
    Stepped,
)
from cnet_app.engine.stream import Emit, Stream, run_in_thread
from cnet_app.maps.upscale import to_generation
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.prompts.tags import take_tags
from cnet_app.request.tasks import Task
from cnet_app.request.upscale import UpscaleRequest
from cnet_app.settings import Settings
from models.catalogue.resolve import download_steps
from models.catalogue.weights import fetch_row
from models.downloads.download import DownloadProgress
from models.errors import USER_ERRORS, CancelledError, EngineError, OutOfMemoryError, is_out_of_memory
from models.machine import devices, memory
from models.stopping import stoppable

LOG = logging.getLogger(__name__)
REPRODUCIBLE = "bit for bit on one device, since pictures are made one by one"
MAP_RESERVE = 2_000_000_000
"""Free bytes of the device from which on a map is made while a picture runs."""
PATIENCE = 0.1
"""Seconds between two looks at a cancellation while a task waits for its lane."""


class TorchEngine:
    """Runs tasks on this machine's device. Thread-safe: pictures run one at a time, and so do maps."""

    def __init__(self, settings: Settings, previews: bool = True) -> None:
        self._settings, self._previews = settings, previews
        self._device, dtype = devices.choose_device(settings.device, settings.speed)
        self._device_bytes, self._value_bytes = memory.total_bytes(self._device), dtype.itemsize
        self._choice = _choose_base(settings.base, self._device)
        loading = threading.Lock()
        self._runtime = Runtime(str(self._device), LoadedNetworks(loading))
        self._cache = EncodingCache()
        self._models = LoadedModels(
            settings, (self._device, dtype), lambda: self._runtime.networks.release() > 0, loading
        )
        self._pictures, self._maps = threading.Lock(), threading.Lock()
        self._loaded: tuple[tuple[str, ...], int] = (), 0
        """Names and bytes of what is loaded, as of the last task."""

    def run(self, task: Task) -> Stream:
        """Start a task in a thread of its own; see Engine.run."""
        return run_in_thread(lambda emit, cancelled: self.perform(task, emit, cancelled), type(task).__name__)

    def perform(self, task: Task, emit: Emit, cancelled: threading.Event) -> None:
        """Run a task in this thread. Raises USER_ERRORS, and EngineError where the device no longer works."""

        def check() -> None:
            if cancelled.is_set():
                raise CancelledError("The task was cancelled.")

        try:
            with stoppable(check):
                self._perform(task, emit, check)
        except USER_ERRORS:
            raise
        except Exception as error:
            if is_broken_device(error):
                raise EngineError(f"The device {self._device} stopped working ({error}).") from error
            raise

    def status(self) -> EngineStatus:
        """Return at once, whatever runs."""
        return EngineStatus(
            state="ready",
            base=self._choice.id,
            base_reason=self._choice.reason,
            base_offer=devices.GPU_BASE if self._choice.offer else "",
            device=str(self._device),
            device_bytes=self._device_bytes,
            value_bytes=self._value_bytes,
            loaded=self._loaded[0],
            loaded_bytes=self._loaded[1],
        )

    def warm_up(self) -> None:
        """Load the default base, so that the first picture comes sooner; what fails here fails again in its task."""
        try:
            with self._picture_lane(lambda: None):
                self._models.load_base(self._choice.id, lambda event: None)
        except USER_ERRORS as error:
            LOG.warning("%s", error)

    def unload(self) -> None:
        """Release all models, after the picture and the map that run."""
        with self._pictures, self._maps:
            self._cache = EncodingCache()
            self._runtime.networks.release()
            self._models.unload()
            self._loaded = (), 0

    def start(self) -> None:
        """Nothing to do: this engine is up as long as its process is."""

    def close(self) -> None:
        """Release all models."""
        self.unload()

    def _perform(self, task: Task, emit: Emit, check: Callable[[], None]) -> None:
        if isinstance(task, DownloadRequest):
            self._download(task, emit, check)
        elif isinstance(task, MapRequest):
            with self._map_lane(check):
                self._make_map(task, emit)
        elif isinstance(task, GenerationRequest | UpscaleRequest):
            with self._picture_lane(check):
                self._make_pictures(task, emit, check)
        else:
            assert_never(task)

    def _make_pictures(self, task: GenerationRequest | UpscaleRequest, emit: Emit, check: Callable[[], None]) -> None:
        """The loop over pictures: each is handed over before the next begins."""
        request, notes = take_tags(to_generation(task) if isinstance(task, UpscaleRequest) else task)
        for note in notes:
            emit(Note(text=note))
        for index in range(request.num_images):
            check()
            self._make_picture(request, index, emit, check)

    def _make_picture(self, request: GenerationRequest, index: int, emit: Emit, check: Callable[[], None]) -> None:
        """One picture; where memory runs out it is tried again with less of it, down to the last rung."""
        while True:
            try:
                self._try_picture(request, index, emit, check)
                return
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                LOG.warning("Out of memory: %s", error)
            # Outside the except block: the error's traceback holds the tensors of the failed call.
            if not self._models.give_up(request):
                raise OutOfMemoryError(
                    f"The memory of {self._device} is too small for {request.width}x{request.height} pixels with "
                    f"{len(request.units)} control layers; choose a smaller size or fewer layers."
                )

    def _try_picture(self, request: GenerationRequest, index: int, emit: Emit, check: Callable[[], None]) -> None:
        ready = self._models.prepare(request, emit)
        if index == 0:
            emit(Prepared(request=request))
        for note in ready.notes:
            emit(Note(text=note))
        norms: list[list[float]] = []
        last = time.monotonic()

        def on_step(step: pipeline.Step) -> None:
            nonlocal last
            if step.step == (step.steps + 1) // 2:
                norms[:] = step.norms()
            if time.monotonic() - last >= PREVIEW_INTERVAL:
                made = _small_jpeg(step.preview()) if self._previews else b""
                emit(Stepped(image_index=index, step=step.step, steps=step.steps, preview=made))
                last = time.monotonic()

        def cancelled() -> bool:
            try:
                check()
            except CancelledError:
                return True
            return False

        image = pipeline.generate(
            ready.base,
            ready.controlnets,
            request.only_picture(index),
            on_step=on_step,
            on_note=lambda text: emit(Note(text=text)),
            cancelled=cancelled,
            ip_adapter=ready.ip_adapter,
            cache=self._cache,
        )[0]
        emit(
            PictureMade(
                index=index,
                pixels=image,
                facts=self._facts(ready.base) | scheduler_facts(request.scheduler, ready.base.scheduler),
                residual_norms=tuple(map(tuple, norms)),
            )
        )

    def _make_map(self, task: MapRequest, emit: Emit) -> None:
        made_by = create(annotator(task.annotator), task.annotator_parameters)
        image = load_image(task.source_image)
        try:
            pixels, data = run_annotator(made_by, image, self._runtime)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            pixels = data = None
            LOG.warning("Out of memory: %s", error)
        if pixels is None:
            pixels, data = self._make_map_with_less(made_by, image, emit)
        emit(MapMade(pixels=pixels, data=data.to_json() if data else None))

    def _make_map_with_less(self, made_by: Any, image: Image, emit: Emit) -> Any:
        """Once more with all other models released, then on the CPU."""
        self._runtime.networks.release()
        with self._picture_lane(lambda: None):
            self._models.unload()
            try:
                return run_annotator(made_by, image, self._runtime)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                LOG.warning("Out of memory: %s", error)
            self._runtime.networks.release()
            memory.release(self._device)
            if self._device.type != "cpu":
                emit(Note(text=f"The memory of {self._device} is short: the map was made on the CPU."))
                try:
                    return run_annotator(made_by, image, Runtime("cpu"))
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
        height, width = image.shape[:2]
        raise OutOfMemoryError(
            f"The memory is too small for {made_by.title} at {width}x{height} pixels; "
            "choose a smaller size or another preprocessor."
        )

    def _download(self, task: DownloadRequest, emit: Emit, check: Callable[[], None]) -> None:
        last = 0.0

        def report(progress: DownloadProgress) -> None:
            nonlocal last
            check()
            if time.monotonic() - last >= PREVIEW_INTERVAL:
                last = time.monotonic()
                emit(Downloading(file=progress))

        for id in task.ids:
            check()
            for row in download_steps(id):
                fetch_row(row, report)

    @contextmanager
    def _picture_lane(self, check: Callable[[], None]) -> Generator[None]:
        """Keep models prepared by a task loaded until its end."""
        with _acquired(self._pictures, check):
            try:
                with self._models.pinned():
                    yield
            finally:
                self._loaded = self._models.names, self._models.bytes

    @contextmanager
    def _map_lane(self, check: Callable[[], None]) -> Generator[None]:
        """Maps do not wait for the picture that runs, unless memory is short."""
        with _acquired(self._maps, check):
            if memory.free_bytes(self._device) >= MAP_RESERVE:
                yield
            else:
                with _acquired(self._pictures, check):
                    yield

    def _facts(self, base: Any) -> dict[str, str]:
        """Facts on how a base makes pictures, for their recipe."""
        on_gpu = base.device.type == "cuda"
        name = torch.cuda.get_device_name(base.device) if on_gpu else platform.processor() or platform.machine()
        return {
            "device": f"{base.device} ({name})",
            "number_format": str(base.dtype).removeprefix("torch."),
            "memory": base.rung.id,
            "speed": self._settings.speed,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "controlnet_studio": __version__,
            "reproducible": REPRODUCIBLE,
        }


def _choose_base(id: str, device: torch.device) -> devices.BaseChoice:
    return devices.BaseChoice(id, "it was chosen at the start") if id else devices.default_base(device)


@contextmanager
def _acquired(lock: threading.Lock, check: Callable[[], None]) -> Generator[None]:
    """Wait for a lock until the task is cancelled."""
    while not lock.acquire(timeout=PATIENCE):
        check()
    try:
        yield
    finally:
        lock.release()


def _small_jpeg(pixels: Image) -> bytes:
    """(H, W, 3) RGB to a JPEG of at most PREVIEW_SIDE px."""
    picture = Pillow.fromarray(pixels)
    picture.thumbnail((PREVIEW_SIDE, PREVIEW_SIDE))
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=75)
    return buffer.getvalue()
