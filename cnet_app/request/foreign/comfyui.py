"""ComfyUI: the graph of nodes that made the picture, as JSON. It is followed from the sampler back, and never run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from cnet_app.request.foreign.conditions import condition_of
from cnet_app.request.foreign.graph import Graph, Node, parse_graph
from cnet_app.request.foreign.recipe import (
    ForeignControl,
    ForeignLora,
    ForeignRecipe,
    NamedModel,
    find_scheduler,
    shortened,
)
from cnet_app.request.foreign.values import fraction_of, number_of, text_of, weight_of, whole_of
from models.errors import InputError

SAMPLERS = ("KSampler", "KSamplerAdvanced")
ENCODERS = ("CLIPTextEncode", "CLIPTextEncodeSDXL")
BASES = ("CheckpointLoaderSimple", "CheckpointLoader")
LORAS = ("LoraLoader", "LoraLoaderModelOnly")
CONTROLS = ("ControlNetApply", "ControlNetApplyAdvanced")
EMPTY = ("EmptyLatentImage", "EmptySD3LatentImage")
READ = {
    *SAMPLERS, *ENCODERS, *BASES, *LORAS, *CONTROLS, *EMPTY, "VAELoader", "VAEDecode", "ControlNetLoader",
    "DiffControlNetLoader", "SetUnionControlNetType", "ConditioningZeroOut", "LoadImage", "SaveImage", "PreviewImage", "PrimitiveNode",
}  # fmt: skip
"""Kinds of nodes of which nothing is left out, except where the graph does not lead to them."""
MOST = 32
"""Samplers, and ControlNets of a sampler, that are looked at."""
TEXTS = ("text", "text_g", "text_l", "string", "value", "prompt", "positive")
NUMBERS = ("value", "seed", "noise_seed", "int", "float", "number")
CONDITIONINGS = ("conditioning", "positive", "negative", "conditioning_1", "conditioning_to")


def read(texts: Mapping[str, str]) -> ForeignRecipe:
    """Return the recipe of the first pass. Raises InputError where there is no graph, or no sampler in it."""
    graph = parse_graph(texts["prompt"])
    samplers = [node for node in graph.nodes.values() if node.kind in SAMPLERS][:MOST]
    if not samplers:
        raise InputError("the graph of ComfyUI has no KSampler, so that there is nothing to take from it")
    left_out: list[str] = []
    first = next((node for node in samplers if not _earlier(graph, node)), samplers[0])
    left_out += [f"node {node.id}, {node.kind}: a further pass" for node in samplers if node is not first]
    left_out += [f"node {node.id}, {node.kind}" for node in graph.nodes.values() if node.kind not in READ]
    left_out += _unlike_ours(graph, first)
    sides = {side: _follow(graph, first, side, left_out) for side in ("positive", "negative")}
    chain = list(graph.back(first.link("model"), ("model",)))
    latents = [*graph.back(first.link("latent_image"), ("samples", "latent_image", "latent"))]
    size = next((node for node in latents if node.kind in EMPTY), None)
    if size is None:
        left_out.append("the initial image, and the size with it")
    return ForeignRecipe(
        program="ComfyUI",
        prompt=sides["positive"].text,
        negative_prompt=sides["negative"].text,
        seed=whole_of(graph.value(first, ("seed", "noise_seed"), NUMBERS)),
        steps=whole_of(graph.value(first, ("steps",), NUMBERS)),
        guidance=number_of(graph.value(first, ("cfg",), NUMBERS)),
        scheduler=find_scheduler(
            text_of(graph.value(first, ("sampler_name",), TEXTS)),
            text_of(graph.value(first, ("scheduler",), TEXTS)),
            left_out,
        ),
        width=whole_of(graph.value(size, ("width",), NUMBERS)) if size else None,
        height=whole_of(graph.value(size, ("height",), NUMBERS)) if size else None,
        base=_named(next((node for node in chain if node.kind in BASES), None), "ckpt_name"),
        vae=_vae(graph),
        loras=tuple(_loras(chain)),
        controls=sides["positive"].controls,
        left_out=shortened(left_out),
    )


@dataclass(frozen=True)
class _Side:
    """What leads to one side of guidance."""

    text: str
    controls: tuple[ForeignControl, ...]


def _follow(graph: Graph, sampler: Node, side: str, left_out: list[str]) -> _Side:
    """Follow the conditioning back to its text; ControlNets lie on the way, the last one first."""
    controls: list[ForeignControl] = []
    texts: list[str | None] = []
    place = sampler.link(side)
    seen: set[str] = set()
    while place and place.id not in seen and place.id in graph.nodes:
        seen.add(place.id)
        node = graph.nodes[place.id]
        if node.kind in ENCODERS:
            texts = _encoded(graph, node)
            break
        if node.kind == "ConditioningZeroOut":
            texts = [""]
            break
        if node.kind in CONTROLS and len(controls) < MOST:
            controls.append(_control(graph, node))
        second = node.kind == "ControlNetApplyAdvanced" and place.slot == 1
        names = ("negative",) if second else CONDITIONINGS
        place = next((link for name in names if (link := node.link(name))), None)
    if not any(texts) and (not texts or None in texts):
        left_out.append(f"{side} prompt: no text leads to the sampler")
    return _Side(", ".join(dict.fromkeys(filter(None, texts))), tuple(reversed(controls)))


def _encoded(graph: Graph, node: Node) -> list[str | None]:
    """The texts that a node encodes; None where another node makes one."""
    names = [name for name in ("text", "text_g", "text_l") if name in node.inputs]
    found = [graph.value(node, (name,), TEXTS) for name in names]
    return [value if isinstance(value, str) else None for value in found]


def _control(graph: Graph, node: Node) -> ForeignControl:
    loaders = list(graph.back(node.link("control_net"), ("control_net",)))
    name = next((text for one in loaders if (text := text_of(one.inputs.get("control_net_name")))), "")
    union = next((text for one in loaders if (text := text_of(one.inputs.get("type")))), "")
    makers = [one.kind for one in graph.back(node.link("image"), ("image", "images")) if one.kind not in READ]
    module = makers[0] if makers else ""
    return ForeignControl(
        condition_of(union, name, module),
        NamedModel(name),
        module,
        weight_of(graph.value(node, ("strength",), NUMBERS)),
        fraction_of(graph.value(node, ("start_percent",), NUMBERS), 0.0),
        fraction_of(graph.value(node, ("end_percent",), NUMBERS), 1.0),
    )


def _loras(chain: list[Node]) -> Iterator[ForeignLora]:
    """The LoRAs in the order in which they are applied."""
    for node in reversed(chain):
        if node.kind in LORAS and (model := _named(node, "lora_name")):
            yield ForeignLora(model, weight_of(node.inputs.get("strength_model")))


def _vae(graph: Graph) -> NamedModel:
    decoders = (node for node in graph.nodes.values() if node.kind == "VAEDecode")
    loaders = (graph.nodes.get(link.id) for node in decoders if (link := node.link("vae")))
    return _named(next((node for node in loaders if node and node.kind == "VAELoader"), None), "vae_name")


def _named(node: Node | None, name: str) -> NamedModel:
    return NamedModel(text_of(node.inputs.get(name)) if node else "")


def _earlier(graph: Graph, sampler: Node) -> bool:
    """Whether the latents come from another sampler."""
    names = ("latent_image", "samples", "latent", "pixels", "image")
    return any(node.kind in SAMPLERS for node in graph.back(sampler.link("latent_image"), names))


def _unlike_ours(graph: Graph, sampler: Node) -> Iterator[str]:
    """Settings of the sampler that a request does not have."""
    denoise = number_of(graph.value(sampler, ("denoise",), NUMBERS))
    if denoise is not None and denoise < 1:
        yield f"denoise: {denoise:g}"
    if whole_of(sampler.inputs.get("start_at_step")):
        yield f"start_at_step: {sampler.inputs['start_at_step']}"
