"""The four styles: conversion of a surface to colours."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from cnet_app.embedded.world import words
from cnet_app.embedded.world.backdrop import HAZE, Colours, Mask, floor_grid, paint_floor, paint_sky
from cnet_app.embedded.world.raycast import shadowed
from cnet_app.embedded.world.sample import Thing
from cnet_app.embedded.world.stage import Stage, Surface

_COVERS = {"skin": (0.93, 0.72, 0.58), "hair": (0.28, 0.19, 0.14), "shoe": (0.22, 0.21, 0.24)}
_INK = np.array((0.07, 0.07, 0.10), np.float32)
_CREAM = np.array((0.97, 0.94, 0.90), np.float32)


def paint(style: str, stage: Stage, surface: Surface, things: tuple[Thing, ...], rng: np.random.Generator) -> Colours:
    """Return the picture (N, N, 3) RGB, nominally in [0, 1]."""
    painter = {"shaded": _paint_shaded, "flat": _paint_flat, "neon": _paint_neon, "clay": _paint_clay}[style]
    return painter(stage, surface, things, rng)


def _paint_shaded(stage: Stage, surface: Surface, things: tuple[Thing, ...], rng: np.random.Generator) -> Colours:
    shadow = _shadow(stage, surface, 0.0025)
    picture = _ground(stage, surface, rng, flat=False)
    _darken(picture, (1 - 0.5 * shadow) * (1 - 0.45 * _contact(stage, surface)))
    _haze(stage, surface, picture)
    here = surface.owner > 0
    normal, lit = surface.normal[here], 1 - shadow[here]
    towards = np.maximum(normal @ stage.light.astype(np.float32), 0) * lit
    above = 0.5 + 0.5 * normal[:, 1]
    half = _unit(stage.light.astype(np.float32) - _view(stage, surface, here))
    shine = np.maximum(np.einsum("ij,ij->i", normal, half), 0) ** 50 * lit
    sky_tint = 0.85 + 0.15 * np.array(HAZE[stage.sky], np.float32)
    sun = np.float32(0.46 if stage.sky == "night" else 0.50)
    light = (0.50 + 0.20 * above)[:, None] * sky_tint + sun * towards[:, None]
    gloss = np.array([0.0 if thing.shape == "person" else 0.45 for thing in things], np.float32)
    shine *= gloss[surface.owner[here] - 1]
    picture[here] = _covers(stage, surface, things, here) * light + shine[:, None]
    return picture


def _paint_clay(stage: Stage, surface: Surface, things: tuple[Thing, ...], rng: np.random.Generator) -> Colours:
    shadow = _shadow(stage, surface, 0.014)
    picture = _ground(stage, surface, rng, flat=False)
    brightest = _brightest(picture)
    for channel in range(3):
        picture[..., channel] += (_CREAM[channel] * brightest - picture[..., channel]) * np.float32(0.3)
    _darken(picture, (1 - 0.22 * shadow) * (1 - 0.65 * _contact(stage, surface)))
    _haze(stage, surface, picture)
    here = surface.owner > 0
    normal = surface.normal[here]
    wrapped = 0.5 + 0.5 * (normal @ stage.light.astype(np.float32))
    facing = np.clip(-np.einsum("ij,ij->i", normal, _view(stage, surface, here)), 0, 1)
    low = 0.75 + 0.25 * np.clip(surface.point[..., 1][here] / 0.5, 0, 1)
    light = (0.50 + 0.55 * wrapped * (1 - 0.25 * shadow[here])) * low * (0.72 + 0.28 * facing)
    colour = _covers(stage, surface, things, here)
    picture[here] = (colour + (_CREAM - colour) * np.float32(0.24)) * light[:, None]
    return picture


def _paint_flat(stage: Stage, surface: Surface, things: tuple[Thing, ...], rng: np.random.Generator) -> Colours:
    shadow = _shadow(stage, surface, 0.0)
    picture = _ground(stage, surface, rng, flat=True)
    rows = surface.floor_rows
    _darken(picture[rows], 1 - 0.3 * shadow[rows])
    here = surface.owner > 0
    dark = surface.normal[here] @ stage.light.astype(np.float32) < 0.12
    shade = np.where(dark, np.float32(0.72), np.float32(1))
    picture[here] = _covers(stage, surface, things, here) * shade[:, None]
    picture[_thicken(_outline(stage, surface), len(surface.places) / 128)] = _INK
    return picture


def _paint_neon(stage: Stage, surface: Surface, things: tuple[Thing, ...], rng: np.random.Generator) -> Colours:
    del rng
    side = len(surface.places)
    picture = np.full((side, side, 3), (0.02, 0.02, 0.035), np.float32)
    grid = floor_grid(stage, surface) * (surface.owner[surface.floor_rows] == 0)
    picture[surface.floor_rows] += grid[..., None] * np.array((0.05, 0.05, 0.075), np.float32)
    palette = np.array([(0, 0, 0)] + [words.COLOURS[thing.colour] for thing in things], np.float32) / 255
    palette[1:] *= 0.6 + 0.4 / palette[1:].max(axis=1, keepdims=True)
    own = palette[surface.owner]
    picture += np.float32(0.16) * own
    lines = (_outline(stage, surface) & (surface.owner > 0))[..., None] * own
    width = max(3, round(side / 120)) | 1
    brush = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    tube = np.asarray(cv2.dilate(lines, brush), np.float32)
    quarter = cv2.resize(tube, (side // 4, side // 4), interpolation=cv2.INTER_AREA)
    glow = 0.9 * cv2.GaussianBlur(quarter, (0, 0), side / 440) + cv2.GaussianBlur(quarter, (0, 0), side / 120)
    picture += cv2.resize(glow, (side, side), interpolation=cv2.INTER_LINEAR)
    bright = tube + np.float32(0.25) * (_brightest(tube)[..., None] - tube)
    return np.maximum(picture, bright)


def _ground(stage: Stage, surface: Surface, rng: np.random.Generator, *, flat: bool) -> Colours:
    """Return sky, wall and floor without shadows."""
    side, rows = len(surface.places), surface.floor_rows
    sky = paint_sky(rng, stage, surface.places[: rows.start], side, flat=flat)
    return np.concatenate([sky, paint_floor(stage, surface)])


def _haze(stage: Stage, surface: Surface, picture: Colours) -> None:
    """Blend far floor into the sky's lowest colour, in place, so that the horizon is soft."""
    rows = surface.floor_rows
    keep = 0.2 + 0.8 * np.exp(-np.square(surface.ground_depth[rows] / 26))[:, None, None]
    picture[rows] *= keep
    for channel, haze in enumerate(HAZE[stage.sky]):
        picture[rows, :, channel] += (1 - keep[..., 0]) * np.float32(haze)


