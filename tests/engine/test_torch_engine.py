"""Reuse between tasks, and the behaviour where memory runs out."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from cnet_app.diffusion import pipeline
from cnet_app.engine import loaded, torch_engine
from cnet_app.engine.create import create_engine
from cnet_app.engine.loaded import LoadedModels
from cnet_app.engine.protocol import Event, Loading, MapMade, Note, PictureMade, Prepared, Stepped
from cnet_app.engine.torch_engine import TorchEngine
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import IpAdapter, Lora
from cnet_app.settings import Settings
from models import loader
from models.errors import CancelledError, EngineError, InputError, MissingError, OutOfMemoryError
from models.layouts.union import module_of
from models.loader import save_base, save_network
from models.machine import memory
from models.machine.ladder import LADDER, Rung
from models.tiny import tiny_base
from models.tiny.unets import tiny_union
from tests.engine.conftest import PHOTO, Make, small

pytestmark = pytest.mark.slow

BASES = ("sd15", "sd15_inpaint")
NO_MEMORY = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."


@pytest.fixture
def runs(make: Make, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Runs of text encoder and hint encoder from here on."""
    counted: Counter[str] = Counter()
    hooks: list[Any] = []
    prepare = LoadedModels.prepare

    def prepared(self: LoadedModels, *given: Any) -> Any:
        ready = prepare(self, *given)
        if not hooks:
            modules = {
                "text": ready.base.text_encoders[0],
                "hint": module_of(ready.controlnets[0]).controlnet_cond_embedding,
            }
            hooks.extend(
                module.register_forward_hook(lambda *_, name=name: counted.update({name: 1}))
                for name, module in modules.items()
            )
        return ready

    monkeypatch.setattr(LoadedModels, "prepare", prepared)
    yield counted
    for hook in hooks:
        hook.remove()


def test_the_events_of_a_job(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "PREVIEW_INTERVAL", 0.0)
    request = small(num_images=2, num_inference_steps=3)
    events = list(engine.run(request))
    kinds = [type(event) for event in events]
    assert kinds[0] is Loading
    assert kinds.count(Prepared) == 1
    assert kinds.index(Prepared) < kinds.index(Stepped) < kinds.index(PictureMade)
    steps = [(event.image_index, event.step, event.steps) for event in events if isinstance(event, Stepped)]
    assert steps == [(index, step, 3) for index in (0, 1) for step in (1, 2, 3)]
    assert [event.index for event in events if isinstance(event, PictureMade)] == [0, 1]
    assert all(event.preview for event in events if isinstance(event, Stepped))


def test_steps_come_without_pictures_where_nobody_looks(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "PREVIEW_INTERVAL", 0.0)
    settings = replace(engine._settings, engine="thread")
    quick = create_engine(settings, previews=False)
    steps = [event for event in quick.run(small(num_inference_steps=2)) if isinstance(event, Stepped)]
    assert [(event.step, event.preview) for event in steps] == [(1, b""), (2, b"")]


def test_the_facts_name_the_scheduler_that_ran_and_it_makes_the_same_picture(engine: TorchEngine, make: Make) -> None:
    (made,) = [event for event in engine.run(small()) if isinstance(event, PictureMade)]
    assert made.facts["scheduler"] != "default"
    np.testing.assert_array_equal(make(small(scheduler=made.facts["scheduler"])), made.pixels)


def test_what_a_click_does_again(make: Make, runs: Counter[str]) -> None:
    make(small())
    runs.clear()
    make(small(seed=1))
    assert not runs
    make(small(prompt="a blue box"))
    assert runs == {"text": 1}
    runs.clear()
    make(small(prompt="a blue box", seed=4, num_inference_steps=3, guidance_scale=4))
    assert not runs


def test_going_back_to_a_condition_reads_nothing(make: Make, read: Counter[str]) -> None:
    make(small())
    make(small("scribble", "scribble_xdog"))
    read.clear()
    make(small())
    assert not read


def test_another_base_of_the_family_shares_the_controlnets(make: Make, read: Counter[str]) -> None:
    make(small())
    first = read.total()
    make(small(base="sd15_inpaint"))
    assert read.total() == 2 * (first - 1) + 1


