"""What is done again from click to click, and what is not: the real engine on miniatures that are loaded from real files."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
from skimage import data

from cnet_app.engine.engine import create_engine
from cnet_app.engine.loaded import LoadedModels
from cnet_app.engine.workshop import Workshop
from cnet_app.maps.annotate import annotate, build_unit
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import IpAdapter, Lora
from cnet_app.settings import Settings
from models import loader
from models.errors import OutOfMemoryError
from models.loader import save_base, save_network
from models.memory import LADDER
from models.tiny import tiny_base, tiny_controlnet, tiny_union

CONTROLNETS = {"canny": "control_v11p_sd15_canny", "softedge": "control_v11p_sd15_softedge", "scribble": "control_v11p_sd15_scribble"}  # fmt: skip
BASES = ("sd15", "sd15_inpaint")
PHOTO = data.astronaut()[::8, ::8]
Make = Callable[..., np.ndarray[Any, Any]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bases of one family and three ControlNets, as a user would have them."""
    folder = tmp_path_factory.mktemp("models")
    base = tiny_base("sd15")
    save_base(base, folder / "sd15")
    save_base(tiny_base("sd15", seed=1, in_channels=9), folder / "sd15_inpaint")
    for seed, id in enumerate(CONTROLNETS.values()):
        save_network(tiny_controlnet(base, seed), folder / id)
    return folder