def _darken(picture: Colours, factor: Mask) -> None:
    """Multiply in place; a channel at a time, which is much faster than a broadcast over three."""
    for channel in range(3):
        picture[..., channel] *= factor


def _brightest(picture: Colours) -> Mask:
    return np.maximum(np.maximum(picture[..., 0], picture[..., 1]), picture[..., 2])


def _covers(stage: Stage, surface: Surface, things: tuple[Thing, ...], here: NDArray[np.bool_]) -> Colours:
    """Return the surface colours (n, 3) of the places `here`, eyes included."""
    rows = [
        _COVERS.get(cover, tuple(np.array(words.COLOURS[things[owner - 1].colour]) / 255))
        for cover, owner in zip(stage.covers, stage.owners, strict=True)
    ]
    solid = surface.solid[here]
    colour = np.array(rows, np.float32)[solid]
    if stage.eyes:
        heads = np.flatnonzero(np.array([cover == "skin" for cover in stage.covers])[solid])
        points = surface.point[here][heads]
        for eye in np.concatenate(stage.eyes).astype(np.float32):
            colour[heads[np.square(points - eye).sum(axis=1) < stage.eye_radius**2]] = _INK
    return colour


def _shadow(stage: Stage, surface: Surface, softness: float) -> Mask:
    """Return 1 where the light does not reach, edges blurred by `softness` picture sides within the things and the ground."""
    facing = surface.normal @ stage.light.astype(np.float32)
    shadow = ((facing < 0) | shadowed(stage.solids, surface.point, surface.normal, facing > 0, stage.light)).astype(
        np.float32
    )
    if softness == 0:
        return shadow
    step = 2 if softness > 0.01 else 1  # a wide blur needs no fine grid
    sigma = softness * len(surface.places) / step
    bare = surface.owner == 0
    soft = np.empty_like(shadow)
    for region in (bare, ~bare):
        weight = region.astype(np.float32)
        pair = np.stack([weight, shadow * weight], axis=2)
        blurred = cv2.GaussianBlur(pair[::step, ::step], (0, 0), sigma)
        part = blurred[..., 1] / np.maximum(blurred[..., 0], 1e-4)
        if step > 1:
            part = cv2.resize(part, shadow.shape[::-1], interpolation=cv2.INTER_LINEAR)
        np.copyto(soft, part, where=region)
    return soft


