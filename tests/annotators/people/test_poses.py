"""People as data: OpenPose's JSON there and back, resizing, and every way a file can be wrong."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from annotators.base import Image, create
from annotators.people.body_annotator import BodyAnnotator, PoseAnnotator
from annotators.people.poses import Person, Points, Pose, load_noted_pose, load_pose, parse_pose, read_pose
from annotators.runtime import Runtime
from annotators.sources.images import ResizeMode, resize
from models.errors import InputError


def _points(count: int, seed: int, left: float = 20, top: float = 20) -> Points:
    rng = np.random.default_rng(seed)
    points = np.column_stack(
        [rng.uniform((left, top), (left + 100, top + 100), (count, 2)), rng.uniform(0.1, 1, count)]
    )
    points[rng.integers(count)] = 0  # one was not found
    return points


def _person(seed: int, left: float = 20) -> Person:
    body, hand, face = (_points(n, seed + n, left) for n in (18, 21, 70))
    return Person(body=body, left_hand=hand, right_hand=hand * 1.05, face=face)


POSE = Pose((_person(0), Person(body=_points(18, 9, 300))), 400, 600)


def _same(one: Pose, other: Pose) -> bool:
    pairs = zip(one.people, other.people, strict=True)
    alike = all(
        person.parts.keys() == again.parts.keys()
        and all(np.array_equal(points, again.parts[part]) for part, points in person.parts.items())
        for person, again in pairs
    )
    return alike and (one.height, one.width) == (other.height, other.width)


def test_there_and_back_exactly() -> None:
    text = json.dumps(POSE.to_json())
    assert _same(parse_pose(text), POSE)
    assert json.loads(text)["people"][1]["face_keypoints_2d"] == []
    assert _same(parse_pose(f"[{text}]"), POSE)
    assert _same(parse_pose("\ufeff".encode() + text.encode()), POSE)
    empty = Pose((), 100, 200)
    assert _same(parse_pose(json.dumps(empty.to_json())), empty)
    assert not empty.draw().any()


def test_mirrored_people_have_left_and_right_exchanged() -> None:
    mirrored = POSE.mirrored()
    person, turned = POSE.people[0], mirrored.people[0]
    assert person.left_hand is not None and turned.right_hand is not None
    seen = person.left_hand[:, 2] > 0
    assert np.allclose(turned.right_hand[seen, 0], POSE.width - person.left_hand[seen, 0])
    assert np.array_equal(turned.right_hand[:, 1:], person.left_hand[:, 1:])
    left_shoulder, right_shoulder = 5, 2
    assert np.array_equal(turned.body[left_shoulder, 1:], person.body[right_shoulder, 1:])
    again = mirrored.mirrored()
    for one, two in zip(POSE.people, again.people, strict=True):
        assert all(np.allclose(points, two.parts[part]) for part, points in one.parts.items())


@pytest.mark.parametrize("count", [68, 70])
def test_a_mirrored_face_keeps_the_order_of_its_points(count: int) -> None:
    """Jaw from one ear to the other, brows, nose, eyes and mouth: in a symmetrical face every point finds its like."""
    eyes = [(-7, -6), (-5, -8), (-4, -8), (-2, -6), (-4, -5), (-5, -5)]
    mouth = [(-5, 8), (-3, 7), (-1, 6), (0, 6), (1, 6), (3, 7), (5, 8), (3, 10), (1, 11), (0, 11), (-1, 11), (-3, 10)]
    inner = [(-4, 8), (-1, 7), (0, 7), (1, 7), (4, 8), (1, 9), (0, 9), (-1, 9)]
    points = [
        *((step - 8, 12 - (step - 8) ** 2 / 4) for step in range(17)),
        *((across, -10) for across in (-8, -7, -6, -5, -4, 4, 5, 6, 7, 8)),
        *((0, down) for down in (-6, -4, -2, 0)),
        *((across, 2) for across in (-2, -1, 0, 1, 2)),
        *eyes,
        *((-across, down) for across, down in (eyes[3], eyes[2], eyes[1], eyes[0], eyes[5], eyes[4])),
        *mouth,
        *inner,
        *((-4, -6), (4, -6)),
    ][:count]
    face = np.column_stack([np.array(points, float) + 50, np.ones(count)])
    pose = Pose((Person(body=np.zeros((18, 3)), face=face),), 100, 100)
    turned = pose.mirrored().people[0].face
    assert turned is not None and np.allclose(turned, face)


def test_fractions_are_of_the_sides() -> None:
    value = POSE.to_json()
    del value["coordinates"]  # which says that they are pixels
    for person in value["people"]:
        for row in person.values():
            row[::3] = [x / 600 for x in row[::3]]
            row[1::3] = [y / 400 for y in row[1::3]]
    for person, again in zip(POSE.people, Pose.from_json(value).people, strict=True):
        for part, points in person.parts.items():
            assert np.allclose(again.parts[part], points)


def test_a_pose_near_the_corner_is_read_back_as_it_was_written() -> None:
    body = np.zeros((18, 3))
    body[0], body[1] = (1.0, 1.2, 0.9), (0.5, 0.25, 0.8)
    alone = Pose((Person(body=body),), 400, 600)
    assert _same(Pose.from_json(alone.to_json()), alone)
    marked = Pose((Person(body=np.where(body > 0, -1.0, 0)),), 400, 600)
    marked.people[0].body[:2, 2] = 1
    assert _same(Pose.from_json(marked.to_json()), marked)


def test_pixels_of_other_tools_are_pixels_though_half_of_them_are_in_the_corner() -> None:
    body = np.ones((18, 3))
    body[:8, :2] = 300, 200
    (person,) = Pose.from_json(_value([{"pose_keypoints_2d": body.ravel().tolist()}])).people
    assert np.array_equal(person.body, body)


def test_a_file_without_a_size_takes_the_one_that_is_given() -> None:
    text = json.dumps({"version": 1.3, "people": [{"pose_keypoints_2d": [float(n) for n in range(75)]}]})
    pose = parse_pose(text, "people.json", (640, 480))
    assert (pose.width, pose.height) == (640, 480)
    assert pose.people[0].body[17, 0] == 54
    half = json.dumps({"people": [{"pose_keypoints_2d": [0.5, 0.5, 1.0] * 18}]})
    assert parse_pose(half, "people.json", (640, 480)).people[0].body[3].tolist() == [320, 240, 1]
    assert _same(Pose.from_json(POSE.to_json(), size=(640, 480)), POSE)
    with pytest.raises(InputError, match='no "canvas_height"'):
        Pose.from_json({"people": [], "canvas_width": 512}, size=(640, 480))


@pytest.mark.parametrize("scale", [1.0, 300.0])
def test_points_at_minus_one_were_not_found(scale: float) -> None:
    row = [0.5 * scale, 0.25 * scale, 1.0] * 17 + [-1.0, -1.0, 1.0]
    parts = {"pose_keypoints_2d": row, "hand_left_keypoints_2d": None, "face_keypoints_2d": None}
    (person,) = Pose.from_json(_value([parts])).people
    assert person.body[17].tolist() == [0, 0, 0]
    assert len(person.found) == 17
    assert set(person.parts) == {"body"}


def test_fractions_of_somebody_far_beyond_the_border_are_fractions_and_what_is_outside_was_not_found() -> None:
    body = np.column_stack([np.linspace(0.2, 0.6, 18), np.linspace(0.1, 2.4, 18), np.ones(18)])
    pose, notes = read_pose(_value([{"pose_keypoints_2d": body.ravel().tolist()}]), "people.json")
    seen = body[:, 1] <= 1
    assert pose.people[0].body[seen, :2] == pytest.approx(body[seen, :2] * 512)
    assert not pose.people[0].body[~seen].any()
    assert notes == (f"people.json has {(~seen).sum()} points outside its 512x512 pixels, which count as not found.",)


def test_the_25_points_of_openposes_own_program() -> None:
    row = [float(n) for n in range(75)]
    (person,) = Pose.from_json(_value([{"pose_keypoints_2d": row}])).people
    assert person.body.shape == (18, 3)
    assert person.body[:8, 0].tolist() == row[: 3 * 8 : 3]
    assert person.body[8, 0] == row[3 * 9]  # the right hip, after the middle of the hips
    assert person.body[17, 0] == row[3 * 18]


def test_a_face_of_68_points_and_hands_alone() -> None:
    face, hand = _points(68, 1).ravel().tolist(), _points(21, 2).ravel().tolist()
    (person,) = Pose.from_json(_value([{"face_keypoints_2d": face, "hand_left_keypoints_2d": hand}])).people
    assert person.face is not None
    assert person.face.shape == (68, 3)
    assert not person.body.any()
    assert Pose((person,), 200, 200).draw().any()


def _value(people: object, **more: object) -> dict[str, Any]:
    return {"people": people, "canvas_height": 512, "canvas_width": 512, **more}


ROW = [100.0] * 54


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "is None, which is not a pose"),
        (7, "is 7, which is not a pose"),
        ([], "list of 0 poses"),
        ([_value([]), _value([])], "list of 2 poses"),
        ([[]], r"is \[\], which is not a pose"),
        ({"people": []}, 'no "canvas_width"'),
        (_value([], canvas_width="512"), "\"canvas_width\" '512'"),
        (_value([], canvas_width=0), '"canvas_width" 0'),
        (_value([], canvas_height=float("inf")), '"canvas_height" inf'),
        (_value([], canvas_height=True), '"canvas_height" True'),
        (_value([], canvas_height=4), "512x4 pixels; each side"),
        (_value([], canvas_height=900_000, canvas_width=900_000), "megapixels"),
        (_value({}), 'no list "people"'),
        (_value(None), 'no list "people"'),
        (_value([{}] * 201), "201 people; the limit is 200"),
        (_value([[]]), r"Person 1 of The pose is \[\], but it must be an object"),
        (_value([{}, {"pose_keypoints_2d": "all"}]), "pose_keypoints_2d of Person 2 of The pose is 'all'"),
        (_value([{"pose_keypoints_2d": ROW[:-1]}]), "has 53 numbers, but it must have 54 or 75"),
        (_value([{"hand_left_keypoints_2d": ROW}]), "has 54 numbers, but it must have 63"),
        (_value([{"pose_keypoints_2d": [*ROW[:-1], "1"]}]), "contains '1', but it must contain numbers"),
        (_value([{"pose_keypoints_2d": [*ROW[:-1], None]}]), "contains None, but"),
        (_value([{"pose_keypoints_2d": [*ROW[:-1], True]}]), "contains True, but"),
        (_value([{"pose_keypoints_2d": [float("nan"), *ROW[1:]]}]), "contains nan, but"),
        (_value([{"pose_keypoints_2d": [10**400, *ROW[1:]]}]), "contains 1000"),
        (_value([{"pose_keypoints_2d": [1e9, *ROW[1:]]}]), "far outside its 512x512 pixels"),
    ],
)
def test_what_is_no_pose_is_told_in_a_sentence(value: object, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        Pose.from_json(value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe\x00", "[" * 100_000, b"\x89PNG\r\n", '{"people": [}'])
def test_what_is_no_json_is_told_in_a_sentence(text: str | bytes) -> None:
    with pytest.raises(InputError, match="people.json is not JSON"):
        parse_pose(text, "people.json")


def test_files(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    with pytest.raises(InputError, match="no file people.json"):
        load_pose(path)
    path.write_text(json.dumps(POSE.to_json()))
    assert _same(load_pose(path), POSE)
    with path.open("r+b") as file:
        file.truncate(30_000_000)
    with pytest.raises(InputError, match="30 MB; the limit is 20 MB"):
        load_pose(path)
    with pytest.raises(InputError, match="cannot be read"):
        load_pose(tmp_path)


@pytest.mark.parametrize("mode", ["crop", "stretch", "pad"])
def test_a_pose_is_resized_as_its_picture_would_be(mode: ResizeMode) -> None:
    marks = np.zeros((18, 3))
    marks[0] = 300.5, 200.5, 1
    marks[4] = 250.5, 230.5, 1
    photo = np.zeros((400, 600, 3), np.uint8)
    for x, y, seen in marks:
        photo[int(y) - 4 : int(y) + 5, int(x) - 4 : int(x) + 5] = 255 * int(seen)
    small = resize(photo, 320, 240, mode)
    moved = Pose((Person(body=marks),), 400, 600).resized(320, 240, mode)
    assert (moved.width, moved.height) == (320, 240)
    for x, y, _ in moved.people[0].body[[0, 4]]:
        near = small[int(y) - 5 : int(y) + 6, int(x) - 5 : int(x) + 6, 0].astype(float)
        rows, columns = np.mgrid[: near.shape[0], : near.shape[1]]
        centre = (columns * near).sum() / near.sum(), (rows * near).sum() / near.sum()
        assert centre == pytest.approx((4.5 + x % 1, 4.5 + y % 1), abs=0.7)
    assert not moved.people[0].body[1:4].any()


def _crowd() -> Pose:
    """From the left: small, large, middle."""
    people = [Person(body=_points(18, seed, left) * (1, 1, 1)) for seed, left in ((1, 250), (2, 20), (3, 420))]
    sizes = {0: 1.5, 1: 0.3, 2: 1.0}
    scaled = [Person(body=person.body * (1, sizes[i], 1)) for i, person in enumerate(people)]
    return Pose(tuple(scaled), 400, 600)


def test_who_is_drawn() -> None:
    pose = _crowd()
    small, large, middle = (pose.people[i] for i in (1, 0, 2))
    assert BodyAnnotator().choose(pose).people == (large, small, middle)
    assert BodyAnnotator(most_people=2).choose(pose).people == (large, middle)
    assert BodyAnnotator(person=1).choose(pose).people == (small,)
    assert BodyAnnotator(person=3).choose(pose).people == (middle,)
    with pytest.raises(InputError, match="person is 4, but 3 people were found"):
        BodyAnnotator(person=4).choose(pose)
    with pytest.raises(InputError, match="person is 2, but 1 person was found"):
        BodyAnnotator(person=2, most_people=1).choose(pose)
    assert BodyAnnotator(person=2).choose(Pose((), 40, 40)).people == ()


def test_detected_people_are_drawn_from_left_to_right() -> None:
    class Finds(BodyAnnotator):
        def people(self, source_image: Image, runtime: Runtime) -> Sequence[Person]:
            return _crowd().people

    pose = Finds(most_people=3).detect(np.zeros((400, 600, 3), np.uint8), Runtime())
    lefts = [float(person.found[:, 0].mean()) for person in pose.people]
    assert len(lefts) == 3
    assert lefts == sorted(lefts)


def test_which_parts_are_drawn() -> None:
    whole = Pose((_person(4),), 400, 600)
    assert set(PoseAnnotator(hands=False).choose(whole).people[0].parts) == {"body", "face"}
    assert set(PoseAnnotator(faces=False).choose(whole).people[0].parts) == {"body", "left_hand", "right_hand"}
    assert not PoseAnnotator(body=False).choose(whole).people[0].body.any()
    nothing = PoseAnnotator(body=False, hands=False, faces=False).choose(whole)
    assert nothing.people == ()
    assert not nothing.draw().any()


def test_thick_sticks_are_chosen_by_name() -> None:
    thick = create(PoseAnnotator, {"sticks": "thick"})
    assert isinstance(thick, PoseAnnotator)
    usual = PoseAnnotator().choose(POSE).draw().any(axis=2).mean()
    assert thick.choose(POSE).draw().any(axis=2).mean() > 1.5 * usual
    with pytest.raises(InputError, match="sticks is 'fat', but it must be one of: usual, thick"):
        create(PoseAnnotator, {"sticks": "fat"})


def _body_25() -> list[float]:
    """A standing person with feet, as OpenPose's own program writes one: x, y, confidence."""
    places = [
        (200, 60), (200, 110), (160, 110), (140, 170), (130, 230), (240, 110), (260, 170), (270, 230), (200, 240),
        (180, 240), (178, 330), (176, 420), (220, 240), (222, 330), (224, 420), (192, 50), (208, 50), (180, 58), (220, 58),
        *[None] * 6,
    ]  # fmt: skip
    return [float(number) for place in places for number in ((*place, 0.87) if place else (0, 0, 0))]


