"""Common behaviour of annotators with networks: files, libraries, memory, sizes of inputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from annotators.base import Annotator, Image
from annotators.depth import Midas
from annotators.embedded import DepthEmbedded, OpenPoseEmbedded
from annotators.maps.control_map import make_map
from annotators.networks.loading import aux_module, load_into, load_state, resize_for_network, size_for_network
from annotators.networks.scene_net import SceneNet, load_scene_net
from annotators.normal import NormalFromDepth
from annotators.openpose import OpenPose
from annotators.registry import ANNOTATORS
from annotators.softedge import HED
from models.catalogue.catalog import entry
from models.catalogue.weights import require
from models.errors import DamagedError, MissingError, OutOfMemoryError, WeightsError, is_out_of_memory


@pytest.mark.slow
@pytest.mark.parametrize(
    ("annotator", "file"), [(HED(), "hed/ControlNetHED.pth"), (OpenPose(), "openpose_body/body_pose_model.pth")]
)
def test_damaged_weights_are_told_in_a_sentence(
    models_dir: Path, photos: dict[str, Image], annotator: Annotator, file: str
) -> None:
    path = models_dir / file
    path.parent.mkdir(parents=True)
    path.write_bytes(b"not a checkpoint at all")
    with pytest.raises(DamagedError, match=f"{path.name}.*damaged"):
        annotator(photos["coffee"])
    torch.save({"of": torch.zeros(1), "another": torch.zeros(1)}, path)
    with pytest.raises(DamagedError, match="another network"):
        annotator(photos["coffee"])


def test_a_pickle_is_kept_as_safetensors(tmp_path: Path) -> None:
    path, kept_as = tmp_path / "net.pth", tmp_path / "net.pth.safetensors"
    first, second = ({"weight": torch.full((2, 3), value)} for value in (1.0, 2.0))
    torch.save({"state_dict": first}, path)
    assert load_state(path)["weight"].tolist() == first["weight"].tolist()
    assert sorted(tmp_path.iterdir()) == [path, kept_as]
    path.write_bytes(b"no pickle any more")
    os.utime(path, ns=(0, kept_as.stat().st_mtime_ns))
    assert load_state(path)["weight"].tolist() == first["weight"].tolist()  # it was not looked at
    torch.save(second, path)
    os.utime(path, (1, 1))  # however old
    assert load_state(path)["weight"].tolist() == second["weight"].tolist()  # another file came in its place
    kept_as.write_bytes(kept_as.read_bytes()[:-4])
    assert load_state(path)["weight"].tolist() == second["weight"].tolist()  # what was kept is damaged
    assert load_file(kept_as)["weight"].tolist() == second["weight"].tolist()


def test_a_folder_that_cannot_be_written_to_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "net.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    for fault in (SafetensorError("I/O error: Read-only file system"), OSError(28, "No space left on device")):
        monkeypatch.setattr("safetensors.torch.save_file", _raise(fault))
        assert load_state(path)["weight"].shape == (3,)
        assert list(tmp_path.iterdir()) == [path]


def _raise(fault: Exception) -> Callable[..., None]:
    def fail(*_: object, **__: object) -> None:
        raise fault

    return fail


def test_a_checkpoint_that_runs_code_is_refused(models_dir: Path, photos: dict[str, Image], tmp_path: Path) -> None:
    witness = tmp_path / "it ran"

    class Trap:
        def __reduce__(self) -> tuple[Any, ...]:
            return (Path.touch, (witness,))

    (models_dir / "hed").mkdir(parents=True)
    torch.save({"norm": Trap()}, models_dir / "hed" / "ControlNetHED.pth")
    with pytest.raises(WeightsError, match="damaged"):
        HED()(photos["coffee"])
    assert not witness.exists()


def test_weights_that_are_not_finite_are_refused(
    models_dir: Path, photos: dict[str, Image], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    state = {"weight": torch.ones(1, 1, 1, 1), "bias": torch.tensor([torch.nan])}
    with pytest.raises(DamagedError, match="net.pth in .* holds numbers that are not finite; delete it"):
        load_into(network, state, tmp_path / "net.pth", "cpu")
    load_into(network, state | {"bias": torch.zeros(1)}, tmp_path / "net.pth", "cpu")
    spoiled = load_scene_net(require("embedded_annotator"))
    next(spoiled.parameters()).data.fill_(torch.inf)
    monkeypatch.setattr("annotators.networks.scene_net.load_scene_net", lambda folder: spoiled)
    with pytest.raises(DamagedError, match="not finite"):
        DepthEmbedded()(photos["coffee"])


NO_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000000 bytes."),
)
"""Out-of-memory errors as torch raises them for a GPU and for the CPU."""


@pytest.mark.parametrize("error", NO_MEMORY)
@pytest.mark.parametrize(
    ("annotator", "file", "reader"),
    [
        (HED(), "hed/ControlNetHED.pth", "torch.load"),
        (HED(), "hed/ControlNetHED.pth", "torch.nn.Module.load_state_dict"),
        (DepthEmbedded(), None, "safetensors.torch.load_file"),
        (DepthEmbedded(), None, "torch.nn.Module.to"),
        (Midas(), "midas/model.safetensors", "transformers.DPTForDepthEstimation.from_pretrained"),
    ],
)
def test_too_little_memory_to_load_is_no_damage(
    annotator: Annotator, file: str | None, reader: str, error: Exception,
    models_dir: Path, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """Fault 5.2: the engine has to recognise it."""
    if file:
        path = models_dir / file
        path.parent.mkdir(parents=True)
        torch.save({"norm": torch.zeros(1)}, path)
        monkeypatch.setattr("annotators.networks.loading.require", lambda id: path.parent)
        monkeypatch.setattr("transformers.AutoImageProcessor.from_pretrained", lambda *_, **__: None)
    monkeypatch.setattr(reader, _raise(error))
    with pytest.raises((OutOfMemoryError, RuntimeError)) as caught:
        annotator(photos["coffee"])
    assert not isinstance(caught.value, WeightsError)
    assert is_out_of_memory(caught.value)
    monkeypatch.undo()


@pytest.mark.parametrize("error", NO_MEMORY)
def test_too_little_memory_to_run_comes_out_as_it_is(
    error: Exception, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SceneNet, "forward", _raise(error))
    with pytest.raises(type(error)) as caught:
        make_map(OpenPoseEmbedded(), photos["coffee"])
    assert caught.value is error


NEEDS_A_DOWNLOAD = [
    (kind, id) for kind in ANNOTATORS for id in kind.weights if entry(id).repo and kind is not NormalFromDepth
]


@pytest.mark.parametrize(("kind", "id"), NEEDS_A_DOWNLOAD, ids=[kind.id for kind, _ in NEEDS_A_DOWNLOAD])
def test_missing_weights_are_named_and_never_downloaded(
    kind: type[Annotator], id: str, models_dir: Path, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Online, too."""
    monkeypatch.delenv("CNET_OFFLINE")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr("models.catalogue.weights.download", _raise(AssertionError("a download was not asked for")))
    with pytest.raises(MissingError) as caught:
        kind()(photos["coffee"])
    assert f"`python -m cnet_app models download {id}`" in str(caught.value)
    assert max(entry(id).files, key=lambda file: file.size or 0).name in str(caught.value)


def test_one_broken_library_module_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "controlnet_aux.mlsd", None)
    with pytest.raises(WeightsError, match=r"controlnet_aux\.mlsd, which cannot be imported"):
        aux_module("mlsd")
    assert hasattr(aux_module("hed"), "ControlNetHED_Apache2")


def test_the_size_for_a_network_keeps_proportions() -> None:
    assert resize_for_network(np.zeros((100, 200, 3), np.uint8), 512, 64).shape == (512, 1024, 3)
    assert resize_for_network(np.zeros((1000, 500, 3), np.uint8), 128, 64).shape == (256, 128, 3)


@pytest.mark.parametrize(
    ("shape", "size"),
    [((300, 400), (512, 680)), ((64, 64), (512, 512)), ((64, 2000), (64, 2048)), ((2000, 20), (2048, 64)), ((100, 380), (512, 1920))],
)  # fmt: skip
def test_a_strip_does_not_grow_beyond_measure(shape: tuple[int, int], size: tuple[int, int]) -> None:
    height, width = size_for_network(np.zeros((*shape, 3), np.uint8), 512, multiple=8)
    assert (abs(height - size[0]) <= 64, abs(width - size[1]) <= 64) == (True, True)
    assert max(height, width) <= 4 * 512
