"""The models of the app: loaded once, shared by all jobs, let go when memory is short or a user asks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnet_app.engine.engine import Engine, FileProgress, controlnet_id
from cnet_app.engine.pool import Pool
from cnet_app.request.generation import GenerationRequest
from models.catalog import CATALOG
from models.errors import OutOfMemoryError


@dataclass
class Ready:
    """What one request runs on."""

    base: Any
    controlnets: list[Any]


class LoadedModels:
    """Bases and ControlNets by what they are, within the engine's budget. For one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool: Pool[Any] | None = None

    def base(self, id: str, tell: FileProgress) -> Any:
        """A base, downloaded and loaded if need be."""

        def load() -> Any:
            self._engine.fetch(id, tell)
            return self._engine.load_base(id, None)

        return self._known().get(("base", id), load, _expected_bytes(id))

    def prepare(self, request: GenerationRequest, tell: FileProgress) -> Ready:
        """Everything the request names; raises what is told to its user."""
        base = self.base(request.base, tell)
        added = [*(lora.name for lora in request.loras), *([request.ip_adapter.name] if request.ip_adapter else [])]
        for id in added:  # the engine loads them beside the base
            self._engine.fetch(id, tell)
        if request.vae:
            base = replace(base, vae=self._vae(request.vae, base, tell))
        return Ready(base, [self._controlnet(controlnet_id(unit, base.family), base, tell) for unit in request.units])

    def _vae(self, id: str, base: Any, tell: FileProgress) -> Any:
        def load() -> Any:
            self._engine.fetch(id, tell)
            return self._engine.load_vae(id, base)

        return self._known().get(("vae", id, base.family, base.rung), load, _expected_bytes(id))

    def _controlnet(self, id: str, base: Any, tell: FileProgress) -> Any:
        def load() -> Any:
            self._engine.fetch(id, tell)
            return self._engine.load_controlnet(id, base)

        return self._known().get(("controlnet", id, base.family, base.rung), load, _expected_bytes(id))

    def make(self, ready: Ready, request: GenerationRequest, tell: FileProgress, **watch: Any) -> NDArray[np.uint8]:
        """The one picture of a request.

        Where memory runs out it is tried again without what annotators hold, then with models that need less of it.
        """
        told = ""
        ways = (lambda: True, self._engine.make_room, lambda: self._relieve(ready, request, tell))
        for gains_room in ways:
            # Not in the except block: an error that is being handled keeps the tensors of the failed call alive.
            if gains_room():
                try:
                    return self._engine.generate(ready.base, ready.controlnets, request, **watch)[0]
                except OutOfMemoryError as error:
                    told = str(error)
        raise OutOfMemoryError(told)

    def _relieve(self, ready: Ready, request: GenerationRequest, tell: FileProgress) -> bool:
        """Whether `ready` was loaded anew in a way that needs less; else everything is let go."""
        rung = self._engine.next_rung(ready.base)
        self.unload(ready)
        if rung is None:
            return False
        self._known().put(("base", request.base), self._engine.load_base(request.base, rung))
        again = self.prepare(request, tell)
        ready.base, ready.controlnets = again.base, again.controlnets
        return True

    def unload(self, ready: Ready | None = None) -> int:
        """Lets everything go, also what `ready` holds; how many bytes that were."""
        freed = self._known().bytes
        self._known().clear()
        if ready is not None:
            ready.base, ready.controlnets = None, []
        self._engine.release()
        return freed

    def _known(self) -> Pool[Any]:
        if self._pool is None:
            self._pool = Pool(self._engine.size_of, self._engine.budget())
        return self._pool


def _expected_bytes(id: str) -> int:
    """The catalogue's word for it; 0 where it has none."""
    return next((row.size or 0 for row in CATALOG if row.id == id), 0)
