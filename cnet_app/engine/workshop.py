"""The engine's real hands: loads models for this machine's device, and runs the pipeline with what earlier jobs left."""

from __future__ import annotations

import dataclasses
import platform
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray

from annotators.runtime import Runtime
from cnet_app import __version__
from cnet_app.diffusion import pipeline
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.schedulers import scheduler_facts
from models import devices, loader, memory
from models.errors import OutOfMemoryError
from models.ip_adapter import IpAdapter, load_ip_adapter
from models.loras import use_loras
from models.speed import tune
from models.union import module_of

if TYPE_CHECKING:
    from cnet_app.request.generation import GenerationRequest
    from cnet_app.settings import Settings

SHARE = 0.5
"""Of the device's memory that loaded models may take where the settings do not say."""
CONTROLNET_SHARE = 0.42
"""Size of a ControlNet over that of its U-Net."""
REPRODUCIBLE = "bit for bit on one device, since pictures are made one by one"


class Workshop:
    """For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._device, self._dtype = devices.choose_device(settings.device, settings.speed)
        self.runtime = Runtime(str(self._device))
        self._cache = EncodingCache()
        self._example: tuple[object, IpAdapter] | None = None

    def choose_base(self) -> tuple[str, str]:
        """Id of the base to start with, and why."""
        if self._settings.base:
            return self._settings.base, "it was chosen at the start"
        choice = devices.default_base(self._device)
        return choice.id, choice.reason

    def load_base(self, id: str, rung: memory.Rung | None) -> loader.Base:
        """On this rung of the ladder, else on the first that fits into the memory that is free now."""
        base = loader.load_base(id, "cpu", self._dtype)
        base = dataclasses.replace(base, device=self._device, rung=rung or self._roomiest_rung(base))
        if base.rung.tiles_vae:
            memory.tile(base.vae)
        self._settle(tune(base.unet, self._settings.speed), base.rung, by_layer=True)
        for network in (base.vae, *base.text_encoders):
            self._settle(network, base.rung)
        return base

    def load_controlnet(self, id: str, base: loader.Base) -> Any:
        """For a base, where that keeps its own networks."""
        network = loader.load_controlnet(id, base.family, "cpu", base.dtype)
        self._settle(tune(module_of(network), self._settings.speed), base.rung, by_layer=True)
        return network

    def load_vae(self, id: str, base: loader.Base) -> Any:
        """Another autoencoder for a base."""
        vae = loader.load_vae(id, base.family, "cpu", base.dtype)
        if base.rung.tiles_vae:
            memory.tile(vae)
        self._settle(vae, base.rung)
        return vae

    def generate(
        self, base: loader.Base, controlnets: Sequence[Any], request: GenerationRequest, **watch: Any
    ) -> list[NDArray[np.uint8]]:
        """As the pipeline's, with the request's LoRAs and IP-Adapter on the base."""
        if request.loras and base.rung.layer_by_layer:
            raise OutOfMemoryError(
                "LoRAs need more memory than is free here; leave them out, or choose a smaller base."
            )
        use_loras(base, [(lora.name, lora.scale) for lora in request.loras])
        adapter = self._ip_adapter(request.ip_adapter.name, base) if request.ip_adapter else None
        return pipeline.generate(base, controlnets, request, ip_adapter=adapter, cache=self._cache, **watch)

    def _ip_adapter(self, name: str, base: loader.Base) -> IpAdapter:
        """The last one stays loaded."""
        key = (name, base.id, base.rung)
        if self._example is None or self._example[0] != key:
            self._example = None
            self._example = key, load_ip_adapter(name, base)
        return self._example[1]

    def size_of(self, thing: Any) -> int:
        """Bytes of a base's networks, or of one network."""
        if isinstance(thing, loader.Base):
            return memory.module_bytes((thing.unet, thing.vae, *thing.text_encoders))
        return memory.module_bytes([module_of(thing)])

    def budget(self) -> int:
        """Bytes for loaded models: the settings' gigabytes, else a share of the device's memory."""
        given = self._settings.model_memory_gb
        return int(given * 1e9) or int(SHARE * memory.total_bytes(self._device))

    def next_rung(self, base: loader.Base) -> memory.Rung | None:
        """What comes after the base's own."""
        return memory.next_rung(base.rung, self._device)

    def make_room(self) -> bool:
        """Annotators load their networks again when they need them; nothing of a picture is given up for it."""
        any_loaded = self.runtime.networks.release() > 0
        if any_loaded:
            memory.release(self._device)
        return any_loaded

    def release(self) -> None:
        """Memory that nothing holds any more goes back to the device; annotators and what was kept go with the models."""
        self._cache, self._example = EncodingCache(), None
        self.runtime.networks.release()
        memory.release(self._device)

    def describe(self, base: loader.Base, request: GenerationRequest) -> dict[str, str]:
        """How a request's pictures are made on a base, in words for their recipe."""
        on_gpu = base.device.type == "cuda"
        name = torch.cuda.get_device_name(base.device) if on_gpu else platform.processor() or platform.machine()
        return {
            **scheduler_facts(request.scheduler, base.scheduler),
            "device": f"{base.device} ({name})",
            "number_format": str(base.dtype).removeprefix("torch."),
            "memory": base.rung.id,
            "speed": self._settings.speed,
            "torch": torch.__version__,
            "diffusers": diffusers.__version__,
            "controlnet_studio": __version__,
            "reproducible": REPRODUCIBLE,
        }

    def _roomiest_rung(self, base: loader.Base) -> memory.Rung:
        """The first that fits; where that gives something up, annotators make room before it is chosen."""
        rung = self._first_rung(base)
        return self._first_rung(base) if rung is not memory.LADDER[0] and self.make_room() else rung

    def _first_rung(self, base: loader.Base) -> memory.Rung:
        unet = memory.module_bytes([base.unet])
        weights = {
            "text": memory.module_bytes(base.text_encoders),
            "denoiser": int((1 + CONTROLNET_SHARE) * unet),
            "vae": memory.module_bytes([base.vae]),
        }
        # Weights on a CPU device are in its memory already.
        free = memory.free_bytes(self._device) + (sum(weights.values()) if self._device.type == "cpu" else 0)
        return memory.choose_rung(self._device, free, weights, base.defaults.size**2, base.vae.dtype.itemsize)

    def _settle(self, network: Any, rung: memory.Rung, by_layer: bool = False) -> None:
        """Where it stays while nothing runs."""
        if by_layer and rung.layer_by_layer:
            memory.offload_layers(network, self._device)
        elif not rung.rests_on_cpu:
            torch.nn.Module.to(network, self._device)