def _contact(stage: Stage, surface: Surface) -> Mask:
    """Return the share of the sky that the things hide from each place of the floor, approximated by balls."""
    step, rows = 8, surface.floor_rows
    camera, side = stage.camera, len(surface.places)
    full = np.zeros((side, side), np.float32)
    below = surface.places[rows]
    if not len(below):
        return full
    coarse = np.linspace(below[0], below[-1], max(2, len(below) // step))
    rays = camera.directions(np.linspace(0, 1, side // step), coarse)
    point = camera.position + rays * (-camera.position[1] / rays[..., 1:2])
    dark = np.zeros(rays.shape[:2])
    for solid in stage.solids:
        hull, radius = solid.hull()
        low, high = hull.min(axis=0) - radius, hull.max(axis=0) + radius
        centre, size = (low + high) / 2, float((high[[0, 2]] - low[[0, 2]]).mean() / 2)
        height = max(min(float(centre[1]), float(low[1]) + size), 0.02)
        away = np.square(point[..., 0] - centre[0]) + np.square(point[..., 2] - centre[2]) + height**2
        dark += np.minimum(height * size**2 / away**1.5, 0.9)
    shape = (side, len(below))
    full[rows] = cv2.resize(np.minimum(dark, 1).astype(np.float32), shape, interpolation=cv2.INTER_LINEAR)
    return full


def _outline(stage: Stage, surface: Surface) -> NDArray[np.bool_]:
    """Return True on the near side of silhouettes, folds and borders between covers."""
    cover_kinds = {"main": 0, "skin": 1, "hair": 2, "shoe": 3}
    kinds = np.array([cover_kinds[cover] for cover in stage.covers] + [4], np.int16)[surface.solid]
    group = surface.owner * 8 + kinds + (surface.owner == 0) * surface.ground[:, None].astype(np.int16)
    jointed = np.array([cover_kinds[cover] > 0 for cover in stage.covers])
    people = np.isin(surface.owner, np.unique(stage.owners[jointed])) & (surface.owner > 0)
    inverse = 1 / surface.depth
    depth = np.minimum(surface.depth, 1e6)
    line = np.zeros(group.shape, bool)
    for axis in (0, 1):
        first = tuple(slice(None, -1) if a == axis else slice(None) for a in (0, 1))
        second = tuple(slice(1, None) if a == axis else slice(None) for a in (0, 1))
        step = inverse[first] - inverse[second]
        jump = np.abs(step) * depth[first] > 0.016
        fold = np.einsum("ijk,ijk->ij", surface.normal[first], surface.normal[second]) < 0.7
        same = surface.owner[first] == surface.owner[second]
        edge = (group[first] != group[second]) | (
            same & np.where(people[first], jump, fold) & (surface.owner[first] > 0)
        )
        thing_first, thing_second = surface.owner[first] > 0, surface.owner[second] > 0
        touching = np.abs(step) * depth[first] < 0.004
        before = np.where(touching, surface.owner[first] <= surface.owner[second], step >= 0)
        nearer = np.where(thing_first == thing_second, before, thing_first)
        line[first] |= edge & nearer
        line[second] |= edge & ~nearer
    return line


def _thicken(line: NDArray[np.bool_], width: float) -> NDArray[np.bool_]:
    size = max(2, round(width))
    return cv2.dilate(line.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))) > 0


def _view(stage: Stage, surface: Surface, here: NDArray[np.bool_]) -> Colours:
    """Return unit directions (n, 3) from the camera to the points."""
    return _unit(surface.point[here] - stage.camera.position.astype(np.float32))


def _unit(vectors: Colours) -> Colours:
    return vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors))[:, None]
