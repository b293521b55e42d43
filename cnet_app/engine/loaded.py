"""The models of the engine: loaded once, shared by all tasks, placed where the memory of the device allows."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Hashable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import torch

from cnet_app.diffusion.backbones.base import Network
from cnet_app.diffusion.control import has_effect
from cnet_app.engine.missing import check_models
from cnet_app.engine.pool import Pool
from cnet_app.engine.protocol import Loading
from cnet_app.engine.stream import Emit
from cnet_app.registry.conditions import control_model
from cnet_app.request.generation import GenerationRequest
from cnet_app.settings import Settings
from models import loader
from models.catalogue.addition_sizes import Additions, expected_additions, image_prompt_bytes
from models.catalogue.fitting import fitting_rows
from models.catalogue.resolve import NamedKind, expected_bytes, resolve
from models.catalogue.sizes import Sizes, control_bytes, network_key
from models.errors import InputError, OutOfMemoryError
from models.families import FAMILIES, TITLES
from models.family_facts import Family
from models.files import stamp
from models.ip_adapter import IpAdapter, load_ip_adapter
from models.layouts.float8 import spared_bytes, widen
from models.layouts.union import module_of
from models.lora.loras import updates_bytes, use_loras
from models.machine import memory
from models.machine.ladder import LADDER, Rung, choose_rung, next_rung
from models.machine.speed import tune
from models.references import NoNetwork

SHARE = 0.5
"""Share of the device's memory that loaded models may take where the settings name no number."""
NEVER = 2**63
"""A cost that no request has."""


@dataclass(frozen=True)
class Ready:
    """The models of one request."""

    base: loader.Base
    controlnets: Sequence[Network]
    ip_adapter: IpAdapter | None
    notes: tuple[str, ...] = ()
    """Sentences on what a file's reader left out, or had to choose."""


@dataclass(frozen=True)
class LoadedControl:
    """A ControlNet, adapter or union input."""

    network: Network
    notes: tuple[str, ...]
    """Sentences on what its file leaves open."""


