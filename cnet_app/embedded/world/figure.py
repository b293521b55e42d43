"""A jointed person: random plausible poses, the solids of its body, and its 18 keypoints."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnet_app.embedded.world.raycast import Ball, Limb, Solid, Vector

KEYPOINTS = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle",
    "right_eye", "left_eye", "right_ear", "left_ear",
)  # fmt: skip
"""OpenPose's COCO-18 order."""

Limits = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class ArmRange:
    """Degrees from hanging down: `out` to the side, `fore` to the front; for the upper arm and the forearm."""

    upper_out: Limits
    lower_out: Limits
    upper_fore: Limits = (-12, 15)
    lower_fore: Limits = (0, 25)


@dataclass(frozen=True, kw_only=True)
class LegRange:
    """Degrees from straight down; the knee bends by `knee` backwards of the thigh."""

    fore: Limits
    knee: Limits
    out: Limits = (2, 9)


@dataclass(frozen=True, kw_only=True)
class Pose:
    """Ranges of a random pose; right and left are exchanged half of the time."""

    arms: tuple[ArmRange, ArmRange]
    legs: tuple[LegRange, LegRange]
    lean: Limits = (-4, 6)
    """Degrees the trunk tips forward."""
    turn: Limits = (-50, 50)
    """Degrees the person is turned from facing the camera."""


_HANG = ArmRange(upper_out=(10, 30), lower_out=(4, 25))
_SPREAD = ArmRange(upper_out=(75, 100), lower_out=(65, 110))
_RAISE = ArmRange(upper_out=(125, 165), lower_out=(145, 190))
_WAVE = ArmRange(upper_out=(85, 120), lower_out=(155, 205))
_HIP = ArmRange(upper_out=(48, 62), lower_out=(-50, -30), upper_fore=(-15, 0))
_REACH = ArmRange(upper_out=(8, 25), lower_out=(5, 20), upper_fore=(55, 90), lower_fore=(70, 105))
_SWING_FORE = ArmRange(upper_out=(8, 18), lower_out=(4, 14), upper_fore=(25, 45), lower_fore=(55, 90))
_SWING_BACK = ArmRange(upper_out=(8, 18), lower_out=(4, 14), upper_fore=(-45, -25), lower_fore=(-25, 10))
_STAND = LegRange(fore=(-5, 6), knee=(0, 6), out=(3, 14))
_WIDE = LegRange(fore=(-5, 6), knee=(0, 8), out=(18, 30))
_STEP_FORE = LegRange(fore=(22, 40), knee=(3, 20))
_STEP_BACK = LegRange(fore=(-28, -12), knee=(12, 45))
_SIT = LegRange(fore=(76, 88), knee=(0, 12), out=(6, 18))
_SQUAT = LegRange(fore=(60, 80), knee=(85, 110), out=(8, 22))
_KICK = LegRange(fore=(40, 75), knee=(0, 15), out=(4, 20))

POSES: dict[str, Pose] = {
    "standing": Pose(arms=(_HANG, _HANG), legs=(_STAND, _STAND)),
    "walking": Pose(arms=(_SWING_BACK, _SWING_FORE), legs=(_STEP_FORE, _STEP_BACK), turn=(-85, 85), lean=(0, 10)),
    "arms_up": Pose(arms=(_RAISE, _RAISE), legs=(_STAND, _STAND)),
    "star": Pose(arms=(_RAISE, _RAISE), legs=(_WIDE, _WIDE), turn=(-35, 35)),
    "arms_out": Pose(arms=(_SPREAD, _SPREAD), legs=(_STAND, _WIDE), turn=(-35, 35)),
    "waving": Pose(arms=(_WAVE, _HANG), legs=(_STAND, _STAND)),
    "hands_on_hips": Pose(arms=(_HIP, _HIP), legs=(_STAND, _WIDE)),
    "one_hand_on_hip": Pose(arms=(_HIP, _WAVE), legs=(_STAND, _STAND)),
    "reaching": Pose(arms=(_REACH, _REACH), legs=(_STAND, _STEP_BACK), turn=(-85, 85), lean=(0, 12)),
    "sitting": Pose(arms=(_HANG, _HANG), legs=(_SIT, _SIT), turn=(-80, 80), lean=(-12, 6)),
    "squatting": Pose(arms=(_REACH, _REACH), legs=(_SQUAT, _SQUAT), turn=(-80, 80), lean=(15, 30)),
    "kicking": Pose(arms=(_SPREAD, _HANG), legs=(_KICK, _STAND), turn=(-80, 80), lean=(-10, 0)),
}
_POSE_WEIGHTS = (4, 5, 3, 2, 3, 4, 2, 2, 2, 2, 2, 2)


