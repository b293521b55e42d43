"""Every place where Gradio's own behaviour is replaced, each with the reason; and the words that all listeners share.

A component's methods are replaced in a class of its own (see `variant`): a method set on the instance would be lost with the
first update, even an empty one, since Gradio then makes a new instance of the class for that browser.
"""

from __future__ import annotations

import math
from abc import ABCMeta
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar, cast

import gradio as gr
from gradio.blocks import BlockFunction
from gradio.component_meta import ComponentMeta
from gradio.components import Component as GradioComponent
from gradio.components.api_component import Api
from gradio.components.base import _Keywords
from gradio.components.image_editor import EditorData
from gradio.processing_utils import save_bytes_to_cache, save_img_array_to_cache
from gradio.state_holder import SessionState
from gradio.utils import get_upload_folder, is_in_or_equal
from pydantic import ValidationError

from annotators.base import Image
from cnet_app.ui.errors import toast

Component = Any
"""A Gradio component. Gradio types its events and their arguments as unknown."""
Values = Mapping[Component, Any]
"""The argument of a handler whose inputs are a set: the value of each component."""
Updates = dict[Component, Any]
"""The result of a handler: new values by component; the other outputs stay as they are."""
Skip = Any
"""The result of `gr.skip()`: no output changes. An empty dict does not have this effect."""
HIDDEN: Mapping[str, Any] = {"show_progress": "hidden", "show_progress_on": [], "api_visibility": "private"}
"""Options of every listener: no veil over the outputs, no public endpoint.

`show_progress_on` is empty since the browser else searches the whole page, and exports every image editor, for each output
that any event ever had, at every event: seconds where the tabs have all been opened.
"""
MAP_LANE: Mapping[str, Any] = {"concurrency_limit": None}
"""Options of every listener that makes maps: users do not wait for each other, and networks wait in the engine."""
FOLLOWING: Mapping[str, Any] = {**HIDDEN, **MAP_LANE, "trigger_mode": "always_last"}
"""Options of a listener that makes a map after every change: of changes in quick succession the last one counts."""
LATEST: Mapping[str, Any] = {**HIDDEN, "queue": False, "trigger_mode": "always_last"}
"""Options of a listener that answers at once to every change."""
C = TypeVar("C", bound=GradioComponent)
STATEFUL: Mapping[str, Any] = {**HIDDEN, "concurrency_limit": None, "trigger_mode": "always_last"}
"""Options of a listener that changes a state with listeners: Gradio calls them after queued events only."""
Upload = Literal["upload", "webcam", "clipboard"]
FINISHED = _Keywords.FINISHED_ITERATING
"""Gradio's result of an exhausted generator."""
NO_STEP = "() => {}"
BLANK_EDITOR: Mapping[str, Any] = {"background": None, "layers": [], "composite": None}


def variant(component: type[C], **methods: Callable[..., Any]) -> type[C]:
    """Return a class that differs from a component's in some methods.

    It is made without the metaclass's `__new__`, which writes a .pyi file next to the source of every subclass, and under the
    component's own name and module, by which the browser finds its scripts.
    """
    namespace = {"__module__": component.__module__, "__doc__": component.__doc__, **methods}
    return cast("type[C]", ABCMeta.__new__(ComponentMeta, component.__name__, (component,), namespace))


def file_image(label: str, sources: Sequence[Upload], **options: Any) -> gr.Image:
    """A picture input whose value is the path of the uploaded file.

    Gradio's own `preprocess` decodes the file, and raises its own errors with server paths in them.
    """
    return variant(gr.Image, preprocess=lambda _, payload: payload and payload.path)(
        label=label, type="filepath", format="png", image_mode=None, sources=list(sources), buttons=[], **options
    )  # fmt: skip


def layered_editor(paths_of: Callable[[EditorData | None], list[str]], **options: Any) -> gr.ImageEditor:
    """An image editor whose value is what `paths_of` makes of the posted files.

    Gradio's own `preprocess` decodes the files. Its `accept_blobs` is a second way in, which fills the memory under
    names and indices that the browser chooses.
    """
    editor = variant(gr.ImageEditor, preprocess=lambda _, payload: paths_of(payload), accept_blobs=_refuse_blobs)
    return editor(image_mode="RGBA", transforms=(), layers=False, format="png", buttons=[], **options)


def open_checkboxes(**options: Any) -> gr.CheckboxGroup:
    """A checkbox group, hidden at first, whose choices change while the page is open.

    Gradio's own `preprocess` refuses a tick that is no longer among the choices, though it was when the page sent it.
    """
    return variant(gr.CheckboxGroup, preprocess=lambda _, payload: payload or [])([], visible=False, **options)