def _openpose_1_3(*bodies: list[float]) -> dict[str, Any]:
    """A file of --write_json: version, empty lists for what was not asked for, no size."""
    gaps = {f"{part}_keypoints_{side}": [] for part in ("face", "hand_left", "hand_right") for side in ("2d", "3d")}
    people = [{"person_id": [-1], "pose_keypoints_2d": body, **gaps, "pose_keypoints_3d": []} for body in bodies]
    return {"version": 1.3, "people": people}


def test_openposes_own_files_have_the_given_size_or_the_extent_of_their_points(tmp_path: Path) -> None:
    file = tmp_path / "video_000000000000_keypoints.json"
    file.write_text(json.dumps(_openpose_1_3(_body_25())))
    pose, notes = load_noted_pose(file, (400, 480))
    assert (pose.width, pose.height, notes) == (400, 480, ())
    assert pose.people[0].body[8].tolist() == [180, 240, 0.87]
    assert set(pose.people[0].parts) == {"body"}
    pose, notes = load_noted_pose(file)
    assert (pose.width, pose.height) == (289, 439)
    assert notes == (f"{file.name} does not name its picture's size: 289x439 pixels were taken, around its points.",)
    assert (pose.people[0].found[:, :2] < (289, 439)).all()


def test_openpose_with_its_coco_model_and_the_keys_of_older_versions() -> None:
    row = _points(18, 3).ravel().tolist()
    hand = _points(21, 4).ravel().tolist()
    file = {"version": 1.0, "people": [{"pose_keypoints": row, "hand_left_keypoints": hand, "face_keypoints": []}]}
    pose, notes = read_pose(file, size=(512, 512))
    assert pose.people[0].body.ravel().tolist() == row
    assert set(pose.people[0].parts) == {"body", "left_hand"}
    assert notes == ()