@dataclass(frozen=True, kw_only=True, eq=False)
class Part:
    """One solid of a person with its cover: "main" has the person's own colour."""

    solid: Solid
    cover: str = "main"


@dataclass(frozen=True, kw_only=True, eq=False)
class Figure:
    parts: tuple[Part, ...]
    keypoints: Vector
    """(18, 3) in the world."""
    seen: NDArray[np.bool_]
    """(18,) False for points of the face on the far side of the head."""
    eyes: Vector
    """(2, 3) where eyes are painted on the head."""
    scale: float


def create_figure(rng: np.random.Generator, place: Vector, height: float, camera: Vector) -> Figure:
    """Return a person about `height` tall who stands or sits on the floor at `place`, mostly facing the camera."""
    weights = np.array(_POSE_WEIGHTS, float)
    pose = POSES[str(rng.choice(list(POSES), p=weights / weights.sum()))]
    scale = height / 1.78
    joints = _joints(rng, pose)
    to_camera = camera - place
    turn = np.arctan2(to_camera[0], to_camera[2]) + np.radians(rng.uniform(*pose.turn))
    if rng.random() < 0.08:
        turn += np.pi
    spin = np.array([[np.cos(turn), 0, -np.sin(turn)], [0, 1, 0], [np.sin(turn), 0, np.cos(turn)]])
    lowest = min(float(point[1]) - _radius_below(name) for name, point in joints.items())
    world = {name: ((point - (0, lowest, 0)) @ spin) * scale + place for name, point in joints.items()}
    keypoints = np.stack([world[name] for name in KEYPOINTS])
    view = (camera - world["head"]) / np.linalg.norm(camera - world["head"])
    facing = (keypoints - world["head"]) @ view / (0.13 * scale)
    seen = np.ones(len(KEYPOINTS), bool)
    seen[[0, 14, 15, 16, 17]] = facing[[0, 14, 15, 16, 17]] > (-0.3, -0.3, -0.3, -0.6, -0.6)
    eyes = np.stack([world["right_eye"], world["left_eye"]])
    return Figure(parts=tuple(_body(world, scale)), keypoints=keypoints, seen=seen, eyes=eyes, scale=scale)


