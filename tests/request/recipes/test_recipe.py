"""Recipes: a picture remakes itself, and nothing that goes wrong while saving leaves half a picture."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.png.parameters import parameters_text
from cnet_app.request.recipe import MADE_CHUNK, read_request, save_picture
from cnet_app.request.units import ControlUnit, IpAdapter, Lora
from models.downloads.whole import sweep_unfinished
from models.errors import InputError, SaveError

RNG = np.random.default_rng(0)
PICTURE = RNG.integers(0, 256, (64, 64, 3), dtype=np.uint8)
UNIT = ControlUnit(
    condition="canny", control_image=encode_png(PICTURE), annotator="canny", annotator_parameters={"low_threshold": 80}
)
REQUEST = GenerationRequest(
    units=(UNIT, dataclasses.replace(UNIT, condition="depth", annotator=None, control_mode="control")),
    prompt='a "red" ball, größer\nNegative prompt: 红',
    negative_prompt="dull: grey",
    guidance_scale=5.5,
    num_images=3,
    seed=7,
)


def test_a_picture_holds_the_request_that_makes_it_alone(tmp_path: Path) -> None:
    paths = [save_picture(tmp_path / "new" / "folder", PICTURE, REQUEST, index) for index in range(3)]
    assert len(set(paths)) == 3
    for index, path in enumerate(paths):
        assert read_request(path) == dataclasses.replace(REQUEST, num_images=1, seed=7 + index)
        np.testing.assert_array_equal(np.asarray(Image.open(path)), PICTURE)


def test_the_same_picture_is_never_written_over(tmp_path: Path) -> None:
    first, second = (save_picture(tmp_path, PICTURE, REQUEST, 0) for _ in range(2))
    assert first != second
    assert sorted(tmp_path.iterdir()) == sorted([first, second])


def test_a_recipe_of_several_megabytes_is_read_back(tmp_path: Path) -> None:
    noise = encode_png(RNG.integers(0, 256, (900, 900, 3), dtype=np.uint8))
    request = GenerationRequest(units=(dataclasses.replace(UNIT, control_image=noise),) * 2)
    assert read_request(save_picture(tmp_path, PICTURE, request, 0)) == request


def _last_line(text: str) -> dict[str, str]:
    """By the pattern with which those tools take it apart."""
    return dict(re.findall(r'\s*(\w[\w \-/]+):\s*("(?:\\.|[^\\"])+"|[^,]*)(?:,|$)', text))


def test_other_tools_read_their_line(tmp_path: Path) -> None:
    with Image.open(save_picture(tmp_path, PICTURE, REQUEST, 1)) as picture:
        text = picture.info["parameters"]
    assert text == parameters_text(REQUEST.only_picture(1))
    *prompt, last = text.split("\n")
    assert prompt == ['a "red" ball, größer', "Negative prompt: 红", "Negative prompt: dull: grey"]
    found = _last_line(last)
    assert found["Seed"] == "8"
    assert found["Size"] == "256x256"
    assert found["CFG scale"] == "5.5"
    assert found["RNG"] == "CPU"
    unit = dict(part.split(": ") for part in found["ControlNet 1"].strip('"').split(", "))
    assert unit["Module"] == "none"
    assert unit["Control Mode"] == "ControlNet is more important"


def test_other_tools_read_additions() -> None:
    request = GenerationRequest(
        prompt="a ball,\nred",
        loras=(Lora(name="C:\\nets\\a<b:c.v2.safetensors", scale=0.5), Lora(name="hyper_sd15_4steps", scale=-1)),
        vae="soft, old.safetensors",
        ip_adapter=IpAdapter(name="ip_adapter_sd15", image=encode_png(PICTURE), scale=0.7),
        residual_interval=3,
        reuse_threshold=0.07,
        norm_preserving=True,
        eta=0.5,
        initial_image=encode_png(PICTURE),
        strength=0.6,
    )
    *prompt, last = parameters_text(request).split("\n")
    assert prompt == ["a ball,", "red <lora:a b c.v2:0.5> <lora:hyper_sd15_4steps:-1>"]
    found = _last_line(last)
    assert found["VAE"] == '"soft, old.safetensors"'
    assert (found["IP-Adapter"], found["IP-Adapter scale"]) == ("ip_adapter_sd15", "0.7")
    assert (found["Residual interval"], found["Norm preserving"]) == ("3", "True")
    assert found["Reuse threshold"] == "0.07"
    assert (found["Denoising strength"], found["Eta DDIM"]) == ("0.6", "0.5")
    alone = dataclasses.replace(request, prompt="", loras=request.loras[1:])
    assert parameters_text(alone).startswith("<lora:hyper_sd15_4steps:-1>\nSteps: 20")


def test_what_is_not_used_is_not_named() -> None:
    named = set(_last_line(parameters_text(REQUEST).split("\n")[-1]))
    assert named == {"Steps", "Sampler", "CFG scale", "Seed", "Size", "Model", "RNG", "ControlNet 0", "ControlNet 1"}


def test_a_picture_says_how_it_was_made(tmp_path: Path) -> None:
    told = {"device": "cuda:0 (größer)", "torch": "2.14.1"}
    path = save_picture(tmp_path, PICTURE, REQUEST, 0, told)
    with Image.open(path) as picture:
        assert json.loads(picture.info[MADE_CHUNK]) == told
    assert read_request(path) == REQUEST.only_picture(0)
    with Image.open(save_picture(tmp_path, PICTURE, REQUEST, 0)) as picture:
        assert MADE_CHUNK not in picture.info


def test_a_comma_in_a_name_does_not_break_the_line() -> None:
    unit = dataclasses.replace(UNIT, controlnet="C:\\nets, old")
    last = parameters_text(GenerationRequest(units=(unit,), base="/bases/a, b")).split("\n")[-1]
    assert 'Model: "/bases/a, b"' in last
    assert "Model: C \\\\nets  old, Weight: 1" in last


def fail_like_a_full_disk(*_: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(("owner", "call"), [(os, "fsync"), (Path, "replace"), (Path, "write_bytes")])
def test_a_full_disk_is_told_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, call: str
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(owner, call, fail_like_a_full_disk)
        with pytest.raises(SaveError, match=r"could not be saved in .*No space left on device.*make room"):
            save_picture(tmp_path, PICTURE, REQUEST, 0)
    assert list(tmp_path.iterdir()) == []
    assert save_picture(tmp_path, PICTURE, REQUEST, 0).exists()


def test_a_file_cut_off_by_the_system_leaves_nothing(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))  # writes beyond 1000 bytes fail for real
    try:
        with pytest.raises(SaveError, match="File too large"):
            save_picture(tmp_path, PICTURE, REQUEST, 0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("not a folder")
    with pytest.raises(SaveError, match="could not be saved"):
        save_picture(tmp_path / "taken", PICTURE, REQUEST, 0)


# Some 25 MB, so that writing takes long enough to be killed in the middle.
WRITER = """
import sys, numpy as np
from pathlib import Path
from cnet_app.request.recipe import save_picture
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
picture = np.zeros((64, 64, 3), dtype=np.uint8)
unit = ControlUnit(condition="canny", control_image=encode_png(picture) + bytes(18_000_000))
print("ready", flush=True)
while True:
    save_picture(Path(sys.argv[1]), picture, GenerationRequest(units=(unit,)), 0)