def test_cocos_17_points_get_a_neck_between_the_shoulders() -> None:
    body = np.column_stack([np.arange(17) * 10 + 10.0, np.arange(17) * 20 + 5.0, np.linspace(0.5, 0.9, 17)])
    pose, _ = read_pose(_value([{"pose_keypoints_2d": body.ravel().tolist()}]))
    made = pose.people[0].body
    assert np.array_equal(made[[0, 2, 5, 14, 15, 16, 17]], body[[0, 6, 5, 2, 1, 4, 3]])
    assert made[1].tolist() == pytest.approx([(60 + 70) / 2, (105 + 125) / 2, body[5, 2]])
    body[6] = 0
    assert not read_pose(_value([{"pose_keypoints_2d": body.ravel().tolist()}]))[0].people[0].body[1].any()


def test_points_outside_the_picture_were_not_found_and_it_is_told() -> None:
    hand = np.column_stack([np.linspace(0.3, 0.5, 21), np.linspace(0.3, 0.5, 21), np.ones(21)])
    hand[8, 1], hand[12, :2] = -1 / 512, (-1 / 512, -1 / 512)
    hand[16, 0], hand[20, :2] = 1.02, 0
    body = [0.5, 0.5, 1.0] * 18
    pose, notes = read_pose(_value([{"pose_keypoints_2d": body, "hand_left_keypoints_2d": hand.ravel().tolist()}]), "p")
    made = pose.people[0].left_hand
    assert made is not None
    assert [row for row in range(21) if not made[row].any()] == [8, 12, 16, 20]
    assert notes == ("p has 4 points outside its 512x512 pixels, which count as not found.",)


