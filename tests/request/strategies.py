"""Requests for property tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from hypothesis import strategies as st

from cnet_app.registry.conditions import CONDITIONS
from cnet_app.registry.modes import CUSTOM, MODES
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.tasks import Task
from cnet_app.request.units import CONTROL_FORMS, ControlUnit, IpAdapter, Lora
from cnet_app.request.upscale import UpscaleRequest

MAP = encode_png(np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3))


def unit(**values: Any) -> ControlUnit:
    given: dict[str, Any] = {"condition": "canny", "control_image": MAP}
    return ControlUnit(**given | values)


words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
names = words.filter(str.strip)
fractions = st.floats(0, 1)
curves = st.dictionaries(fractions, st.floats(0, 2), max_size=4).map(lambda d: tuple(sorted(d.items())))
places = st.sampled_from([{}, {"mask": MAP}, {"weight_map": MAP}])
units = st.builds(
    lambda ends, place, **values: unit(
        control_guidance_start=min(ends), control_guidance_end=max(ends), **place, **values
    ),
    ends=st.tuples(fractions, fractions),
    place=places,
    condition=st.sampled_from(["canny", "depth", "scribble"]),
    annotator=st.none() | names,
    annotator_parameters=st.dictionaries(words, st.integers() | st.booleans() | st.floats(-9, 9) | words, max_size=3),
    conditioning_scale=st.floats(0, 2),
    control_mode=st.sampled_from([id for id in MODES if id != CUSTOM]),
    control_form=st.sampled_from(CONTROL_FORMS),
    strength_curve=curves,
    depth_curve=curves,
    prompt=st.none() | words,
    controlnet=st.none() | names,
)
numbers = st.floats(2, 500)  # fractions of the sides are read as such
people = st.fixed_dictionaries(
    {
        "people": st.lists(
            st.fixed_dictionaries({"pose_keypoints_2d": st.lists(numbers, min_size=54, max_size=54)}), max_size=2
        ),
        "canvas_width": st.integers(64, 512),
        "canvas_height": st.integers(64, 512),
    }
)
pose_units = st.builds(unit, condition=st.just("openpose"), control_data=people)
requests = st.builds(
    lambda area, **values: GenerationRequest(**area, **values),
    units=st.lists(units | pose_units, max_size=2).map(tuple),
    prompt=words,
    negative_prompt=words,
    width=st.integers(64, 512),
    num_inference_steps=st.integers(1, 150),
    guidance_scale=st.floats(1, 30),
    guess_mode=st.booleans(),
    norm_preserving=st.booleans(),
    num_images=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 8),
    initial_image=st.just(MAP),
    strength=st.floats(0, 1),
    area=st.sampled_from([{}, {"inpaint_mask": MAP}, {"inpaint_mask": MAP, "inpaint_area": "mask"}]),
    inpaint_padding=st.integers(0, 512),
    vae=st.none() | names,
    loras=st.lists(st.builds(Lora, name=names, scale=st.floats(-2, 2)), max_size=2).map(tuple),
    ip_adapter=st.none() | st.builds(IpAdapter, name=names, image=st.just(MAP), scale=st.floats(0, 1.5)),
    residual_interval=st.integers(1, 10),
    reuse_threshold=st.integers(0, 50).map(lambda share: share / 100),
)


annotator_pairs = [(row.id, id) for row in CONDITIONS for id in row.annotators]
map_requests = st.builds(
    lambda pair, **values: MapRequest(condition=pair[0], annotator=pair[1], **values),
    pair=st.sampled_from(annotator_pairs),
    source_image=st.just(MAP),
) | st.builds(
    MapRequest,
    condition=st.just("canny"),
    annotator=st.just("canny"),
    annotator_parameters=st.fixed_dictionaries({}, optional={"low_threshold": st.integers(1, 200)}),
    source_image=st.just(MAP),
)
upscale_requests = st.builds(
    UpscaleRequest,
    picture=st.just(MAP),
    factor=st.floats(1, 4),
    strength=st.floats(0, 1),
    prompt=words,
    base=names,
    seed=st.integers(0, 2**32 - 1),
    loras=st.lists(st.builds(Lora, name=names), max_size=2).map(tuple),
    ip_adapter=st.none() | st.builds(IpAdapter, name=names, image=st.just(MAP)),
)
download_requests = st.builds(
    DownloadRequest,
    ids=st.lists(
        st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,9}(/[a-z0-9_][a-z0-9_.-]{0,9})?", fullmatch=True), min_size=1, max_size=3
    ).map(tuple),
)
TASKS: Mapping[str, st.SearchStrategy[Task]] = {
    "generation": requests,
    "map": map_requests,
    "upscale": upscale_requests,
    "download": download_requests,
}
"""By kind of task."""
tasks = st.one_of(*TASKS.values())