class LoadedModels:
    """Models by id, file and place, within the budget. For one thread.

    A request runs on the first rung of the ladder that is estimated to fit and on which no request as large has failed.
    So after a large request had to give something up, a small one gets all of it back.
    """

    def __init__(
        self,
        settings: Settings,
        device: tuple[torch.device, torch.dtype],
        free_annotators: Callable[[], bool],
        loading: threading.Lock,
    ) -> None:
        """`loading` is held while a model is loaded: libraries switch global state for it, which other threads would see."""
        self._speed = settings.speed
        self._device, self._dtype = device
        self._free_annotators = free_annotators
        self._loading = loading
        budget = int(settings.model_memory_gb * 1e9) or int(SHARE * memory.total_bytes(self._device))
        self._pool: Pool[Any] = Pool(_storages_of, budget)
        self._failed: dict[tuple[str, str], int] = {}
        """By base and rung, the cost of the smallest request that ran out of memory there."""

    @property
    def names(self) -> tuple[str, ...]:
        """Ids of what is loaded, the least recently used first."""
        return tuple(key[1] for key in self._pool.keys if isinstance(key, tuple))

    @property
    def bytes(self) -> int:
        """Bytes of what is loaded."""
        return self._pool.bytes

    def pinned(self) -> AbstractContextManager[None]:
        """Keep models prepared inside the block loaded until its end."""
        return self._pool.pinned()

    def prepare(self, request: GenerationRequest, emit: Emit) -> Ready:
        """Load everything the request names; what is loaded already is used again.

        What does not fit is refused before a base that is missing is asked for.
        """
        check_models(request)
        base = self._base(request, emit)
        if request.vae:
            base = dataclasses.replace(base, vae=self._vae(request.vae, base, emit))
        elif base.vae is None:
            raise InputError(
                f"{request.base} is {TITLES[base.family]} without an autoencoder (VAE); choose one with vae (`--vae`), "
                f"such as {_some_vae(base.family)}."
            )
        models = [control_model(unit.condition, unit.controlnet, base.family, request.base) for unit in request.units]
        active = [model if has_effect(unit) else None for model, unit in zip(models, request.units, strict=True)]
        controls = [self._control(model, base, emit) for model in active]
        loras = _loras(request, models)
        if loras and base.rung.layer_by_layer:
            raise OutOfMemoryError(
                "LoRAs need more memory than is free here; leave them out, or choose a smaller base."
            )
        notes = use_loras(base, loras)
        adapter = self._ip_adapter(request.ip_adapter.name, base, emit) if request.ip_adapter else None
        notes = (*(note for control in controls for note in control.notes), *notes)
        return Ready(base, [control.network for control in controls], adapter, tuple(dict.fromkeys(notes)))

    def load_base(self, id: str, emit: Emit) -> loader.Base:
        """Load a base before any request names it."""
        return self._base(GenerationRequest(base=id), emit)

    def give_up(self, request: GenerationRequest) -> bool:
        """Make room after a request ran out of memory; False where nothing is left to give up.

        First the networks of annotators go; then all models, to be loaded again on the next rung of the ladder.
        """
        if self._free_annotators():
            memory.release(self._device)
            return True
        base = self._pool.peek(self._key("base", request.base))
        rung = self._rung(base, request) if base else self._untried(LADDER[0], request)
        del base
        self._release()
        if next_rung(rung, self._device.type) is None:
            return False
        known = self._failed.get((request.base, rung.id), NEVER)
        self._failed[request.base, rung.id] = min(_cost(request), known)
        return True

    def unload(self) -> None:
        """Release all models, and forget what did not fit."""
        self._failed.clear()
        self._release()

    def _release(self) -> None:
        self._pool.clear()
        memory.release(self._device)

    def _base(self, request: GenerationRequest, emit: Emit) -> loader.Base:
        key = self._key("base", request.base)
        known = self._pool.peek(key)
        if known is not None:
            rung = self._rung(known, request)
            if _place(known.rung) != _place(rung) or (known.was_float8 and rung is not LADDER[0]):
                known = None
                self._release()  # its ControlNets are in the wrong place too
        base = self._pool.get(key, lambda: self._load_base(request, emit), expected_bytes(request.base))
        base = dataclasses.replace(base, rung=self._rung(base, request))
        if not base.rung.rests_on_cpu:
            for encoder in base.text_encoders:
                place = memory.CPU if base.rung.encoders_rest else self._device
                if encoder.device.type != place.type:
                    memory.move(encoder, place)
        if base.vae is not None:
            memory.set_tiling(base.vae, base.rung.tiles_vae)
        return base

    def _load_base(self, request: GenerationRequest, emit: Emit) -> loader.Base:
        emit(Loading(name=request.base))
        with self._loading:
            base = loader.load_base(request.base, "cpu", self._dtype, keeps_float8=True)
        base = dataclasses.replace(base, device=self._device)
        if spared_bytes(base.network) and self._rung(base, request, loaded=False, widened=True) is LADDER[0]:
            widen(base.network)  # there is room, and a pass is a little faster
            base = dataclasses.replace(base, was_float8=True)
        rung = self._rung(base, request, loaded=False)
        if rung is not LADDER[0] and self._free_annotators():
            memory.release(self._device)
            rung = self._rung(base, request, loaded=False)
        self._settle(tune(base.network, self._speed), rung, by_layer=True)
        for network in base.networks[1:]:
            if not (rung.encoders_rest and network in base.text_encoders):
                self._settle(network, rung)
        return dataclasses.replace(base, rung=rung)

    def _rung(self, base: loader.Base, request: GenerationRequest, loaded: bool = True, widened: bool = False) -> Rung:
        """The rung a request runs on; `widened` as if weights in float8 were wide."""
        value_bytes: int = (base.vae or base.network).dtype.itemsize
        controls, here = self._control_bytes(base, request)
        additions, added = self._additions(base, request)
        sizes = Sizes(
            text=memory.module_bytes(base.text_encoders) - updates_bytes(base.text_encoders),
            network=memory.module_bytes([base.network])
            - updates_bytes([base.network])
            + (spared_bytes(base.network) if widened else 0),
            vae=memory.module_bytes([base.vae] if base.vae is not None else []),
            controls=controls,
            additions=additions,
        )
        free, on_cpu = memory.free_bytes(self._device), self._device.type == "cpu"
        if on_cpu or (loaded and not base.rung.rests_on_cpu):  # they are in this memory already
            free += (
                sizes.network + sizes.vae + (sizes.text if on_cpu or not base.rung.encoders_rest else 0) + here + added
            )
        maps = sum(map(has_effect, request.units)) if FAMILIES[base.family].references else 0
        pixels = request.width * request.height
        rung = choose_rung(self._device.type, free, sizes.weights, pixels, value_bytes, maps)
        return self._untried(rung, request)

    def _additions(self, base: loader.Base, request: GenerationRequest) -> tuple[Additions, int]:
        """Return the bytes of the request's LoRAs and image prompt, and those of LoRAs and of the image prompt that are loaded."""
        units = [unit for unit in request.units if has_effect(unit)] if FAMILIES[base.family].references else []
        names = [
            *(lora.name for lora in request.loras if lora.scale),
            *(unit.controlnet for unit in units if unit.controlnet),
        ]
        prompt = request.ip_adapter.name if request.ip_adapter else ""
        known = self._pool.peek(self._ip_adapter_key(prompt, base)) if prompt else None
        here = updates_bytes(base.networks) + (_bytes_of(known) if known is not None else 0)
        return expected_additions(base.family, names, prompt, base.dtype.itemsize), here

    def _control_bytes(self, base: loader.Base, request: GenerationRequest) -> tuple[dict[str, int], int]:
        """Return the bytes of the request's ControlNets, each once, and those of them that are loaded."""
        found, here = dict[str, int](), 0
        for unit in filter(has_effect, request.units):
            model = control_model(unit.condition, unit.controlnet, base.family, request.base)
            if model is None or model[0] == "lora" or (key := network_key(model[1])) in found:
                continue
            pool_key = self._control_key(model[1], base)
            known = self._pool.peek(pool_key)
            found[key] = (
                control_bytes(model[1], base.family, base.dtype.itemsize) if known is None else _bytes_of(known)
            )
            here += _bytes_of(known) if known is not None else 0
        return found, here

    def _untried(self, rung: Rung, request: GenerationRequest) -> Rung:
        """The first rung from this one down on which no request as large has failed; the last where all have."""
        while _cost(request) >= self._failed.get((request.base, rung.id), NEVER):
            below = next_rung(rung, self._device.type)
            if below is None:
                break
            rung = below
        return rung

    def _vae(self, id: str, base: loader.Base, emit: Emit) -> Any:
        def load() -> Any:
            emit(Loading(name=id))
            with self._loading:
                vae = loader.load_vae(id, base.family, "cpu", base.dtype)
            self._settle(vae, base.rung)
            return vae

        vae = self._pool.get((*self._key("vae", id), base.family, _place(base.rung)), load, expected_bytes(id))
        memory.set_tiling(vae, base.rung.tiles_vae)
        return vae

    def _control(self, model: tuple[NamedKind, str] | None, base: loader.Base, emit: Emit) -> LoadedControl:
        """Return the network of a unit; one without effect needs none, nor does a base that reads maps itself.

        A LoRA is put on the base.
        """
        if model is None or model[0] == "lora":
            return LoadedControl(NoNetwork(), ())
        return self._controlnet(model[1], base, emit)

    def _controlnet(self, id: str, base: loader.Base, emit: Emit) -> LoadedControl:
        def load() -> LoadedControl:
            emit(Loading(name=id))
            notes: list[str] = []
            with self._loading:
                network = loader.load_controlnet(
                    id, base.family, "cpu", base.dtype, base_network=base.network, on_note=notes.append
                )
            self._settle(tune(module_of(network), self._speed), base.rung, by_layer=True)
            return LoadedControl(network, tuple(notes))

        return self._pool.get(self._control_key(id, base), load, control_bytes(id, base.family, base.dtype.itemsize))

    def _control_key(self, id: str, base: loader.Base) -> Hashable:
        key = (*self._key("controlnet", id), base.family, _place(base.rung))
        return (*key, *self._key("base", base.id)) if loader.is_completed_by_base(id, base.family) else key

    def _ip_adapter(self, id: str, base: loader.Base, emit: Emit) -> IpAdapter:
        def load() -> IpAdapter:
            emit(Loading(name=id))
            with self._loading:
                return load_ip_adapter(id, base)

        expected = image_prompt_bytes(id, base.family, base.dtype.itemsize)
        return self._pool.get(self._ip_adapter_key(id, base), load, expected)

    def _ip_adapter_key(self, id: str, base: loader.Base) -> Hashable:
        return *self._key("ip_adapter", id), base.id, _place(base.rung)

    def _key(self, kind: NamedKind, id: str) -> tuple[str, str, Hashable]:
        """A model whose file was replaced under its name has another key."""
        path = resolve(id, kind).path
        return kind, id, stamp(path) if path else None

    def _settle(self, network: Any, rung: Rung, by_layer: bool = False) -> None:
        """Put a network where it stays while nothing runs."""
        if by_layer and rung.layer_by_layer:
            memory.offload_layers(network, self._device)
        elif not rung.rests_on_cpu:
            torch.nn.Module.to(network, self._device)


