"""A graph of nodes as ComfyUI writes it: `{"3": {"class_type": "KSampler", "inputs": {"model": ["4", 0], "seed": 1}}}`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from cnet_app.request.foreign.values import fields_of, list_of, load_object, text_of
from models.errors import InputError

MAX_NODES = 5000
KIND_LENGTH = 80
"""Characters of a node's kind that are kept."""


@dataclass(frozen=True)
class Link:
    """An output of a node."""

    id: str
    slot: int = 0


@dataclass(frozen=True)
class Node:
    """A node with its inputs: values, or links."""

    id: str
    kind: str
    inputs: Mapping[str, object]

    def link(self, name: str) -> Link | None:
        """Return the output that an input takes; None where it is a value, or not there."""
        found = list_of(self.inputs.get(name))
        if len(found) != 2 or isinstance(found[0], bool) or not isinstance(found[0], str | int):
            return None
        return Link(str(found[0])[:KIND_LENGTH], found[1] if isinstance(found[1], int) else 0)


@dataclass(frozen=True)
class Graph:
    """Nodes by id. Links may lead nowhere, or in a circle."""

    nodes: Mapping[str, Node]

    def back(self, link: Link | None, names: Sequence[str]) -> Iterator[Node]:
        """Yield the nodes behind a link: at each the first of these inputs that is linked is followed, and no node twice."""
        seen: set[str] = set()
        while link and link.id in self.nodes and link.id not in seen:
            seen.add(link.id)
            node = self.nodes[link.id]
            yield node
            link = next((found for name in names if (found := node.link(name))), None)

    def value(self, node: Node, names: Sequence[str], behind: Sequence[str]) -> object:
        """Return the first of these inputs that is a value, or the value among the inputs `behind` where a link leads."""
        for name in names:
            value = node.inputs.get(name)
            if isinstance(value, str | int | float) and not isinstance(value, bool):
                return value
            for other in self.back(node.link(name), behind):
                found = (other.inputs.get(name) for name in behind)
                literal = next((one for one in found if isinstance(one, str | int | float)), None)
                if literal is not None:
                    return literal
        return None


def parse_graph(text: str) -> Graph:
    """Return the graph in a text. Raises InputError where it is damaged, or has more than MAX_NODES nodes."""
    found = load_object(text, "the graph of ComfyUI")
    if len(found) > MAX_NODES:
        raise InputError(f"the graph of ComfyUI has {len(found):,} nodes, but at most {MAX_NODES:,} are read")
    nodes = {
        id: Node(id, text_of(fields.get("class_type"))[:KIND_LENGTH], fields_of(fields.get("inputs")))
        for id, value in found.items()
        if (fields := fields_of(value)) and text_of(fields.get("class_type"))
    }
    if not nodes:
        raise InputError("the graph of ComfyUI is damaged: it has no nodes")
    return Graph(nodes)
