"""Whatever is posted to a call of the page, the answer is a value or one sentence, soon, and the log has no traceback."""

from __future__ import annotations

import asyncio
import copy
import logging
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from skimage import data

from cnet_app.ui.calls.shapes import DRAFT, SHAPES
from cnet_app.ui.studio import CALLS, answer
from models.errors import InputError
from tests.evaluation.studies import make_study
from tests.jobs.fake_engine import request
from tests.ui.conftest import FRAME, Caller, create_caller

pytestmark = pytest.mark.slow

SOON = 5.0
"""CPU seconds, which a busy machine does not change."""
EXAMPLES = int(os.environ.get("POSTED_EXAMPLES", "15"))
ODD = st.sampled_from(
    [None, True, False, 0, 1, -1, 2**63, 10**400, 1e308, -0.0, float("nan"), float("inf"), "", "\0", "\ud800", "../../etc/passwd",
     "http://127.0.0.1:9/x", "<script>alert(1)</script>", "é" * 3000, "None", "0", [], {}, [[]], [None], {"": None}]
)  # fmt: skip
JSON = st.recursive(
    ODD | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(
        ["draft", "ids", "id", "job", "layer", "frame", "photo", "path", "text", "query", "axes", "sweep", "norms"]
    ),
    JSON,
)
QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def caller(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    yield from create_caller(tmp_path_factory.mktemp("calls"))


@pytest.fixture(scope="module")
def valid(caller: Caller) -> dict[str, dict[str, Any]]:
    """Values of each call that the page could send."""
    photo = caller.put(data.astronaut()[::4, ::4]) | {"name": "photo.png"}
    upload = str(caller.files[0])
    runner = caller.context.runner
    *_, state = runner.watch(runner.submit(request("made"), caller.session))
    id, job = state.picture_ids[state.paths[0]], state.id
    draft = draft_with(photo)
    axis = {"name": "guidance_scale", "values": [3, 5]}
    folder = caller.context.settings.output_dir
    make_study(folder, name="seen")
    on_study = {"study": "seen", "participant": "ann"}
    ids, on_job, on_sweep = {"ids": [id]}, {"job": job}, {"sweep": "2026-01-01_000000-a-000000000000"}
    return {key: {} for key in CALLS} | {
        "choices": {"base": "embedded"},
        "memory": {"base": "embedded", "layers": draft["layers"], "frame": FRAME},
        "question": {"ids": ["sd15"], "annotator": "canny"},
        "download": {"ids": ["sd15"]},
        "example": {"condition": "canny"},
        "frame": {"size": {"mode": "photo", "width": 64, "height": 64, "fit": "pad"}, "photo": {"width": 9, "height": 5}},
        "put": {"path": upload},
        "map": {"layer": draft["layers"][0], "photo": photo, "frame": FRAME},
        "fighting": {"norms": [[1.0, 2.0], [3.0, 0.0]]},
        "pose": {"text": '{"people": []}', "name": "pose.json", "frame": FRAME},
        "move": on_job | {"place": 1},
        "upscale": {"id": id, "factor": 2.0},
        "read_recipe": {"id": id, "base": "embedded"},
        "overlay": {"id": id, "index": 0},
        "library": {"query": {"text": "made", "conditions": ["canny"], "min_score": 0.5, "sort": "oldest"}, "offset": 0, "limit": 9},
        "favour": ids | {"favourite": True},
        "board": ids | {"board": "one"},
        "sweep_plan": {"draft": draft, "axes": [axis]},
        "grid": {"draft": draft, "axes": [axis, "num_inference_steps: 2, 3"], "name": "a grid"},
        "batch": {"draft": draft, "files": [upload], "into": ["a"], "size": "follow", "name": "a batch"},
        "wildcards": {"prompt": "a {red|blue} __thing__"},
        "watch": {"token": "x", "follow": [job]},
        "create_study": {
            "name": "../x", "kind": "which", "scale": "ranks", "methods": [{"name": "a", "folder": "nowhere"}], "controls": "/",
            "groups": 2, "training": 1,
        },
        "study": {"study": "seen"},
        "study_results": {"study": "seen", "unfinished": True},
        "study_question": on_study,
        "study_picture": on_study | {"question": 0, "place": 1},
        "study_answer": on_study | {"question": 0, "quality": [1, 2, 3], "fidelity": [3, 2, 1], "chosen": 1},
        "training_form": {"base": "embedded"},
        "start_training": {"plan": {"name": "../x", "steps": 3, "flip": True}},
        "follow_training": {"name": "one", "byte": 3},
        "find_data": {"path": str(caller.folder)},
        "build_data": {"images": "nowhere", "condition": "canny", "size": 64, "annotator": "", "caption": "", "output": ""},
        "check_data": {"data": "nowhere", "condition": "canny", "size": 64, "caption": ""},
        "resume_training": {"name": "one", "changes": {"steps": 4}},
        **{f"{act}_training": {"name": "one"} for act in ("pause", "stop", "delete", "try")},
        **dict.fromkeys(("thumbnails", "delete", "restore", "zip"), ids),
        **{name: {"id": id} for name in ("before", "vary", "details")},
        **dict.fromkeys(("cancel", "resume"), on_job),
        **dict.fromkeys(("sweep", "cancel_sweep", "resume_sweep"), on_sweep),
        "sweeps": {"ids": [on_sweep["sweep"]]},
        **{name: {"draft": draft} for name in ("coverage", "generate", "sweep_fields")},
    }  # fmt: skip


def draft_with(photo: dict[str, Any]) -> dict[str, Any]:
    """A draft with every field that a call reads."""
    layer = {
        "id": "a", "condition": "canny", "source": "own", "picture": photo, "enabled": True, "annotator": "canny",
        "parameters": {"low_threshold": 50}, "repairs": [], "controlnet": "", "conditioning_scale": 0.5,
        "control_guidance_start": 0.1, "control_guidance_end": 0.9, "control_mode": "balanced", "mask": photo,
        "strength_curve": [[0.1, 1.0], [0.9, 0.5]], "depth_curve": [], "block_weights": [], "mask_feather": 2,
        "weight_map": None, "prompt": "here", "drawing": None, "classes": None, "pose": None,
    }  # fmt: skip
    people = {"people": [], "canvas_width": 64, "canvas_height": 64}
    return {
        "prompt": "a {red|blue} test", "photo": photo, "frame": FRAME, "count": 1, "seed": {"locked": True, "value": 7},
        "layers": [layer, layer | {"id": "b", "source": "drawing", "drawing": photo, "condition": "scribble", "mask": None,
                            "weight_map": photo},
                   {"id": "c", "condition": "openpose", "source": "pose", "pose": people}],
        "start": {"picture": None, "mask": photo, "strength": 0.5, "area": "picture", "padding": 8},
        "settings": {"base": "embedded", "num_inference_steps": 2, "guidance_scale": 3.0, "scheduler": "", "loras": [],
                     "negative_prompt": "no", "guess_mode": False, "ip_adapter": None, "vae": None},
    }  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield where the parts of a value are."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in pairs:
        yield (*at, key)
        yield from places(part, (*at, key))


def with_part(value: Any, at: tuple[Any, ...], part: Any) -> Any:
    """Return a copy of a value in which one part is another."""
    if not at:
        return part
    changed = copy.copy(value)
    changed[at[0]] = with_part(value[at[0]], at[1:], part)
    return changed


def check(caller: Caller, log: pytest.LogCaptureFixture, name: object, values: object) -> None:
    log.clear()
    began = time.process_time()
    given = asyncio.run(answer(caller.context, {"name": name, "values": values, "session": caller.session}))
    assert time.process_time() - began < SOON
    assert isinstance(given, dict)
    if "error" in given:
        assert "Something went wrong" not in given["error"], [record.exc_info for record in log.records]
        assert given["error"].strip() and given["error"][-1] in ".!?…", given["error"]
        given["error"].encode()
    assert not [record for record in log.records if record.levelno >= logging.WARNING]


def test_every_call_has_a_shape() -> None:
    assert set(SHAPES) == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
def test_arbitrary_values_are_refused_in_a_sentence(
    caller: Caller, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    @QUIET
    @given(JSON | FIELDS)
    def tried(values: Any) -> None:
        check(caller, caplog, name, values)

    tried()


@pytest.mark.parametrize("name", CALLS)
def test_one_wrong_part_is_refused_in_a_sentence(
    caller: Caller, caplog: pytest.LogCaptureFixture, valid: dict[str, dict[str, Any]], name: str
) -> None:
    check(caller, caplog, name, valid[name])
    known = list(places(valid[name]))
    if not known:
        return

    @QUIET
    @given(st.sampled_from(known), JSON)
    def tried(at: tuple[Any, ...], part: Any) -> None:
        check(caller, caplog, name, with_part(valid[name], at, part))

    tried()


@given(JSON)
@QUIET
def test_a_call_that_is_none_is_refused(caller: Caller, caplog: pytest.LogCaptureFixture, name: Any) -> None:
    check(caller, caplog, name, {})


def test_valid_values_are_answered(caller: Caller, valid: dict[str, dict[str, Any]]) -> None:
    answers = {name: caller(name, **values) for name, values in valid.items()}
    refused = {name: answer["error"] for name, answer in answers.items() if "error" in answer}
    on_runs = {f"{act}_training" for act in ("follow", "resume", "pause", "stop", "delete", "try")}
    known = {
        "create_study",
        "cancel",
        "move",
        "resume",
        "sweep",
        "cancel_sweep",
        "resume_sweep",
        "build_data",
        "check_data",
    }
    assert set(refused) <= known | on_runs, refused


@pytest.mark.parametrize("session", ["0\ud800", 7, None, ["a"], "x" * 9_000])
def test_an_identity_that_cannot_be_stored_is_nobodys(caller: Caller, session: object) -> None:
    for name in ("unfinished", "library", "sweeps"):
        given = asyncio.run(answer(caller.context, {"name": name, "values": {}, "session": session}))
        assert "error" not in given


@pytest.mark.parametrize(
    ("draft", "sentence"),
    [
        ({"count": "many"}, "draft.count is 'many', but it must be a whole number; reload the page."),
        ({"layers": {}}, "draft.layers is {}, but it must be a list; reload the page."),
        ({"layers": [{"id": "a"}]}, "draft.layers[0].condition is None, but it must be given; reload the page."),
        (
            {"photo": {"sha256": "../x"}},
            "draft.photo.sha256 is '../x', but it must be the hash of a picture; reload the page.",
        ),
        ({"prompt": 7}, "draft.prompt is 7, but it must be text; reload the page."),
        ({"seed": {"value": float("nan")}}, "draft.seed.value is nan, but it must be a whole number; reload the page."),
    ],
)
def test_a_refusal_names_the_part_and_what_it_must_be(draft: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        DRAFT.check("draft", draft)
    assert str(refused.value) == sentence
