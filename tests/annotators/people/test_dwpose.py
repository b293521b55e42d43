"""DWPose on tiny ONNX files: what they see, what is read off their answers, and every way they can fail."""

from __future__ import annotations

import logging
import sys
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from annotators.base import Image
from annotators.dwpose import (
    BINS,
    CROP_HEIGHT,
    CROP_WIDTH,
    ESTIMATOR,
    FINDER,
    FINDER_SIDE,
    MEAN,
    SPREAD,
    WHOLE_BODY,
    DWPose,
    find_boxes,
    find_points,
    to_person,
)
from annotators.maps.control_map import make_map
from annotators.networks.loading import aux_module
from annotators.networks.onnx_networks import load_session, providers, run
from annotators.people.poses import Pose
from annotators.runtime import Runtime
from models.errors import OutOfMemoryError, WeightsError

ROWS = sum((FINDER_SIDE // stride) ** 2 for stride in (8, 16, 32))


def _save(path: Path, nodes: list[Any], outputs: list[str], size: tuple[int, int], **constants: Any) -> Path:
    """A network of these nodes, whose input is a (1, 3, height, width) `picture`."""
    picture = helper.make_tensor_value_info("picture", TensorProto.FLOAT, [1, 3, *size])
    graph = helper.make_graph(
        nodes, "tiny", [picture],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
    return path


def _finder(path: Path, boxes: list[tuple[float, ...]]) -> Path:
    """Sees a person of this score in each box (left, top, right, bottom, score) of its 640 px square."""
    answer = np.full((1, ROWS, 85), 0.01, np.float32)
    for left, top, right, bottom, score in boxes:
        x, y = (left + right) / 2, (top + bottom) / 2
        row = int(y // 16) * 40 + int(x // 16) + 80 * 80
        size = np.log([(right - left) / 16, (bottom - top) / 16])
        answer[0, row, :6] = x / 16 - x // 16, y / 16 - y // 16, *size, 0.9, score / 0.9
    return _constant(path, FINDER_SIDE, FINDER_SIDE, answer=answer)


def _estimator(path: Path, places: NDArray[np.float64], scores: NDArray[np.float64] | None = None) -> Path:
    """Sees its points always at the same places (133, 2) of the crop, in pixels."""
    answers = {}
    for axis, (name, side) in enumerate((("x", CROP_WIDTH), ("y", CROP_HEIGHT))):
        answers[name] = np.zeros((1, WHOLE_BODY, BINS * side), np.float32)
        answers[name][0, range(WHOLE_BODY), np.rint(places[:, axis] * BINS).astype(int)] = (
            0.9 if scores is None else scores
        )
    return _constant(path, CROP_HEIGHT, CROP_WIDTH, **answers)


def _constant(path: Path, height: int, width: int, **answers: Any) -> Path:
    nodes = [helper.make_node("Identity", [f"{name}_is"], [name]) for name in answers]
    return _save(path, nodes, list(answers), (height, width), **{f"{name}_is": v for name, v in answers.items()})


def _whole(numbers: list[int]) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def _red_finder(path: Path, channel: int) -> Path:
    """An estimator that sees all of its points at the pixel where this channel is brightest."""
    pick = {"first": _whole([channel]), "last": _whole([channel + 1]), "axis": _whole([1])}
    nodes = [helper.make_node("Slice", ["picture", "first", "last", "axis"], ["chosen"])]
    for name, axis, side in (("x", 2, CROP_WIDTH), ("y", 3, CROP_HEIGHT)):
        nodes += [
            helper.make_node("ReduceMax", ["chosen"], [f"{name}1"], axes=[axis], keepdims=0),
            helper.make_node("Reshape", [f"{name}1", f"{name}_column"], [f"{name}2"]),
            helper.make_node("Expand", [f"{name}2", f"{name}_twice"], [f"{name}3"]),
            helper.make_node("Reshape", [f"{name}3", f"{name}_row"], [f"{name}4"]),
            helper.make_node("Expand", [f"{name}4", f"{name}_all"], [name]),
        ]
        pick |= {
            f"{name}_column": _whole([1, side, 1]), f"{name}_twice": _whole([1, side, BINS]),
            f"{name}_row": _whole([1, 1, side * BINS]), f"{name}_all": _whole([1, WHOLE_BODY, side * BINS]),
        }  # fmt: skip
    return _save(path, nodes, ["x", "y"], (CROP_HEIGHT, CROP_WIDTH), **pick)


def test_boxes_are_the_pictures(tmp_path: Path) -> None:
    drawn = [(64.0, 32.0, 264.0, 432.0, 0.8), (70.0, 40.0, 270.0, 440.0, 0.6), (400.0, 100.0, 500.0, 300.0, 0.5),
             (520.0, 100.0, 540.0, 140.0, 0.1)]  # fmt: skip
    path = _finder(tmp_path / FINDER, drawn)
    boxes = find_boxes(load_session("cpu", path), path, np.zeros((480, 960, 3), np.uint8), 0.3)
    assert np.allclose(boxes, np.array([drawn[0][:4], drawn[2][:4]]) * 1.5, atol=0.01)  # the second lies over the first
    assert len(find_boxes(load_session("cpu", path), path, np.zeros((480, 960, 3), np.uint8), 0.55)) == 1
    assert find_boxes(load_session("cpu", path), path, np.zeros((480, 960, 3), np.uint8), 0.95).shape == (0, 4)


def test_the_finder_sees_the_picture_on_grey_blue_first(tmp_path: Path) -> None:
    photo = np.zeros((100, 200, 3), np.uint8)
    photo[..., 0] = 200
    seen: list[NDArray[np.float32]] = []

    class Session:
        def get_inputs(self) -> list[Any]:
            return [SimpleNamespace(name="images")]

        def run(self, outputs: None, values: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
            seen.append(values["images"])
            return [np.zeros((1, ROWS, 85), np.float32)]

    find_boxes(Session(), tmp_path, photo, 0.3)
    (canvas,) = seen
    assert canvas.shape == (1, 3, 640, 640)
    assert canvas[0, :, 10, 10].tolist() == [0, 0, 200]
    assert canvas[0, :, 319, 639].tolist() == [0, 0, 200]
    assert canvas[0, :, 320, 0].tolist() == [114, 114, 114]


@pytest.mark.parametrize("box", [(100, 50, 220, 410), (100, 50, 400, 150), (-50, -80, 300, 200), (300, 200, 320, 230)])
def test_points_are_the_pictures(tmp_path: Path, box: tuple[int, ...]) -> None:
    """A red spot, found by a network that looks for red; a blue one shows that the colours are in their order."""
    photo = np.zeros((480, 640, 3), np.uint8)
    x, y = (box[0] + 2 * box[2]) // 3, (2 * box[1] + box[3]) // 3
    photo[y - 3 : y + 4, x - 3 : x + 4, 0] = np.add.outer(*[20 * (4 - abs(np.arange(-3, 4)))] * 2)
    photo[:, :, 2] = 200
    path = _red_finder(tmp_path / ESTIMATOR, 0)
    points = find_points(load_session("cpu", path), path, photo, np.array(box, float))
    scale = 1.25 * max((box[2] - box[0]) / CROP_WIDTH, (box[3] - box[1]) / CROP_HEIGHT)
    assert np.abs(points[:, :2] - (x + 0.5, y + 0.5)).max() <= max(1, scale)
    red = (160 - MEAN[0]) / SPREAD[0]
    assert points[0, 2] == pytest.approx(red, abs=0.5)


def test_the_order_is_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(0, 400, (WHOLE_BODY, 2)), rng.uniform(0, 1, WHOLE_BODY)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it complains of what it lacks
        library = aux_module("dwpose.wholebody")
    predicted = {"keypoints": points[None, :, :2], "keypoint_scores": points[None, :, 2]}

    class Instances(SimpleNamespace):
        def __contains__(self, name: str) -> bool:
            return name in predicted

    nobody = SimpleNamespace(bboxes=np.zeros((0, 4)), scores=np.zeros(0), labels=np.zeros(0))
    result = SimpleNamespace(pred_instances=SimpleNamespace(cpu=lambda: SimpleNamespace(numpy=lambda: nobody)))
    found = SimpleNamespace(pred_instances=Instances(**predicted, get=lambda name, otherwise: otherwise))
    for name, value in {
        "inference_detector": lambda *_: result, "inference_topdown": lambda *_: found,
        "merge_data_samples": lambda samples: samples, "nms": lambda boxes, threshold: [],
    }.items():  # fmt: skip
        monkeypatch.setattr(library, name, value, raising=False)
    network = object.__new__(library.Wholebody)
    network.detector = network.pose_estimator = None
    keypoints, scores = network(np.zeros((10, 10, 3), np.uint8))
    theirs = np.where(scores[0, :, None] >= 0.3, np.column_stack([keypoints[0], scores[0]]), 0)
    person = to_person(np.where(points[:, 2:] >= 0.3, points, 0))
    body = theirs[:18]
    assert np.allclose(person.body[:, :2], body[:, :2])
    assert ((person.body[:, 2] > 0) == (body[:, 2] > 0)).all()
    assert person.face is not None
    assert np.array_equal(person.face[:68], theirs[24:92])
    assert np.array_equal(person.face[68:], person.body[[14, 15]])
    assert person.left_hand is not None
    assert np.array_equal(person.left_hand, theirs[92:113])
    assert np.array_equal(person.right_hand if person.right_hand is not None else [], theirs[113:])


def test_a_neck_needs_both_shoulders() -> None:
    points = np.ones((WHOLE_BODY, 3))
    points[5] = 11, 21, 0.8
    assert to_person(points).body[1].tolist() == [6, 11, 0.8]
    points[6] = 0
    assert not to_person(points).body[1].any()
    points[91:] = 0
    assert to_person(points).left_hand is to_person(points).right_hand is None


@pytest.fixture
def folder(models_dir: Path) -> Path:
    return models_dir / "dwpose"


PLACES = np.random.default_rng(3).uniform((20, 20), (CROP_WIDTH - 20, CROP_HEIGHT - 20), (WHOLE_BODY, 2))


def test_everybody_is_drawn(folder: Path, photos: dict[str, Image]) -> None:
    _finder(folder / FINDER, [(20, 20, 220, 500, 0.9), (300, 100, 420, 400, 0.8), (430, 100, 830, 900, 0.7)])
    _estimator(folder / ESTIMATOR, PLACES)
    made = make_map(DWPose(), photos["astronaut"])
    assert made.pixels.shape == photos["astronaut"].shape
    assert isinstance(made.data, Pose)
    assert len(made.data.people) == 3  # the third is cut by the border
    assert [set(person.parts) for person in made.data.people] == [{"body", "left_hand", "right_hand", "face"}] * 3
    assert made.warnings == ()
    one = DWPose(most_people=1).detect(photos["astronaut"], Runtime()).people
    assert len(one) == 1
    assert np.array_equal(one[0].body, made.data.people[2].body)
    assert set(DWPose(hands=False, faces=False).detect(photos["astronaut"], Runtime()).people[0].parts) == {"body"}


def test_only_sure_joints_are_drawn(folder: Path, photos: dict[str, Image]) -> None:
    _finder(folder / FINDER, [(20, 20, 220, 500, 0.9)])
    scores = np.full(WHOLE_BODY, 0.9)
    scores[9] = 0.2  # the left wrist
    _estimator(folder / ESTIMATOR, PLACES, scores)
    (person,) = DWPose().detect(photos["coffee"], Runtime()).people
    assert person.body[7].tolist() == [0, 0, 0]
    assert (np.delete(person.body, 7, axis=0)[:, 2] > 0).all()
    assert DWPose(score_threshold=0.1).detect(photos["coffee"], Runtime()).people[0].body[7, 2] == pytest.approx(0.2)
    assert DWPose(score_threshold=0.95).detect(photos["coffee"], Runtime()).people == ()


def test_nobody_is_told(folder: Path, photos: dict[str, Image]) -> None:
    _finder(folder / FINDER, [])
    _estimator(folder / ESTIMATOR, PLACES)
    made = make_map(DWPose(), photos["coffee"])
    assert not made.pixels.any()
    assert "Nobody was found" in made.warnings[0]


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(8, 8), (8, 800), (800, 8), (65, 33), (1200, 700)])
def test_pictures_of_every_size(folder: Path, shape: tuple[int, int]) -> None:
    _finder(folder / FINDER, [(0, 0, 640, 640, 0.9), (2, 2, 3, 3, 0.9), (500, 500, 760, 760, 0.9)])
    _estimator(folder / ESTIMATOR, PLACES)
    assert DWPose()(np.zeros((*shape, 3), np.uint8)).shape == (*shape, 3)


def test_damaged_and_wrong_files_are_told(folder: Path, photos: dict[str, Image]) -> None:
    _finder(folder / FINDER, [(20, 20, 220, 500, 0.9)])
    path = folder / ESTIMATOR
    path.write_bytes(b"no network at all")
    with pytest.raises(WeightsError, match="dw-ll_ucoco_384.onnx in .* is damaged"):
        DWPose()(photos["coffee"])
    for outputs in ({"x": np.zeros((1, 17, 384), np.float32)}, {"x": np.zeros((1, 133, 576), np.float32)}):
        _constant(path, CROP_HEIGHT, CROP_WIDTH, **outputs)
        with pytest.raises(WeightsError, match="dw-ll_ucoco_384.onnx in .* holds another network"):
            DWPose()(photos["coffee"])
    _constant(path, 256, 192, x=np.zeros((1, 133, 576), np.float32), y=np.zeros((1, 133, 768), np.float32))
    with pytest.raises(WeightsError, match="holds another network"):
        DWPose()(photos["coffee"])
    _constant(folder / FINDER, FINDER_SIDE, FINDER_SIDE, answer=np.zeros((1, 3549, 85), np.float32))
    with pytest.raises(WeightsError, match="yolox_l.onnx in .* holds another network"):
        DWPose()(photos["coffee"])


def test_missing_files_and_packages_are_told(
    folder: Path, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WeightsError, match=r"yolox_l\.onnx"):
        DWPose()(photos["coffee"])
    _finder(folder / FINDER, [])
    _estimator(folder / ESTIMATOR, PLACES)
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(WeightsError, match="needs onnxruntime, which cannot be imported here"):
        DWPose()(photos["coffee"])


def test_too_little_memory_is_no_damage(tmp_path: Path) -> None:
    """onnxruntime's own error, for an output of 40 TB."""
    path = _save(
        tmp_path / ESTIMATOR, [helper.make_node("Expand", ["picture", "shape"], ["huge"])], ["huge"], (1, 1),
        shape=_whole([10**13, 3, 1, 1]),
    )  # fmt: skip
    with pytest.raises(OutOfMemoryError, match="memory is too small for dw-ll_ucoco_384.onnx"):
        run(load_session("cpu", path), path, np.ones((1, 3, 1, 1), np.float32))


GPU_AND_CPU = ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.mark.parametrize(
    ("device", "available", "expected"),
    [
        ("cpu", GPU_AND_CPU, ["CPUExecutionProvider"]),
        ("mps", GPU_AND_CPU, ["CPUExecutionProvider"]),
        ("cuda", GPU_AND_CPU, [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]),
        ("cuda:3", GPU_AND_CPU, [("CUDAExecutionProvider", {"device_id": 3}), "CPUExecutionProvider"]),
        ("cuda:3", ["AzureExecutionProvider", "CPUExecutionProvider"], ["CPUExecutionProvider"]),
    ],
)
def test_onnxruntime_gets_the_device(device: str, available: list[str], expected: list[Any]) -> None:
    assert providers(device, available) == expected


def test_a_gpu_that_onnxruntime_cannot_use_is_logged(
    folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    path = _finder(folder / FINDER, [])
    monkeypatch.setattr("onnxruntime.get_available_providers", lambda: GPU_AND_CPU)
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("ignore")  # onnxruntime has a warning of its own
        load_session("cpu", path)
        assert not caplog.records
        load_session("cuda:1", path)
    assert "yolox_l.onnx runs on the CPU, because onnxruntime cannot use cuda:1." in caplog.text


def test_both_sessions_are_made_for_the_device(
    folder: Path, photos: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    _finder(folder / FINDER, [(20, 20, 220, 500, 0.9)])
    _estimator(folder / ESTIMATOR, PLACES)
    devices: list[str] = []

    def load(device: str, path: Path) -> Any:
        devices.append(device)
        return load_session("cpu", path)

    monkeypatch.setattr("annotators.dwpose.load_session", load)
    runtime = Runtime("cuda:2")
    for _ in range(2):
        DWPose()(photos["coffee"], runtime)
    assert devices == ["cuda:2"] * 2
    assert runtime.networks.holding() == 2