def test_units_of_a_union_share_its_network(
    make: Make, read: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base("sdxl")
    save_base(base, tmp_path / "sdxl")
    save_network(tiny_union(base), tmp_path / "controlnet_union_sdxl")
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    normal = replace(small().units[0], condition="normal")
    depth = replace(normal, condition="depth", controlnet="controlnet_union_depth_sdxl")
    pictures = [make(replace(small(base="sdxl"), units=units)) for units in ((normal,), (normal, depth))]
    assert (pictures[0] != pictures[1]).any()
    assert read["networks"] == 4  # U-Net, autoencoder and two text encoders; the union is read elsewhere, once


def test_a_request_takes_its_additions_and_leaves_none_behind(make: Make, tmp_path: Path) -> None:
    from models.tiny.unets import save_tiny_ip_adapter
    from tests.models.lora.test_loras import kohya, write

    plain = make(small())
    lora = Lora(name=str(tmp_path / "lora.safetensors"))
    write(Path(lora.name), loader.load_base("sd15"), kohya)
    example = IpAdapter(name=str(save_tiny_ip_adapter(tiny_base("sd15"), tmp_path, False)), image=encode_png(PHOTO))
    assert (make(small(loras=(lora,))) != plain).any()
    assert (make(small(ip_adapter=example)) != plain).any()
    np.testing.assert_array_equal(make(small()), plain)


def test_a_lora_in_the_prompt_is_one_of_the_request(
    engine: TorchEngine, make: Make, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    from tests.models.lora.test_loras import kohya, write

    own = tmp_path / "models"
    shutil.copytree(files, own)
    (own / "loras").mkdir()
    monkeypatch.setenv("CNET_MODELS_DIR", str(own))
    write(own / "loras" / "paint.safetensors", loader.load_base("sd15"), kohya)
    named = make(small(prompt="a red ball", loras=(Lora(name="paint.safetensors", scale=0.7),)))
    events = list(engine.run(small(prompt="a red ball <lora:paint:0.7><lora:gone:1>")))
    (picture,) = (event.pixels for event in events if isinstance(event, PictureMade))
    np.testing.assert_array_equal(picture, named)
    (ran,) = (event.request for event in events if isinstance(event, Prepared))
    assert (ran.prompt, ran.loras) == ("a red ball", (Lora(name="paint.safetensors", scale=0.7),))
    notes = [event.text for event in events if isinstance(event, Note)]
    assert any(note.startswith("<lora:gone:1> in prompt does nothing: models/loras has no 'gone'") for note in notes)
    assert (make(small(prompt="a red ball")) != picture).any()


def test_a_model_file_replaced_under_its_name_is_read_again(
    make: Make, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil

    own = tmp_path / "models"
    shutil.copytree(files, own)
    monkeypatch.setenv("CNET_MODELS_DIR", str(own))
    before = make(small())
    shutil.copytree(own / "control_v11p_sd15_scribble", own / "control_v11p_sd15_canny", dirs_exist_ok=True)
    assert (make(small()) != before).any()


def test_missing_files_are_named_and_nothing_is_downloaded(make: Make) -> None:
    with pytest.raises(MissingError, match=r"XL 1\.0 needs unet"):
        make(small(base="sdxl"))


def test_a_cancelled_task_stops_within_a_step(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_engine, "PREVIEW_INTERVAL", 0.0)
    stream = engine.run(small(num_inference_steps=150))
    steps = 0
    with pytest.raises(CancelledError):  # noqa: PT012 - the loop is what is cancelled
        for event in stream:
            steps += isinstance(event, Stepped)
            if isinstance(event, Stepped):
                stream.close()
    assert steps < 20


def test_a_task_that_waits_for_its_lane_can_be_cancelled(engine: TorchEngine, make: Make) -> None:
    make(small())
    with engine._pictures:
        stream = engine.run(small())
        stream.close()
        with pytest.raises(CancelledError):
            list(stream)
    make(small())


def test_a_map_does_not_wait_for_a_picture_where_memory_allows(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = MapRequest(condition="depth", annotator="depth_embedded", source_image=encode_png(PHOTO))
    with engine._pictures:
        assert any(isinstance(event, MapMade) for event in engine.run(request))
        monkeypatch.setattr(memory, "free_bytes", lambda device: 0)
        waiting = engine.run(request)
        done = threading.Event()
        threading.Thread(target=lambda: (list(waiting), done.set()), daemon=True).start()
        assert not done.wait(0.5)
    assert done.wait(10)


class Cramped:
    """Memory that runs out in a given place so many times."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: Exception, times: int) -> None:
        self.times, self.rungs = times, list[str]()
        plain = getattr(owner, name)

        def cramped(*given: Any, **named: Any) -> Any:
            if given and isinstance(given[0], loader.Base):
                self.rungs.append(given[0].rung.id)
            if self.times:
                self.times -= 1
                raise error
            return plain(*given, **named)

        monkeypatch.setattr(owner, name, cramped)


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory."), RuntimeError(NO_MEMORY), MemoryError()]
)
def test_where_memory_runs_out_the_same_picture_is_made_with_less_and_a_smaller_job_gets_all_back(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    large = small(width=72, height=72)
    expected = make(large)
    cramped = Cramped(monkeypatch, pipeline, "generate", error, times=1)
    np.testing.assert_array_equal(make(large), expected)
    np.testing.assert_array_equal(make(large), expected)
    make(small())
    assert cramped.rungs == ["full", "tiled_vae", "tiled_vae", "full"]


@pytest.mark.parametrize("name", ["load_base", "load_controlnet"])
def test_memory_that_runs_out_while_loading_goes_down_the_ladder_too(
    make: Make, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    expected = make(small())
    engine.unload()
    cramped = Cramped(monkeypatch, loader, name, RuntimeError(NO_MEMORY), times=1)
    np.testing.assert_array_equal(make(small()), expected)
    assert cramped.times == 0


def test_at_the_end_of_the_ladder_it_is_one_sentence_and_the_next_job_works(
    make: Make, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make(small())
    with monkeypatch.context() as patch:
        Cramped(patch, pipeline, "generate", RuntimeError(NO_MEMORY), times=100)
        with pytest.raises(OutOfMemoryError, match="too small for 64x64 pixels with 1 control layers; choose"):
            make(small())
    np.testing.assert_array_equal(make(small()), expected)


def test_annotators_go_before_anything_of_the_base_is_given_up(
    make: Make, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = MapRequest(condition="depth", annotator="depth_embedded", source_image=encode_png(PHOTO))
    list(engine.run(request))
    make(small())
    cramped = Cramped(monkeypatch, pipeline, "generate", RuntimeError(NO_MEMORY), times=1)
    make(small())
    assert cramped.rungs == ["full", "full"]


def test_an_annotator_without_memory_gets_it_from_the_models_and_is_tried_again(
    make: Make, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(small())
    assert engine.status().loaded
    cramped = Cramped(monkeypatch, torch_engine, "run_annotator", RuntimeError(NO_MEMORY), times=1)
    request = MapRequest(condition="depth", annotator="depth_embedded", source_image=encode_png(PHOTO))
    assert any(isinstance(event, MapMade) for event in engine.run(request))
    assert (cramped.times, engine.status().loaded) == (0, ())
    cramped.times = 100
    with pytest.raises(OutOfMemoryError, match="choose a smaller size or another preprocessor"):
        list(engine.run(request))


def test_a_broken_device_is_an_error_of_the_engine(engine: TorchEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    Cramped(monkeypatch, pipeline, "generate", RuntimeError("CUDA error: device-side assert triggered"), times=1)
    with pytest.raises(EngineError, match="stopped working"):
        list(engine.run(small()))


def test_the_device_comes_from_the_settings(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cuda:abc"):
        TorchEngine(Settings(device="cuda:abc", output_dir=tmp_path))


def test_notes_and_norms_reach_the_follower(engine: TorchEngine) -> None:
    events: list[Event] = list(engine.run(small(num_inference_steps=4)))
    (made,) = [event for event in events if isinstance(event, PictureMade)]
    assert len(made.residual_norms) == 1
    assert all(norm > 0 for norm in made.residual_norms[0])
    masked = replace(small().units[0], mask=encode_png(np.zeros((64, 64, 3), np.uint8)))
    notes = [event.text for event in engine.run(small(units=(masked,))) if isinstance(event, Note)]
    assert any("mask" in note for note in notes)


def test_a_hundred_jobs_leave_memory_as_it_was_after_the_tenth(make: Make) -> None:
    maps = {"canny": "canny", "softedge": "softedge_gradient", "scribble": "scribble_xdog"}
    used: list[int] = []
    for job in range(100):
        condition = list(maps)[job % 3]
        request: GenerationRequest = small(condition, maps[condition], base=BASES[job // 3 % 2])
        make(replace(request, seed=job, prompt=f"a red ball {job}"))
        if job in (9, 99):
            gc.collect()
            used.append(psutil.Process().memory_info().rss)
    assert used[1] <= 1.05 * used[0], used


def test_a_rung_is_chosen_by_the_networks_that_a_request_needs(
    make: Make, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def choose(device: str, free: int, weights: dict[str, int], *_: int) -> Rung:
        seen.append(weights["denoiser"])
        return LADDER[0]

    monkeypatch.setattr(loaded, "choose_rung", choose)
    one = small()
    (unit,) = one.units
    bytes_by_units: list[int] = []
    for units in ((), (replace(unit, conditioning_scale=0.0),), (unit,), (unit, unit)):
        make(replace(one, units=units))
        bytes_by_units.append(seen[-1])
    make(one)
    plain, off, single, twice = bytes_by_units
    base: Any = engine._models._pool.peek(engine._models._key("base", one.base))
    network: Any = engine._models._pool.peek(
        engine._models._control_key(unit.controlnet or "control_v11p_sd15_canny", base)
    )
    assert plain == off == memory.module_bytes([base.network])
    assert single == twice == seen[-1]
    assert single - plain == pytest.approx(memory.module_bytes([network.network]), rel=0.1)


def test_text_encoders_rest_and_come_back_with_the_rung(
    make: Make, engine: TorchEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make(small())
    engine.unload()
    monkeypatch.setattr(loaded, "choose_rung", lambda *_: LADDER[1])
    np.testing.assert_array_equal(make(small()), expected)
    rung = engine._models._base(small(), lambda event: None).rung
    assert rung.id == "text_offload" and rung.encoders_rest
