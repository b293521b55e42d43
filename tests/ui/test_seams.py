"""Where Gradio's own behaviour is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from cnet_app.api.endpoints import NAMES
from cnet_app.ui.gradio_seams import CheckedBlocks, component_set, editor_value, fault_of, variant

NOT_UPLOADED = "must be a file that was uploaded here, and this one was not or is no longer there; choose it again."


def nothing() -> Iterator[Any]:
    yield from ()


async def nothing_later() -> AsyncIterator[Any]:
    for update in ():
        yield update


@pytest.mark.parametrize("handler", [nothing, nothing_later])
@pytest.mark.parametrize("count", [1, 3])
def test_outputs_stay_where_a_generator_yields_nothing(handler: Any, count: int) -> None:
    with CheckedBlocks() as app:
        outputs: list[Any] = [gr.HTML("a fault"), gr.Button("Generate"), gr.State(1)][:count]
        gr.Button().click(handler, None, outputs)
    (fn,) = app.fns.values()
    answer = asyncio.run(app.process_api(fn, [], session_hash="visitor"))
    assert not answer["is_generating"]
    shown = [one for one, output in zip(answer["data"], outputs, strict=True) if not isinstance(output, gr.State)]
    assert all(one["__type__"] == "update" and "value" not in one.get("props", one) for one in shown)


def test_no_listener_leaves_a_loading_state_on_the_page(built: gr.Blocks) -> None:
    """At every event the browser searches the whole page once for each component that has such a state."""
    pictures = {id for id, block in built.blocks.items() if isinstance(block, gr.Image)}
    for fn in (fn for fn in built.fns.values() if fn.api_name not in NAMES):
        assert not fn.get_config()["show_progress_on"], fn.name
        assert fn.show_progress_on is not None or not fn.outputs, fn.name
        assert not fn.inputs or not pictures & {id for id, _ in fn.targets}, fn.name


@pytest.fixture
def uploads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gradio's folder of uploads."""
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path / "uploads"))
    (tmp_path / "uploads").mkdir()
    return tmp_path / "uploads"


@pytest.mark.parametrize("value", [1, 8, 8.0, 4.5])
def test_a_number_within_its_bounds_has_no_fault(value: float) -> None:
    assert fault_of(gr.Slider(1, 8, label="Steps"), value) == ""


@pytest.mark.parametrize("value", [0.999, 9, -1e300])
def test_a_number_out_of_its_bounds_is_named_with_them(value: float) -> None:
    assert fault_of(gr.Slider(1, 8, label="Steps"), value) == f"Steps must be a number from 1 to 8, not {value:g}."


@pytest.mark.parametrize("value", [float("nan"), float("inf"), True, "4", [4], {"path": "x"}])
def test_what_is_no_number_is_refused(value: Any) -> None:
    assert fault_of(gr.Slider(1, 8, label="Steps"), value) == "Steps must be a number from 1 to 8; enter one."


def test_a_number_may_be_empty_and_a_slider_may_not() -> None:
    assert fault_of(gr.Number(label="Seed"), None) == ""
    assert fault_of(gr.Slider(1, 8, label="Steps"), None) == "Steps must be a number from 1 to 8; enter one."


def test_a_field_without_bounds_takes_every_finite_number() -> None:
    assert fault_of(gr.Number(label="Seed"), -1e30) == ""
    assert fault_of(gr.Number(label="Seed"), float("nan")) == "Seed must be a number; enter one."
    assert fault_of(gr.Number(label="Seed", minimum=0), -1) == "Seed must be a number from 0, not -1."


def test_an_uploaded_file_has_no_fault_and_any_other_has(uploads: Path, tmp_path: Path) -> None:
    inside, outside = uploads / "a" / "photo.png", tmp_path / "secret.png"
    inside.parent.mkdir()
    for path in (inside, outside):
        path.write_bytes(b"PNG")
    image = gr.Image(label="Photo")
    assert fault_of(image, {"path": str(inside)}) == ""
    for path in (outside, uploads / "a" / ".." / ".." / "secret.png", uploads / "gone.png", inside.parent):
        assert fault_of(image, {"path": str(path)}) == f"Photo {NOT_UPLOADED}", path


@pytest.mark.parametrize("path", [None, 7, ["a"], "\0", "x" * 10_000])
def test_what_is_no_path_is_refused_without_an_error(path: Any, uploads: Path) -> None:
    assert fault_of(gr.Image(label="Photo"), {"path": path}) == f"Photo {NOT_UPLOADED}"


def test_files_are_found_at_any_depth_of_a_value(uploads: Path) -> None:
    (uploads / "layer.png").write_bytes(b"PNG")
    good, bad = {"path": str(uploads / "layer.png")}, {"path": "/etc/hostname"}
    box = gr.JSON(label="Data")
    assert fault_of(box, {"layers": [{"deep": [good]}]}) == ""
    assert fault_of(box, {"layers": [{"deep": [good, bad]}]}) == f"Data {NOT_UPLOADED}"
    assert fault_of(box, [good, {"path": good["path"], "more": bad}]) == f"Data {NOT_UPLOADED}"


def test_a_field_without_a_label_is_named_by_its_id() -> None:
    assert fault_of(gr.State(), {"path": "/etc/hostname"}).startswith("A field must be a file")
    assert fault_of(gr.HTML(elem_id="box"), {"path": "/etc/hostname"}).startswith("box must be a file")


def test_a_variant_has_the_replaced_method_and_leaves_the_original_alone() -> None:
    shouting = variant(gr.Textbox, preprocess=lambda _, payload: payload.upper())
    assert shouting("a").preprocess("abc") == "ABC"
    assert gr.Textbox("a").preprocess("abc") == "abc"
    assert issubclass(shouting, gr.Textbox)
    assert shouting.__name__ == "Textbox"


def test_parts_of_the_seams_are_joined_without_a_shared_default() -> None:
    one, two = gr.State(1), gr.State(2)
    assert component_set([one], {two, one}) == {one, two}
    assert component_set() == set()
    first = editor_value("a.png")
    assert first == {"background": "a.png", "layers": [], "composite": None}
    assert editor_value("b.png")["background"] == "b.png"
    assert first["background"] == "a.png"
