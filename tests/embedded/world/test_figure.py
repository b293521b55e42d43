"""People: bones keep their lengths, feet are on the floor, and every pose bends as people do."""

from __future__ import annotations

import numpy as np
import pytest

from cnet_app.embedded.world.figure import KEYPOINTS, Figure, create_figure
from cnet_app.embedded.world.raycast import Ball, Limb, Vector

BONES = {
    ("shoulder", "elbow"): 0.29,
    ("elbow", "wrist"): 0.27,
    ("hip", "knee"): 0.42,
    ("knee", "ankle"): 0.40,
}
"""Metres, of a person of TALL."""
TALL = 1.78
PLACE, CAMERA = np.array((0.4, 0.0, -0.6)), np.array((0.0, 1.5, 7.0))


@pytest.fixture(scope="module")
def people() -> list[Figure]:
    return [create_figure(np.random.default_rng(seed), PLACE, TALL, CAMERA) for seed in range(60)]


def at(figure: Figure, name: str) -> Vector:
    return figure.keypoints[KEYPOINTS.index(name)]


def lowest(figure: Figure) -> float:
    """Return the height of the lowest point of all solids."""
    bottoms = [
        min(float(points[:, 1].min()) - radius for points, radius in [part.solid.hull()]) for part in figure.parts
    ]
    return min(bottoms)


def test_bones_have_the_same_length_in_every_pose(people: list[Figure]) -> None:
    for figure in people:
        for (start, end), length in BONES.items():
            for side in ("right", "left"):
                bone = at(figure, f"{side}_{end}") - at(figure, f"{side}_{start}")
                assert np.linalg.norm(bone) == pytest.approx(length, abs=1e-9)
        for one, other, apart in (("shoulder", "shoulder", 0.43), ("hip", "hip", 0.23), ("eye", "eye", 0.11)):
            across = at(figure, f"right_{one}") - at(figure, f"left_{other}")
            assert np.linalg.norm(across) == pytest.approx(apart, abs=1e-9)


def test_a_person_of_half_the_height_is_the_same_at_half_the_size() -> None:
    whole = create_figure(np.random.default_rng(3), PLACE, TALL, CAMERA)
    half = create_figure(np.random.default_rng(3), PLACE, TALL / 2, CAMERA)
    np.testing.assert_allclose(2 * (half.keypoints - PLACE), whole.keypoints - PLACE, atol=1e-9)
    np.testing.assert_allclose(2 * (half.eyes - PLACE), whole.eyes - PLACE, atol=1e-9)
    assert (whole.scale, half.scale) == (1, 0.5)
    for one, other in zip(whole.parts, half.parts, strict=True):
        assert 2 * other.solid.hull()[1] == pytest.approx(one.solid.hull()[1])


def test_everybody_touches_the_floor_and_nobody_sinks_into_it(people: list[Figure]) -> None:
    for figure in people:
        assert lowest(figure) == pytest.approx(0, abs=0.05)


def test_people_stand_where_they_are_put_and_a_head_is_above_the_hips(people: list[Figure]) -> None:
    for figure in people:
        hips = (at(figure, "right_hip") + at(figure, "left_hip")) / 2
        np.testing.assert_allclose(hips[[0, 2]], PLACE[[0, 2]], atol=1e-9)
        assert at(figure, "nose")[1] > at(figure, "neck")[1] > hips[1]


def test_standing_people_are_about_as_tall_as_asked(people: list[Figure]) -> None:
    tops = [max(float(part.solid.hull()[0][:, 1].max()) + part.solid.hull()[1] for part in f.parts) for f in people]
    heads = [float((f.keypoints[[14, 15], 1]).max()) + 0.12 for f in people]
    assert np.quantile(heads, 0.9) == pytest.approx(TALL, rel=0.06)
    assert max(heads) < 1.05 * TALL
    assert max(tops) < 1.4 * TALL


def test_knees_bend_backwards_only(people: list[Figure]) -> None:
    """The front is where the right hand side, turned a quarter to the left, points."""
    bends: list[float] = []
    for figure in people:
        right = at(figure, "right_hip") - at(figure, "left_hip")
        front = np.cross(np.array((0.0, 1.0, 0.0)), right) / np.linalg.norm(right)
        for side in ("right", "left"):
            thigh = at(figure, f"{side}_knee") - at(figure, f"{side}_hip")
            shin = at(figure, f"{side}_ankle") - at(figure, f"{side}_knee")
            bends.append(float(np.arctan2(thigh @ front, -thigh[1]) - np.arctan2(shin @ front, -shin[1])))
    assert min(bends) > -1e-9
    assert np.degrees(max(bends)) < 120
    assert np.degrees(max(bends)) > 60  # somebody sits or squats


def test_a_face_is_seen_from_the_front_and_not_from_behind(people: list[Figure]) -> None:
    for figure in people:
        head = (at(figure, "right_ear") + at(figure, "left_ear")) / 2
        towards = (CAMERA - head) / np.linalg.norm(CAMERA - head)
        look = at(figure, "nose") - head
        facing = look @ towards / np.linalg.norm(look)
        if facing > 0.3:
            assert figure.seen[KEYPOINTS.index("nose")]
        if facing < -0.6:
            assert not figure.seen[KEYPOINTS.index("nose")]
        assert figure.seen[1:14].all()
    noses = [figure.seen[0] for figure in people]
    assert 0.8 < np.mean(noses) < 1


def test_the_ear_that_is_turned_away_is_hidden_first(people: list[Figure]) -> None:
    for figure in people:
        right, left = KEYPOINTS.index("right_ear"), KEYPOINTS.index("left_ear")
        distance = np.linalg.norm(figure.keypoints - CAMERA, axis=1)
        near, far = (right, left) if distance[right] < distance[left] else (left, right)
        assert figure.seen[near] or not figure.seen[far]
    assert any(figure.seen[16] != figure.seen[17] for figure in people)


def test_joints_are_inside_the_body_and_hands_and_head_are_skin(people: list[Figure]) -> None:
    figure = people[0]
    for name in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        for side in ("right", "left"):
            joint = at(figure, f"{side}_{name}")
            ends = [
                (end, radius)
                for part in figure.parts
                if isinstance(part.solid, Limb)
                for end, radius in ((part.solid.start, part.solid.radius), (part.solid.end, part.solid.end_radius))
            ]
            assert any(np.linalg.norm(joint - end) < radius for end, radius in ends), f"{side}_{name}"
    covers = [part.cover for part in figure.parts if isinstance(part.solid, Ball)]
    assert sorted(covers) == ["hair", "skin", "skin", "skin"]
    assert [part.cover for part in figure.parts].count("shoe") == 2


def test_eyes_lie_on_the_surface_of_the_head(people: list[Figure]) -> None:
    for figure in people:
        (head,) = [p.solid for p in figure.parts if p.cover == "skin" and isinstance(p.solid, Ball)][:1]
        assert isinstance(head, Ball)
        away = np.linalg.norm(figure.eyes - head.centre, axis=1)
        np.testing.assert_allclose(away, head.radius, rtol=0.06)