def listen(triggers: Sequence[Any], handler: Callable[..., Any], inputs: Any, outputs: Any, **options: Any) -> Any:
    """Call a handler on events of which some are a picture input's; returns the event of its end.

    A first step in the browser comes between. A picture input that closes its stream, as each does with every new picture,
    else leaves a loading state on all inputs of its listeners, and each later event of the page updates every one of them.
    """
    return gr.on(list(triggers), None, None, None, js=NO_STEP, **HIDDEN).then(handler, inputs, outputs, **options)


def editor_value(picture: Image | str) -> dict[str, Any]:
    """The value that puts a picture, as pixels or as a path, into an image editor."""
    return {**BLANK_EDITOR, "background": picture}


def cache_picture(pixels: Image, gallery: gr.Gallery) -> str:
    """Save a map where Gradio may serve it, and return its path; a gallery given pixels would save them at every update."""
    return save_img_array_to_cache(pixels, gallery.GRADIO_CACHE)


def cache_upload(content: bytes, name: str) -> str:
    """Save a file where Gradio may serve it, next to uploaded ones, and return its path."""
    return save_bytes_to_cache(content, name, get_upload_folder())


def cache_file(content: bytes, name: str, button: gr.DownloadButton) -> str:
    """Save a file to download where Gradio may serve it, and return its path."""
    return save_bytes_to_cache(content, name, button.GRADIO_CACHE)


def component_set(*groups: Collection[Component]) -> set[Component]:
    """All components of the groups: inputs as a set are given to the handler by component."""
    return {component for group in groups for component in group}


class CheckedBlocks(gr.Blocks):
    """Checks every posted value before a handler runs, and leaves the outputs of a generator that yields nothing alone.

    Gradio's own check lets files pass that are not declared as files, and NaN passes the bounds of its numbers. Where a
    generator yields nothing, Gradio empties its outputs: also the labels of its buttons.
    """

    def validate_inputs(self, block_fn: BlockFunction, inputs: list[Any]) -> None:
        # A program may leave the last arguments out; only Gradio's own client fills them in.
        inputs += [component.value for component in block_fn.inputs[len(inputs) :] if isinstance(component, Api)]
        super().validate_inputs(block_fn, inputs)
        for component, value in zip(block_fn.inputs, inputs, strict=False):
            fault = fault_of(component, value)
            if fault:
                raise toast(fault)

    async def postprocess_data(
        self, block_fn: BlockFunction, predictions: list[Any] | dict[Any, Any], state: SessionState | None
    ) -> list[Any]:
        parts: list[Any] = predictions if isinstance(predictions, list | tuple) else [predictions]
        is_over = any(part is FINISHED for part in parts)
        return await super().postprocess_data(block_fn, gr.skip() if is_over else predictions, state)


def fault_of(component: Component, value: Any) -> str:
    """Return the message for a value that this component cannot have; empty for every other."""
    label = getattr(component, "label", None) or component.elem_id or "A field"
    if isinstance(component, gr.Slider | gr.Number) and not (value is None and isinstance(component, gr.Number)):
        return _number_fault(label, value, component.minimum, component.maximum)
    if not all(map(_is_uploaded, _paths(value))) or not _fits(component, value):
        return f"{label} must be a file that was uploaded here, and this one was not or is no longer there; choose it again."
    return ""


def _number_fault(label: str, value: Any, low: float | None, high: float | None) -> str:
    bounds = " to ".join(f"{bound:g}" for bound in (low, high) if bound is not None)
    allowed = f"{label} must be a number{f' from {bounds}' if bounds else ''}"
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return f"{allowed}; enter one."
    if (low is not None and value < low) or (high is not None and value > high):
        return f"{allowed}, not {value:g}."
    return ""


def _paths(value: Any) -> Iterator[Any]:
    """Yield the paths of all files in a value, at any depth."""
    if isinstance(value, dict):
        if "path" in value:
            yield value["path"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _paths(part)


def _is_uploaded(path: Any) -> bool:
    try:
        return isinstance(path, str) and Path(path).is_file() and is_in_or_equal(path, get_upload_folder())
    except (OSError, ValueError):  # too long, or with a NUL
        return False


def _fits(component: Component, value: Any) -> bool:
    model = getattr(component, "data_model", None)
    if model is None or value is None:
        return True
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def _refuse_blobs(*_: Any) -> None:
    raise gr.Error("Drawings are sent with the form alone.", print_exception=False)
