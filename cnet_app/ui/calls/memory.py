"""Memory that a base takes with the layers of a draft, before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from cnet_app.engine.protocol import EngineStatus
from cnet_app.registry.conditions import can_control, control_model
from cnet_app.request.checks.known import offered_models
from cnet_app.ui.bases import defaults_of, family_of
from cnet_app.ui.calls.context import Context, Object, Visitor
from models.catalogue.sizes import expected_sizes
from models.families import FAMILIES
from models.family_facts import Family
from models.machine.ladder import LADDER, RESERVE, choose_rung, needed_bytes

Layers = Iterable[tuple[str, str | None]]
"""Condition, and the ControlNet that is chosen for it; None is the condition's own."""


def memory(context: Context, visitor: Visitor, values: Mapping[str, Any]) -> Object:
    """Return what a draft will take: {base, layers: [{condition, controlnet}], loras, ip_adapter, frame or null} -> {words}.

    `loras` are names, and `ip_adapter` is one or null.
    """
    base = str(values.get("base") or "") or context.base()[0]
    offered = None if context.settings.is_local else offered_models()  # others may be any file of this machine
    chosen = [(str(one["condition"]), one.get("controlnet") or None) for one in values.get("layers") or ()]
    layers = [(condition, id if offered is None or id in offered else None) for condition, id in chosen]
    frame: Mapping[str, Any] = values.get("frame") or {}
    pixels = int(frame.get("width", 0)) * int(frame.get("height", 0))

    def named(names: Iterable[Any]) -> tuple[str, ...]:
        return tuple(str(name) for name in names if name and (offered is None or name in offered))

    pictures = named([values.get("ip_adapter")])
    loras = named(values.get("loras") or ())
    return {"words": memory_words(base, context.runner.engine_status(), layers, pixels, loras, *pictures)}


def memory_words(
    base: str,
    status: EngineStatus,
    layers: Layers = (),
    pixels: int = 0,
    loras: Iterable[str] = (),
    ip_adapter: str = "",
) -> str:
    """Return what a base, the ControlNets of layers and additions take of the device, and what is given up for it.

    Without `pixels` the picture has the base's size. Empty where the base's family or the device is not known.
    """
    family = family_of(base)
    if family is None or not status.device_bytes:
        return ""
    side = defaults_of(base).size
    pixels, device = pixels or side**2, status.device.split(":")[0]
    controls, maps, own_loras = _controls(base, family, layers)
    sizes = expected_sizes(base, family, controls, status.value_bytes, (*loras, *own_loras), ip_adapter)
    rung = choose_rung(device, status.device_bytes, sizes.weights, pixels, status.value_bytes, maps)
    remark = ""
    if sizes.float8 and rung is not LADDER[0]:
        sizes, remark = replace(sizes, network=sizes.float8), "Weights in float8 stay packed. "
        rung = choose_rung(device, status.device_bytes, sizes.weights, pixels, status.value_bytes, maps)
    needed = needed_bytes(rung, sizes.weights, pixels, status.value_bytes, maps) + RESERVE
    what = f"{_named(maps or len(sizes.controls), 'map' if FAMILIES[family].references else 'ControlNet')} at {pixels / 1e6:.2g} MP"
    has = status.device_bytes / 1e9
    if needed > status.device_bytes:
        return f"About {needed / 1e9:.1f} GB {what}, but the device has {has:.1f} GB."
    return f"About {needed / 1e9:.1f} of {has:.0f} GB {what}. {remark}{rung.message}".strip()


def _controls(base: str, family: Family, layers: Layers) -> tuple[list[str], int, list[str]]:
    """Return the ids of the layers' ControlNets, the number of maps that the base itself reads, and the layers' LoRAs.

    A layer that cannot control the base takes nothing: a picture with it is refused.
    """
    able = [layer for layer in layers if layer[1] or can_control(layer[0], family, base)]
    if FAMILIES[family].references:
        return [], len(able), [chosen for _, chosen in able if chosen]
    models = [control_model(condition, chosen, family, base) for condition, chosen in able]
    return [model[1] for model in models if model], 0, []


def _named(count: int, what: str) -> str:
    return f"without a {what}" if not count else f"with a {what}" if count == 1 else f"with {count} {what}s"
