"""NovelAI: JSON in the comment. Its models are its own, so that another base takes their place."""

from __future__ import annotations

from collections.abc import Mapping

from cnet_app.request.foreign.recipe import ForeignRecipe, NamedModel, find_scheduler, note, shortened
from cnet_app.request.foreign.values import fields_of, list_of, load_object, number_of, text_of, whole_of

TAKEN = {
    "prompt", "uc", "seed", "steps", "scale", "sampler", "noise_schedule", "width", "height", "v4_prompt", "v4_negative_prompt",
}  # fmt: skip
SILENT = {"request_type", "signed_hash", "n_samples", "version", "params_version", "legacy", "stream"}
"""What changes no picture of ours."""


def is_novelai(texts: Mapping[str, str]) -> bool:
    """Return whether the comment is NovelAI's, by the program or the source beside it."""
    named = texts.get("Software", ""), texts.get("Source", "")
    return "Comment" in texts and any(name.startswith("NovelAI") for name in named)


def read(texts: Mapping[str, str]) -> ForeignRecipe:
    """Return the recipe. Raises InputError where the JSON is damaged."""
    found = load_object(texts["Comment"], "the comment of NovelAI")
    left_out = [
        note(key, value)
        for key, value in found.items()
        if key not in TAKEN | SILENT and value not in (None, "", [], {}, False, 0)
    ]
    prompt = text_of(found.get("prompt")) or texts.get("Description", "")
    if any(mark in prompt for mark in ("{", "[", "::")):
        left_out.append("emphasis in the prompt: brackets and numbers mean something else here")
    people = list_of(fields_of(fields_of(found.get("v4_prompt")).get("caption")).get("char_captions"))
    left_out += [note("character", fields_of(one).get("char_caption")) for one in people]
    return ForeignRecipe(
        program="NovelAI",
        prompt=prompt,
        negative_prompt=text_of(found.get("uc")),
        seed=whole_of(found.get("seed")),
        steps=whole_of(found.get("steps")),
        guidance=number_of(found.get("scale")),
        scheduler=find_scheduler(text_of(found.get("sampler")), text_of(found.get("noise_schedule")), left_out),
        width=whole_of(found.get("width")),
        height=whole_of(found.get("height")),
        base=NamedModel(texts.get("Source", "") or "NovelAI's own"),
        left_out=shortened(left_out),
    )
