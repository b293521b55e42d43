"""The device that networks run on, and the networks that stay loaded."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from annotators.base import Annotator, Image, create
from annotators.embedded import DepthEmbedded, NormalEmbedded, OpenPoseEmbedded, SegmentationEmbedded, SoftEdgeEmbedded
from annotators.maps.control_map import make_map
from annotators.mlsd import MLSDTiny
from annotators.networks.loading import to_batch
from annotators.normal import NormalFromDepth
from annotators.registry import ANNOTATORS
from annotators.runtime import LoadedNetworks, Runtime
from models.errors import InputError
from tests.annotators.conftest import ON_META
from tests.source import ROOT

SHIPPED: tuple[Annotator, ...] = (
    DepthEmbedded(), NormalEmbedded(), SegmentationEmbedded(), OpenPoseEmbedded(), SoftEdgeEmbedded(), MLSDTiny(),
    NormalFromDepth(depth="depth_embedded"),
)  # fmt: skip


class _Net:
    """Stands for a network; unlike a string it can be referred to weakly."""


def _load(device: str, name: str, path: Path) -> str:
    return f"{name} of {path.read_bytes()!r} on {device}"


def test_a_network_is_loaded_once_for_its_arguments_files_and_device(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    path.write_bytes(b"1")
    runtime = Runtime()
    first = runtime.load(_load, "net", path)
    assert first == "net of b'1' on cpu"
    assert runtime.load(_load, "net", path) is first
    assert runtime.load(_load, "other", path) == "other of b'1' on cpu"
    assert replace(runtime, device="cuda:1").load(_load, "other", path) == "other of b'1' on cuda:1"
    assert runtime.networks.holding() == 1  # the last one of a loader


def test_another_file_in_a_networks_place_is_noticed(tmp_path: Path) -> None:
    path, folder = tmp_path / "net.pth", tmp_path / "net"
    folder.mkdir()
    runtime = Runtime()

    def load(device: str, path: Path) -> str:
        return (path if path.is_file() else path / "model.safetensors").read_text()

    for place, file in ((path, path), (folder, folder / "model.safetensors")):
        for content in ("one", "other"):
            file.write_text(content)
            os.utime(file, ns=(0, len(content)))  # the newer one may have the older date
            assert [runtime.load(load, place), runtime.load(load, place)] == [content, content]


def test_released_networks_are_loaded_again(tmp_path: Path) -> None:
    networks = LoadedNetworks()
    first = networks.get(_Net)
    assert networks.get(_Net) is first
    assert (networks.holding(), networks.release(), networks.holding(), networks.release()) == (1, 1, 0, 0)
    assert networks.get(_Net) is not first


def test_the_old_network_is_gone_before_the_next_one_is_loaded() -> None:
    networks = LoadedNetworks()
    alive: list[bool] = []

    def load(number: int) -> _Net:
        gc.collect()
        alive.append(old() is not None)
        return _Net()

    old: weakref.ref[_Net] = weakref.ref(_Net())
    old = weakref.ref(networks.get(load, 1))
    networks.get(load, 2)
    assert alive == [False, False]


def test_threads_load_a_network_once() -> None:
    networks, calls, together = LoadedNetworks(), list[int](), threading.Barrier(4)

    def load() -> _Net:
        calls.append(1)
        time.sleep(0.05)
        return _Net()

    def get(_: int) -> _Net:
        together.wait()
        return networks.get(load)

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(get, range(4)))) == 1
    assert len(calls) == 1


def test_a_slow_load_holds_up_no_loaded_network() -> None:
    networks, begun, may_end = LoadedNetworks(), threading.Event(), threading.Event()
    loaded = networks.get(_Net)

    def slow() -> str:
        begun.set()
        assert may_end.wait(10)
        return "slow"

    loaded = networks.get(_Net)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(networks.get, slow)
        assert begun.wait(10)
        assert networks.get(_Net) is loaded
        assert (networks.release(), networks.holding()) == (1, 0)
        may_end.set()
        assert waiting.result(10) == "slow"


def test_loads_do_not_overlap_and_share_their_guard_with_others() -> None:
    guard = threading.Lock()
    networks, waiting_to_load = LoadedNetworks(guard), threading.Event()
    held: list[bool] = []

    def load() -> str:
        held.append(guard.locked())
        return "loaded"

    def ask() -> str:
        waiting_to_load.set()
        return networks.get(load)

    with ThreadPoolExecutor(1) as pool:
        with guard:  # as while another model is loaded
            asked = pool.submit(ask)
            assert waiting_to_load.wait(10)
            with pytest.raises(TimeoutError):
                asked.result(0.05)
            assert held == []
        assert asked.result(10) == "loaded"
    assert held == [True]
    assert not guard.locked()


def test_networks_are_loaded_one_by_one() -> None:
    """Also those of two caches that share their guard."""
    guard, loading, most = threading.Lock(), list[int](), list[int]()

    def load(number: int) -> int:
        loading.append(number)
        most.append(len(loading))
        time.sleep(0.02)
        loading.remove(number)
        return number

    def load_other(number: int) -> int:
        return load(number)

    caches = LoadedNetworks(guard), LoadedNetworks(guard)
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(cache.get, one, 10 * i + j) for i, cache in enumerate(caches)
                for j, one in enumerate((load, load_other))]  # fmt: skip
        assert [job.result(10) for job in jobs] == [0, 1, 10, 11]
    assert most == [1] * 4


def test_a_network_that_fails_to_load_is_tried_again(tmp_path: Path) -> None:
    runtime = Runtime()
    with pytest.raises(FileNotFoundError):
        runtime.load(_load, "net", tmp_path / "net.pth")
    assert runtime.networks.holding() == 0
    (tmp_path / "net.pth").write_bytes(b"1")
    assert runtime.load(_load, "net", tmp_path / "net.pth") == "net of b'1' on cpu"


@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:0", "cuda:11", "mps"])
def test_devices_as_torch_names_them(device: str) -> None:
    assert Runtime(device).device == device


@pytest.mark.parametrize("device", ["", "gpu", "cuda:", "cuda:abc", "cuda:-1", "cpu:x", "auto"])
def test_other_devices_are_refused(device: str) -> None:
    with pytest.raises(InputError, match="device is .* but it must be cpu, cuda"):
        Runtime(device)


@pytest.mark.slow
@pytest.mark.parametrize("annotator", SHIPPED, ids=lambda annotator: annotator.id)
def test_a_network_runs_on_the_device_it_is_given(
    annotator: Annotator, photos: dict[str, Image], meta_runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On the CPU where that is chosen, although there is a GPU; and wholly on another one."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert annotator(photos["coffee"], Runtime("cpu")).shape == photos["coffee"].shape
    with ON_META:
        annotator(photos["coffee"], meta_runtime)
    with ON_META:
        make_map(annotator, photos["coffee"], meta_runtime)


def test_pixels_go_to_the_device() -> None:
    assert to_batch(np.zeros((4, 6, 3), np.uint8), "meta").device.type == "meta"


@pytest.mark.slow
def test_one_runtime_serves_all_annotators(photos: dict[str, Image], runtime: Runtime) -> None:
    maps = [annotator(photos["coffee"], runtime) for annotator in SHIPPED]
    assert runtime.networks.holding() == 2  # the embedded network, and M-LSD's
    runtime.networks.release()
    for annotator, made in zip(SHIPPED, maps, strict=True):
        assert np.array_equal(annotator(photos["coffee"]), made)  # the same without a runtime
    assert runtime.networks.holding() == 0


def test_who_needs_no_network_has_no_files() -> None:
    for kind in ANNOTATORS:
        assert kind.needs_network == bool(create(kind).needs())
    assert sum(not kind.needs_network for kind in ANNOTATORS) >= 14


@pytest.mark.slow
def test_without_a_network_no_library_of_networks_is_imported() -> None:
    code = """
import sys, numpy as np
from annotators.base import create
from annotators.maps.control_map import make_map
from annotators.maps.kinds import KINDS
from annotators.maps.encoders import resize_map
from annotators.maps.recognise import diagnose, looks_like
from annotators.registry import ANNOTATORS
photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
made = 0
for kind in ANNOTATORS:
    if not kind.needs_network:
        made_map = make_map(create(kind), photo)
        resize_map(made_map.pixels, made_map.kind, 48, 48)
        looks_like(made_map.kind, photo), diagnose(made_map.kind, made_map.pixels, kind.title)
        made += 1
heavy = {"torch", "transformers", "onnxruntime", "controlnet_aux", "diffusers", "gradio"} & set(sys.modules)
assert made >= 14 and not heavy, (made, heavy)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1000:]
