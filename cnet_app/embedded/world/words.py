"""The words of a scene's caption, with their colours and classes."""

from __future__ import annotations

COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (214, 32, 38),
    "orange": (246, 128, 16),
    "yellow": (248, 212, 32),
    "green": (44, 164, 58),
    "cyan": (36, 196, 206),
    "blue": (38, 78, 222),
    "purple": (130, 46, 188),
    "pink": (248, 112, 184),
}
"""Named colours: the sRGB a thing is painted with before light falls on it."""

SHAPES = ("ball", "box", "cylinder", "cone", "person")
STYLES = ("shaded", "flat", "neon", "clay")
SKIES = ("studio", "sunset", "night", "day")

SKY_PHRASES: dict[str, str] = {
    "studio": "in a grey studio",
    "sunset": "under a sunset sky",
    "night": "under a night sky",
    "day": "under a day sky",
}

ADE20K_CLASS: dict[str, str] = {
    "ball": "ball", "box": "box", "cylinder": "column", "cone": "sculpture", "person": "person",
}  # fmt: skip
"""ADE20K class of each shape in a segmentation."""


def with_article(words: str) -> str:
    """Return a thing with its article: 'a red ball', 'an orange box'."""
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def scene_caption(style: str, things: list[tuple[str, str]], sky: str | None, *, style_last: bool = False) -> str:
    """Return the caption of a scene; things are (colour, shape) in the order of the caption."""
    names = [with_article(f"{colour} {shape}") for colour, shape in things]
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    where = f" {SKY_PHRASES[sky]}" if sky else ""
    if style_last:
        return f"{listed}{where}, {style} picture"
    return f"{with_article(style)} picture of {listed}{where}"