def _loras(request: GenerationRequest, models: Sequence[tuple[NamedKind, str] | None]) -> list[tuple[str, float]]:
    """Return names and weights of the request's LoRAs, and of those that its units name: each once, the request's first."""
    found = [(lora.name, lora.scale) for lora in request.loras]
    named = {name for name, _ in found}
    of_units = (model for model, unit in zip(models, request.units, strict=True) if model and has_effect(unit))
    own = dict.fromkeys(name for kind, name in of_units if kind == "lora" and name not in named)
    return [*found, *((name, 1.0) for name in own)]


def _place(rung: Rung) -> tuple[bool, bool]:
    """Return the places of a rung's networks; rungs that differ in tiling or text encoders alone share loaded networks."""
    return rung.rests_on_cpu, rung.layer_by_layer


def _some_vae(family: Family) -> str:
    """Return an id of the catalogue, to be named in a sentence."""
    return next((row.id for row in fitting_rows("vae", family)), "a file in models/vae")


def _cost(request: GenerationRequest) -> int:
    """Memory needed by a request, in units of a pixel through one network."""
    return request.width * request.height * (1 + len(request.units))


def _bytes_of(model: Any) -> int:
    return sum(_storages_of(model).values())


def _storages_of(model: Any) -> dict[Hashable, int]:
    if isinstance(model, loader.Base):
        return memory.storage_bytes(model.networks)
    if isinstance(model, LoadedControl):
        return memory.storage_bytes([module_of(model.network)])
    if isinstance(model, IpAdapter):
        return memory.storage_bytes((model.projection, model.image_encoder, *model.attention.values()))
    return memory.storage_bytes([module_of(model)])