def _joints(rng: np.random.Generator, pose: Pose) -> dict[str, Vector]:
    """Return the joints in metres; the person faces +z, its right is at -x, the hips are at the origin."""
    lean, sway = np.radians(rng.uniform(*pose.lean)), np.radians(rng.uniform(-5, 5))
    tip = _rotation_x(lean) @ _rotation_z(sway)
    joints: dict[str, Vector] = {"hips": np.zeros(3), "neck": tip @ (0, 0.55, 0)}
    flip = rng.random() < 0.5
    for side, sign, position in (("right", -1.0, int(flip)), ("left", 1.0, 1 - int(flip))):
        arm, leg = pose.arms[position], pose.legs[position]
        shoulder = joints[f"{side}_shoulder"] = tip @ np.array((sign * 0.215, 0.5, 0))
        elbow = joints[f"{side}_elbow"] = shoulder + 0.29 * _swing(
            sign, rng.uniform(*arm.upper_out), rng.uniform(*arm.upper_fore)
        )
        joints[f"{side}_wrist"] = elbow + 0.27 * _swing(sign, rng.uniform(*arm.lower_out), rng.uniform(*arm.lower_fore))
        hip = joints[f"{side}_hip"] = np.array((sign * 0.115, -0.02, 0))
        out, fore = rng.uniform(*leg.out), rng.uniform(*leg.fore)
        knee = joints[f"{side}_knee"] = hip + 0.42 * _swing(sign, out, fore)
        shin = fore - rng.uniform(*leg.knee)
        ankle = joints[f"{side}_ankle"] = knee + 0.40 * _swing(sign, out * 0.6, shin)
        joints[f"{side}_toe"] = ankle + _rotation_x(np.radians(-max(shin, -30))) @ np.array((sign * 0.03, -0.03, 0.14))
    look = tip @ _rotation_y(np.radians(rng.uniform(-25, 25)))
    head = joints["head"] = joints["neck"] + look @ (0, 0.22, 0.02)
    face = {"nose": (0, -0.02, 0.15), "eye": (0.055, 0.03, 0.13), "ear": (0.145, 0.0, 0.0)}
    joints["nose"] = head + look @ np.array(face["nose"])
    for side, sign in (("right", -1.0), ("left", 1.0)):
        for name in ("eye", "ear"):
            joints[f"{side}_{name}"] = head + look @ (np.array(face[name]) * (sign, 1, 1))
    joints["hair"] = head + look @ np.array((0, 0.035, -0.04))
    return joints


def _body(at: dict[str, Vector], scale: float) -> list[Part]:
    def limb(start: Vector, end: Vector, radius: float, end_radius: float, cover: str = "main") -> Part:
        return Part(solid=Limb(start, end, radius * scale, end_radius * scale), cover=cover)

    middle = (at["right_shoulder"] + at["left_shoulder"]) / 2
    parts = [
        Part(solid=Ball(at["head"], 0.15 * scale), cover="skin"),
        Part(solid=Ball(at["hair"], 0.145 * scale), cover="hair"),
        limb(middle, at["head"], 0.07, 0.06, "skin"),
        limb(at["right_shoulder"], at["left_shoulder"], 0.085, 0.085),
        limb(middle * 0.8 + at["hips"] * 0.2, at["hips"], 0.145, 0.135),
    ]
    for side in ("right", "left"):
        shoulder, elbow, wrist = (at[f"{side}_{name}"] for name in ("shoulder", "elbow", "wrist"))
        hip, knee, ankle, toe = (at[f"{side}_{name}"] for name in ("hip", "knee", "ankle", "toe"))
        hand = wrist + 0.055 * scale * (wrist - elbow) / np.linalg.norm(wrist - elbow)
        inner = shoulder * 0.62 + middle * 0.38
        parts += [
            limb(inner, hip, 0.13, 0.125),
            limb(shoulder, elbow, 0.085, 0.068),
            limb(elbow, wrist, 0.068, 0.055),
            Part(solid=Ball(hand, 0.072 * scale), cover="skin"),
            limb(hip, knee, 0.11, 0.085),
            limb(knee, ankle, 0.085, 0.065),
            limb(ankle, toe, 0.07, 0.06, "shoe"),
        ]
    return parts


def _radius_below(joint: str) -> float:
    """Return the distance from a joint to the lowest point of the body below it."""
    return {"hips": 0.14, "ankle": 0.07, "toe": 0.06}.get(joint.split("_")[-1], 0.09)


def _swing(sign: float, out: float, fore: float) -> Vector:
    """Return the unit vector that points down, turned `out` degrees to its side and then `fore` degrees to the front."""
    sideways = np.radians(out)
    hang = np.array((sign * np.sin(sideways), -np.cos(sideways), 0))
    return _rotation_x(-np.radians(fore)) @ hang


def _rotation_x(angle: float) -> Vector:
    """Return the rotation around x; positive angles tilt the upper part forwards, the lower part backwards."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cosine, -sine], [0, sine, cosine]])


def _rotation_y(angle: float) -> Vector:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, 0, sine], [0, 1, 0], [-sine, 0, cosine]])


def _rotation_z(angle: float) -> Vector:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]])