@pytest.fixture
def read(files: Path, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How many networks were read from the disk."""
    monkeypatch.setenv("CNET_MODELS_DIR", str(files))
    counted: Counter[str] = Counter()

    def load(kind: Any, folder: Path, *more: Any) -> Any:
        counted["networks"] += 1
        return plain(kind, folder, *more)

    plain = loader.load_network
    monkeypatch.setattr(loader, "load_network", load)
    return counted


@pytest.fixture
def models(read: Counter[str]) -> LoadedModels:
    return LoadedModels(create_engine(Settings(base="sd15", device="cpu")))


@pytest.fixture
def make(models: LoadedModels) -> Make:
    """The one picture of a request."""

    def picture(request: GenerationRequest) -> np.ndarray[Any, Any]:
        ready = models.prepare(request, lambda *_: None)
        quiet: dict[str, Any] = {"on_step": lambda _: None, "on_note": lambda _: None, "cancelled": lambda: False}
        return models.make(ready, request, lambda *_: None, **quiet)

    return picture


def request(condition: str = "canny", annotator: str = "canny", **values: Any) -> GenerationRequest:
    """The photo goes through its annotator at every click, as in the page."""
    small: dict[str, Any] = {"prompt": "a red ball", "base": "sd15", "width": 64, "height": 64, "num_inference_steps": 2, "guidance_scale": 3}  # fmt: skip
    units = (build_unit(condition, annotate(condition, annotator, PHOTO, width=64, height=64)),)
    return GenerationRequest(units=units, **small | values)


@pytest.fixture
def runs(models: LoadedModels, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Runs of annotator, text encoder and hint encoder from here on."""
    from annotators.canny import Canny

    counted: Counter[str] = Counter()
    hooks: list[Any] = []
    ready = models.prepare(request(), lambda *_: None)
    for name, module in (("text", ready.base.text_encoders[0]), ("hint", ready.controlnets[0].controlnet_cond_embedding)):  # fmt: skip
        hooks.append(module.register_forward_hook(lambda *_, name=name: counted.update({name: 1})))
    draw = Canny.__call__

    def drawn(self: Canny, image: Any) -> Any:
        counted["map"] += 1
        return draw(self, image)

    monkeypatch.setattr(Canny, "__call__", drawn)
    yield counted
    for hook in hooks:
        hook.remove()


def test_what_a_click_does_again(make: Make, runs: Counter[str]) -> None:
    make(request())
    assert runs["text"] == 2 and runs["hint"] == 1
    runs.clear()
    make(request(seed=1))
    assert not runs
    make(request(prompt="a blue box"))
    assert runs == {"text": 1}
    runs.clear()
    make(request(prompt="a blue box", seed=4, num_inference_steps=3, guidance_scale=4))
    assert not runs


def test_going_back_to_a_condition_reads_nothing(make: Make, read: Counter[str]) -> None:
    make(request())
    make(request("scribble", "scribble_xdog"))
    read.clear()
    make(request())
    assert not read


def test_another_base_of_the_family_shares_the_controlnets(make: Make, read: Counter[str]) -> None:
    make(request())
    first = read.total()
    make(request(base="sd15_inpaint"))
    assert read.total() == 2 * (first - 1) + 1


def test_units_of_a_union_share_its_network(
    make: Make, read: Counter[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = tiny_base("sdxl")
    save_base(base, tmp_path / "sdxl")
    save_network(tiny_union(base), tmp_path / "controlnet_union_sdxl")
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path))
    normal = replace(request().units[0], condition="normal")
    depth = replace(normal, condition="depth", controlnet="controlnet_union_depth_sdxl")
    pictures = [make(replace(request(base="sdxl"), units=units)) for units in ((normal,), (normal, depth))]
    assert (pictures[0] != pictures[1]).any()
    assert read["networks"] == 4  # U-Net, autoencoder and two text encoders; the union is read elsewhere, once


def test_a_request_takes_its_additions_and_leaves_none_behind(
    make: Make, models: LoadedModels, files: Path, tmp_path: Path
) -> None:
    from models.tiny import save_tiny_ip_adapter
    from tests.models.test_loras import kohya, write

    plain = make(request())
    lora = Lora(name=str(tmp_path / "lora.safetensors"))
    write(Path(lora.name), models.base("sd15", lambda *_: None), kohya)
    example = IpAdapter(name=str(save_tiny_ip_adapter(tiny_base("sd15"), tmp_path, False)), image=encode_png(PHOTO))
    assert (make(request(loras=(lora,))) != plain).any()
    assert (make(request(ip_adapter=example, guidance_scale=3)) != plain).any()
    np.testing.assert_array_equal(make(request()), plain)


def test_where_memory_runs_out_the_same_picture_is_made_with_less(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = make(request())
    generate = Workshop.generate
    rungs: list[str] = []

    def cramped(self: Workshop, base: Any, *given: Any, **watch: Any) -> Any:
        rungs.append(base.rung.id)
        if base.rung == LADDER[0]:
            raise OutOfMemoryError("too small")
        return generate(self, base, *given, **watch)

    monkeypatch.setattr(Workshop, "generate", cramped)
    np.testing.assert_array_equal(make(request()), expected)
    np.testing.assert_array_equal(make(request()), expected)
    assert rungs == ["full", "tiled_vae", "tiled_vae"]


def test_at_the_end_of_the_ladder_it_is_told_and_the_next_job_works(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = make(request())
    with monkeypatch.context() as patch:

        def full(*_: Any, **__: Any) -> Any:
            raise OutOfMemoryError("too small")

        patch.setattr(Workshop, "generate", full)
        for _ in LADDER[:2]:
            with pytest.raises(OutOfMemoryError, match="too small"):
                make(request())
    np.testing.assert_array_equal(make(request()), expected)


@pytest.mark.slow
def test_a_hundred_jobs_leave_memory_as_it_was_after_the_tenth(make: Make) -> None:
    maps = {"canny": "canny", "softedge": "softedge_gradient", "scribble": "scribble_xdog"}
    used: list[int] = []
    for job in range(100):
        condition = list(maps)[job % 3]
        make(
            replace(request(condition, maps[condition], base=BASES[job // 3 % 2]), seed=job, prompt=f"a red ball {job}")
        )
        if job in (9, 99):
            gc.collect()
            used.append(psutil.Process().memory_info().rss)
    assert used[1] <= 1.05 * used[0], used