"""


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0.0, 0.005])
def test_a_killed_writer_leaves_no_half_picture(tmp_path: Path, patience: float) -> None:
    with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        while not any(tmp_path.iterdir()):  # until it is in the middle of writing
            assert writer.poll() is None
        time.sleep(patience)
        writer.send_signal(signal.SIGKILL)
    for path in tmp_path.glob("*.png"):
        with Image.open(path) as picture:
            picture.load()
        assert len(read_request(path).units) == 1


def test_left_over_files_are_swept_and_young_ones_stay(tmp_path: Path) -> None:
    old, young, other = (tmp_path / name for name in (".a.png.part", ".b.png.part", "notes.part"))
    for path in (old, young, other):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    os.utime(other, (0, 0))
    save_picture(tmp_path, PICTURE, REQUEST, 0)
    assert not old.exists()
    assert young.exists()
    assert other.exists()


def png(path: Path, **chunks: str) -> Path:
    info = PngImagePlugin.PngInfo()
    for key, text in chunks.items():
        info.add_text(key, text)
    Image.fromarray(PICTURE).save(path, "PNG", pnginfo=info)
    return path


def test_what_is_no_recipe_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no file"):
        read_request(tmp_path / "absent.png")
    with pytest.raises(InputError, match="cannot be read"):
        read_request(tmp_path)
    (tmp_path / "text.png").write_text("a picture?")
    with pytest.raises(InputError, match=r"text\.png cannot be read as a PNG"):
        read_request(tmp_path / "text.png")
    with pytest.raises(InputError, match=r"plain\.png holds no recipe"):
        read_request(png(tmp_path / "plain.png", parameters="Steps: 20"))


@pytest.mark.parametrize(
    "text", ["", "{", "GenerationRequest()", '{"seed": NaN}', '{"sead": 1}', '{"prompt": "\\ud800"}', "[" * 100_000]
)
def test_a_recipe_that_is_not_valid_is_an_input_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match=r"The recipe in own\.png is not valid"):
        read_request(png(tmp_path / "own.png", controlnet_studio=text))


def test_a_picture_cut_off_is_an_input_error(tmp_path: Path) -> None:
    path = save_picture(tmp_path, PICTURE, REQUEST, 0)
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot be read as a PNG"):
        read_request(path)


def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    left, written, young = (tmp_path / f".a.png.{pid}.part" for pid in (dead.pid, os.getpid(), f"1.{dead.pid}"))
    for path in (left, written, young):
        path.write_bytes(b"half")
    for path in (left, written):
        os.utime(path, (time.time() - 60, time.time() - 60))
    sweep_unfinished(tmp_path)
    assert (left.exists(), written.exists(), young.exists()) == (False, True, True)