def test_lists_of_frames_give_the_first() -> None:
    first, second = (_value([{"pose_keypoints_2d": _points(18, seed).ravel().tolist()}]) for seed in (1, 2))
    pose, notes = read_pose([first, second], "batch.json")
    assert _same(pose, Pose.from_json(first))
    assert notes == ("batch.json is a list of 2 poses; the first is used.",)
    assert read_pose([first], "batch.json")[1] == ()


def test_null_parts_and_null_points() -> None:
    row: list[Any] = _points(18, 1).ravel().tolist()
    row[9:12] = [None, None, None]
    row[12:15] = [None, None, 0]
    entry = {"pose_keypoints_2d": row, "face_keypoints_2d": [None] * 210, "hand_left_keypoints_2d": None}
    pose, notes = read_pose(_value([entry]))
    assert not pose.people[0].body[3:5].any() and pose.people[0].body[5].any()
    assert set(pose.people[0].parts) == {"body"}
    assert notes == ()
    triples = _points(18, 1).tolist()
    nested = read_pose(_value([{"pose_keypoints_2d": [*triples[:4], None, *triples[5:]]}]))[0].people[0].body
    assert np.array_equal(np.delete(nested, 4, axis=0), np.delete(_points(18, 1), 4, axis=0)) and not nested[4].any()


