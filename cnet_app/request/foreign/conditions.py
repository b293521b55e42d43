"""The condition of a ControlNet by the names of its file and its annotator in other programs."""

from __future__ import annotations

import re

PARTS = {
    "canny": "canny", "softedge": "softedge", "pidinet": "softedge", "openpose": "openpose", "dwpose": "openpose",
    "depth": "depth", "midas": "depth", "leres": "depth", "normal": "normal", "segment": "segmentation",
    "oneformer": "segmentation", "scribble": "scribble", "sketch": "scribble", "lineart": "lineart", "mlsd": "mlsd",
    "tile": "tile", "inpaint": "inpaint", "repaint": "inpaint", "shuffle": "shuffle", "ip2p": "ip2p", "recolor": "recolor",
    "color": "color",
}  # fmt: skip
"""Parts of names and the conditions that they name, the more particular first."""
WORDS = {
    "hed": "softedge", "pidi": "softedge", "teed": "softedge", "dw": "openpose", "pose": "openpose", "zoe": "depth",
    "bae": "normal", "seg": "segmentation",
}  # fmt: skip
"""The same for whole words, too short to be looked for inside others."""


def condition_of(*names: str) -> str | None:
    """Return the id of the condition that the first telling name names; None where none tells."""
    for name in names:
        short = name[-200:].lower()
        plain = re.sub(r"[^a-z0-9]", "", short)
        if "lineart" in plain and "anime" in plain:
            return "lineart_anime"
        words = set(re.split(r"[^a-z]+", short))
        found = next((id for part, id in PARTS.items() if part in plain), None)
        found = found or next((id for word, id in WORDS.items() if word in words), None)
        if found:
            return found
    return None
