"""LoRAs that a prompt names, as AUTOMATIC1111's web UI, Fooocus and SwarmUI write them: `<lora:NAME:WEIGHT>`."""

from __future__ import annotations

import re
from collections.abc import Mapping

from cnet_app.request.foreign.recipe import ForeignLora, NamedModel
from cnet_app.request.foreign.values import number_of

MOST = 100
"""Tags of a prompt that are looked at."""
TAG = re.compile(r"<([a-z]{1,20}):([^<>]{1,500})>")


def take_loras(prompt: str, hashes: Mapping[str, str], left_out: list[str]) -> tuple[str, tuple[ForeignLora, ...]]:
    """Return the prompt without its LoRAs, and these; `hashes` are by name. Other tags stay and join `left_out`."""
    loras: list[ForeignLora] = []

    def take(tag: re.Match[str]) -> str:
        if tag[1] not in ("lora", "lyco"):
            left_out.append(f"what {tag[0]} in the prompt does")
            return tag[0]
        name, *weights = tag[2].split(":")
        numbers = [number for number in map(number_of, weights) if number is not None]
        if len(set(numbers)) > 1:
            left_out.append(f"LoRA {name}: a weight of its own for the text encoder")
        # With two weights the second is the network's.
        scale = float(numbers[min(1, len(numbers) - 1)]) if numbers else 1.0
        loras.append(ForeignLora(NamedModel(name, hashes.get(name, "")), scale))
        return ""

    bare = TAG.sub(take, prompt, MOST)
    return re.sub(r"[ \t]{2,}", " ", bare).strip() if loras else prompt.strip(), tuple(loras)