@pytest.mark.parametrize("count", [56, 69])
def test_a_face_of_other_points_is_left_out_and_the_rest_is_used(count: int) -> None:
    entry = {
        "pose_keypoints_2d": _points(18, 1).ravel().tolist(),
        "hand_left_keypoints_2d": _points(21, 2).ravel().tolist(),
        "face_keypoints_2d": _points(count, 3).ravel().tolist(),
    }
    pose, notes = read_pose(_value([entry]), "faces.json")
    assert set(pose.people[0].parts) == {"body", "left_hand"}
    assert notes == (
        f"face_keypoints_2d of Person 1 of faces.json has {3 * count} numbers, but it must have 210 or 204: x, y, "
        "confidence of each point; it was left out.",
    )
    with pytest.raises(InputError, match="must have 210 or 204"):
        Pose.from_json(_value([entry]))


def test_a_person_that_is_none_is_left_out_and_a_file_without_any_refused() -> None:
    good = {"pose_keypoints_2d": _points(18, 1).ravel().tolist()}
    pose, notes = read_pose(_value([None, good, {"pose_keypoints_2d": [1.0] * 99}]), "p.json")
    assert len(pose.people) == 1
    assert [note.split(",")[0] for note in notes] == [
        "Person 1 of p.json is None",
        "pose_keypoints_2d of Person 3 of p.json has 99 numbers",
    ]
    with pytest.raises(InputError, match="has 99 numbers, but it must have 54 or 75 or 51"):
        read_pose(_value([{"pose_keypoints_2d": [1.0] * 99}]))


def test_animals_are_called_by_their_name_and_fractions_need_a_size() -> None:
    with pytest.raises(InputError, match="holds animals, whose points are others"):
        read_pose([{"version": "ap10k", "animals": [[[1, 2, 1]] * 17], "canvas_height": 64, "canvas_width": 64}])
    with pytest.raises(InputError, match=r"give the size \(--size\)"):
        read_pose({"people": [{"pose_keypoints_2d": [0.5, 0.5, 1.0] * 18}]}, by_extent=True)
    with pytest.raises(InputError, match=r"give the size \(--size\)"):
        read_pose({"people": []}, by_extent=True)
