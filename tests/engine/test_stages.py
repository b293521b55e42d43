"""Memory that runs out, and Cancel, at each stage of a picture: the next job works; and models that cannot be loaded."""

from __future__ import annotations

import shutil
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cnet_app.diffusion.backbones.unet import UNetBackbone
from cnet_app.engine.protocol import Event, PictureMade
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.tasks import Task
from cnet_app.request.upscale import UpscaleRequest
from models import loader
from models.errors import CancelledError, DamagedError, OutOfMemoryError
from tests.engine.conftest import PHOTO, Make, small

pytestmark = pytest.mark.slow

STAGES: dict[str, tuple[Any, str, int]] = {
    "loading the base": (loader, "load_base", 1),
    "loading a ControlNet": (loader, "load_controlnet", 1),
    "the map": (UNetBackbone, "prepare_control", 1),
    "the prompts": (UNetBackbone, "encode_texts", 1),
    "the picture to start from": (UNetBackbone, "encode", 1),
    "the first step": (UNetBackbone, "predict", 1),
    "a later step": (UNetBackbone, "predict", 2),
    "the autoencoder": (UNetBackbone, "decode", 1),
}
"""Owner and name of the function that a stage begins with, and which of its calls it is."""


def request(**values: Any) -> GenerationRequest:
    """A picture that goes through all stages."""
    return small(initial_image=encode_png(PHOTO), strength=1.0, num_inference_steps=3, **values)


def enlarge() -> UpscaleRequest:
    return UpscaleRequest(
        picture=encode_png(PHOTO), factor=1.5, prompt="a red ball", base="sd15", num_inference_steps=3, guidance_scale=3
    )


def pictures(engine: TorchEngine, task: Task) -> list[np.ndarray[Any, Any]]:
    return [event.pixels for event in engine.run(task) if isinstance(event, PictureMade)]


def at_stage(patch: pytest.MonkeyPatch, stage: str, act: Any, times: int = 1) -> None:
    """Call `act` when a stage begins, at most so many times."""
    owner, name, call = STAGES[stage]
    plain, calls = getattr(owner, name), Counter[str]()

    def begun(*given: Any, **named: Any) -> Any:
        calls["all"] += 1
        if call <= calls["all"] < call + times:
            act()
        return plain(*given, **named)

    patch.setattr(owner, name, begun)


def run_out() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("stage", STAGES)
def test_memory_that_runs_out_at_any_stage_makes_the_same_picture_with_less_or_ends_in_one_sentence(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    (expected,) = pictures(engine, request())
    engine.unload()
    with monkeypatch.context() as patch:
        at_stage(patch, stage, run_out)
        np.testing.assert_array_equal(pictures(engine, request())[0], expected)
    engine.unload()
    with monkeypatch.context() as patch:
        at_stage(patch, stage, run_out, times=100)
        with pytest.raises(OutOfMemoryError, match="too small for 64x64 pixels .*; choose a smaller size or fewer"):
            pictures(engine, request())
    np.testing.assert_array_equal(pictures(engine, request())[0], expected)


def test_memory_that_runs_out_while_a_picture_is_made_larger(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    (expected,) = pictures(engine, enlarge())
    assert expected.shape == (96, 96, 3)
    with monkeypatch.context() as patch:
        at_stage(patch, "the autoencoder", run_out)
        np.testing.assert_array_equal(pictures(engine, enlarge())[0], expected)
    with monkeypatch.context() as patch:
        at_stage(patch, "the autoencoder", run_out, times=100)
        with pytest.raises(OutOfMemoryError, match="too small for 96x96 pixels"):
            pictures(engine, enlarge())
    np.testing.assert_array_equal(pictures(engine, enlarge())[0], expected)


@pytest.mark.parametrize("stage", STAGES)
def test_cancel_at_any_stage_ends_the_job_and_a_small_one_works(
    engine: TorchEngine, make: Make, monkeypatch: pytest.MonkeyPatch, stage: str
) -> None:
    expected = make(small())
    engine.unload()
    reached, cancelled = threading.Event(), threading.Event()

    def wait() -> None:
        reached.set()
        assert cancelled.wait(20)

    made: list[Event] = []
    with monkeypatch.context() as patch:
        at_stage(patch, stage, wait)
        stream = engine.run(request(num_images=2))
        assert reached.wait(60)
        stream.close()
        stream.close()  # a second time
        cancelled.set()
        with pytest.raises(CancelledError):  # noqa: PT012 - the loop is what is cancelled
            for event in stream:
                made += [event] * isinstance(event, PictureMade)
    assert len(made) == (stage == "the autoencoder")  # the picture that was nearly finished is kept
    np.testing.assert_array_equal(make(small()), expected)
    stream.close()  # long after its end: no other job stops
    np.testing.assert_array_equal(make(small()), expected)


def damage(folder: Path, how: str) -> None:
    """Damage the file of a network."""
    path = folder / "diffusion_pytorch_model.safetensors"
    tensors = load_file(path)
    if how == "cut off":
        path.write_bytes(path.read_bytes()[:-50])
        return
    if how == "a tensor missing":
        del tensors["conv_in.bias"]
    elif how == "a tensor of another shape":
        tensors["conv_in.bias"] = torch.zeros(3)
    else:
        tensors["conv_in.bias"][0] = torch.nan
    save_file(tensors, path)


@pytest.mark.parametrize("how", ["cut off", "a tensor missing", "a tensor of another shape", "NaN"])
def test_a_damaged_model_is_refused_and_what_is_loaded_stays(
    make: Make, read: Counter[str], files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    own = Path(shutil.copytree(files, tmp_path / "models"))
    monkeypatch.setenv("CNET_MODELS_DIR", str(own))
    expected = make(small())
    damage(own / "control_v11p_sd15_scribble", how)
    with pytest.raises(DamagedError, match=r"diffusion_pytorch_model\.safetensors in .*; delete it and download it"):
        make(small("scribble", "scribble_xdog"))
    read.clear()
    np.testing.assert_array_equal(make(small()), expected)
    assert not read
