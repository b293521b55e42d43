"""Recipes, poses and requests of our own and of other programs, in pictures and as JSON."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from annotators.people.pose_json import KEYS, PIXELS, UNIT
from annotators.people.poses import load_noted_pose
from benchmarks.fuzz.changes import Files, Json, any_json, changed_json, changed_text, json_bytes, picked
from benchmarks.fuzz.pictures import damaged_picture
from cnet_app.request.downloads import DownloadRequest
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.maps import MapRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.recipe import CHUNK, MADE_CHUNK, SCORES_CHUNK, Recipe, read_recipe
from cnet_app.request.recipes.recipe_files import read_request_file
from cnet_app.request.tasks import task_from_text, task_to_json
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from cnet_app.request.upscale import UpscaleRequest
from tests.request.foreign.pictures import EXIF_IFD, USER_COMMENT, texts_of

PROGRAMS = ("A1111", "A1111 older", "ComfyUI", "ComfyUI with control", "InvokeAI", "Fooocus", "SwarmUI", "NovelAI")
WORDS = (
    "Steps: ", "Negative prompt: ", "Size: ", "Seed: ", "ControlNet 0: ", "Lora hashes: ", "512x768", "1e9", '"', "{", "[", "\n", ": ",
    "Hashes: {", "<lora:a:b>",
)  # fmt: skip
GREY = encode_png(np.full((64, 64, 3), 99, np.uint8))
SCORE: Json = {"condition": "canny", "measure": "edge_f1", "value": 0.5, "agreement": 0.6, "more": {}}


def make_recipe(random: Random) -> Files:
    """Return a picture with the texts of another program or our own, changed; in a third of all JPEG or WebP."""
    texts = {name: _changed(random, text) for name, text in _texts(random).items()}
    if random.random() < 0.1:
        texts[random.choice(("parameters", "prompt", "Comment", CHUNK))] = json_bytes(random, any_json(random)).decode(
            "latin-1"
        )
    if random.random() < 0.3:
        format = random.choice(("JPEG", "WEBP"))
        data, name = _with_comment(random, random.choice(list(texts.values())), format), f"picture.{format.lower()}"
    else:
        data, name = _with_texts(random, texts), "picture.png"
    return {name: damaged_picture(random, data) if random.random() < 0.15 else data}


def read_recipes(folder: Path) -> None:
    """Read the recipe of a picture, whoever wrote it."""
    for path in folder.iterdir():
        if isinstance(read_picture(path), Recipe):
            read_recipe(path)


def _texts(random: Random) -> Mapping[str, str]:
    if random.random() < 0.75:
        return texts_of(random.choice(PROGRAMS))
    own = {CHUNK: json.dumps(picked(random, sample_tasks())), SCORES_CHUNK: json.dumps([SCORE])}
    return own | {MADE_CHUNK: json.dumps({"device": "cpu", "files": {"LoRA a": "00"}})}


def _changed(random: Random, text: str) -> str:
    """Return a text with changes to its JSON, or to its letters where it is none."""
    try:
        value = json.loads(text)
    except ValueError:
        return changed_text(random, text, WORDS)
    return json_bytes(random, changed_json(random, value)).decode("utf-8", "replace")


def _with_texts(random: Random, texts: Mapping[str, str]) -> bytes:
    chunks = PngInfo()
    for name, text in texts.items():
        if random.random() < 0.6:
            chunks.add_itxt(name, text.encode("utf-8", "replace").decode(), zip=random.random() < 0.5)
        else:
            chunks.add_text(name, text.encode("utf-8", "replace").decode("latin-1"), zip=random.random() < 0.5)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (9, 9, 9)).save(buffer, "PNG", pnginfo=chunks)
    return buffer.getvalue()


def _with_comment(random: Random, text: str, format: str) -> bytes:
    exif = Image.Exif()
    code = random.choice(("utf-16-be", "utf-16-le", "utf-8"))
    head = random.choice((b"UNICODE\0", b"ASCII\0\0\0", bytes(8), b""))
    exif.get_ifd(EXIF_IFD)[USER_COMMENT] = (head + text.encode(code, "replace"))[:30_000]
    if random.random() < 0.3:
        exif[0x0110] = "prompt:" + text.encode("ascii", "replace").decode()[:20_000]
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64)).save(buffer, format, exif=exif)
    return buffer.getvalue()


@cache
def sample_tasks() -> Mapping[str, Json]:
    """Return a task of each kind as JSON."""
    unit = ControlUnit(
        condition="canny",
        control_image=GREY,
        annotator="canny",
        annotator_parameters={"low_threshold": 50},
        control_mode="balanced",
        strength_curve=((0.1, 1.0), (0.9, 0.5)),
        mask=GREY,
        prompt="here",
    )
    request = GenerationRequest(
        prompt="a {red|blue} test",
        units=(unit, ControlUnit(condition="depth", control_image=GREY)),
        loras=(Lora(name="a", scale=0.5),),
        ip_adapter=IpAdapter(name="x", image=GREY),
        initial_image=GREY,
        inpaint_mask=GREY,
        strength=0.6,
    )
    tasks = (
        request,
        GenerationRequest(prompt="plain"),
        MapRequest(condition="canny", annotator="canny", source_image=GREY, annotator_parameters={"low_threshold": 50}),
        UpscaleRequest(picture=GREY, prompt="a"),
        DownloadRequest(ids=("sd15",)),
    )
    return {str(number): json.loads(json.dumps(task_to_json(task))) for number, task in enumerate(tasks)}


def make_task(random: Random) -> Files:
    """Return a task as JSON, changed."""
    task = picked(random, sample_tasks())
    value = any_json(random) if random.random() < 0.05 else changed_json(random, task)
    return {"task.json": json_bytes(random, value)}


def read_task(folder: Path) -> None:
    """Read a task, and what it would be written as; a file of a request too."""
    path = folder / "task.json"
    task = task_from_text(path.read_bytes().decode("utf-8", "replace"))
    json.dumps(task_to_json(task), allow_nan=False).encode()
    read_request_file(path)


def make_pose(random: Random) -> Files:
    """Return people as JSON in one of the dialects, changed."""
    value = any_json(random) if random.random() < 0.05 else changed_json(random, _pose(random))
    return {"pose.json": json_bytes(random, value)}


def _pose(random: Random) -> Json:
    scale, count = random.choice((1.0, 300.0, 5_000.0)), random.choice((17, 18, 25))
    people = [_person(random, scale, count) for _ in range(random.randrange(3))]
    frame: dict[str, Any] = {"people": people, "version": 1.3}
    if random.random() < 0.7:
        frame |= {"canvas_width": random.choice((64, 512, 6_000)), "canvas_height": random.choice((64, 512, 1))}
    if random.random() < 0.2:
        frame[UNIT] = PIXELS
    return random.choice((frame, [frame, frame], frame | {"animals": [[0.0] * 51]}))


def _person(random: Random, scale: float, count: int) -> Json:
    sizes = {"body": count, "left_hand": 21, "right_hand": 21, "face": random.choice((56, 68, 69, 70))}
    person = {
        KEYS[part]: _points(random, scale, size)
        for part, size in sizes.items()
        if part == "body" or random.random() < 0.3
    }
    return {name.removesuffix("_2d") if random.random() < 0.1 else name: points for name, points in person.items()}


def _points(random: Random, scale: float, count: int) -> Json:
    points: list[Json] = [
        [random.uniform(-0.1, 1) * scale, random.random() * scale, random.random()] for _ in range(count)
    ]
    if random.random() < 0.2:
        points[random.randrange(count)] = None
        return points
    return [number for point in points for number in point]


def read_pose_file(folder: Path) -> None:
    """Read people, write them again, and draw them at the size of a small picture."""
    for size in (None, (320, 200)):
        pose, _ = load_noted_pose(folder / "pose.json", size)
        json.dumps(pose.to_json(), allow_nan=False)
        pose.resized(96, 64).draw()
