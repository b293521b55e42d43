"""Damaged and hostile pictures end in one sentence, soon, and within bounds of memory."""

from __future__ import annotations

import json
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from cnet_app.request.foreign.conditions import condition_of
from cnet_app.request.foreign.graph import MAX_NODES
from cnet_app.request.foreign.imported import Imported
from cnet_app.request.foreign.reading import read_picture
from cnet_app.request.foreign.texts import MAX_TEXT
from cnet_app.request.generation import MAX_LORAS
from models.errors import InputError
from tests.request.foreign.pictures import NOVEL_TEXTS, graph, png, raw_png, texts_of, with_comment

pytestmark = pytest.mark.slow

SETTINGS = "Steps: 20, Sampler: Euler, CFG scale: 7, Seed: 5, Size: 512x512"


@pytest.fixture(autouse=True)
def bounds() -> Iterator[None]:
    """Every test within seconds and 200 MB."""
    tracemalloc.start()
    started = time.process_time()
    yield
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - started < 20
    assert peak < 200_000_000


def fault(path: Path) -> str:
    """The sentence of a picture that cannot be read."""
    with pytest.raises(InputError) as caught:
        read_picture(path)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text and len(text) < 400
    return text


@pytest.mark.parametrize(
    "program", ["A1111", "A1111 older", "ComfyUI", "ComfyUI with control", "InvokeAI", "Fooocus", "SwarmUI", "NovelAI"]
)
def test_a_text_cut_off_ends_in_a_sentence_or_is_read_in_part(tmp_path: Path, program: str) -> None:
    texts = dict(texts_of(program))
    name = next(name for name in ("prompt", "invokeai_metadata", "Comment", "parameters") if name in texts)
    cut = texts[name].index("Steps:") + 8 if program.startswith("A1111") else len(texts[name]) // 2
    texts[name] = texts[name][:cut]
    sentence = fault(png(tmp_path / "cut.png", **texts))
    assert sentence.startswith("The recipe in cut.png cannot be read: the ")
    assert program.split()[0].replace("A1111", "AUTOMATIC1111") in sentence


def test_a_forge_jpeg_cut_off(tmp_path: Path) -> None:
    assert "no line of settings" in fault(with_comment(tmp_path / "a.jpg", f"a cat\n{SETTINGS[:9]}"))
    path = with_comment(tmp_path / "b.jpg", SETTINGS)
    path.write_bytes(path.read_bytes()[:40])
    fault(path)


@pytest.mark.parametrize(
    "texts", [{}, {"parameters": ""}, {"parameters": "words"}, {"Comment": "a photo"}, {"prompt": ""}]
)
def test_a_picture_without_a_recipe(tmp_path: Path, texts: dict[str, str]) -> None:
    sentence = fault(png(tmp_path / "plain.png", **texts))
    assert sentence.startswith("plain.png holds no recipe" if texts != {"prompt": ""} else "The recipe in plain.png")


def test_what_is_no_picture(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("text")
    assert "cannot be read as a PNG, JPEG or WebP" in fault(tmp_path / "a.png")
    assert "cannot be read" in fault(tmp_path)
    assert "There is no file" in fault(tmp_path / "absent.png")
    Image.new("RGB", (8, 8)).save(tmp_path / "a.gif")
    assert "cannot be read" in fault(tmp_path / "a.gif")


def test_our_own_recipe_comes_first(tmp_path: Path) -> None:
    sentence = fault(png(tmp_path / "a.png", controlnet_studio="{", **texts_of("A1111")))
    assert sentence.startswith("The recipe in a.png is not valid")


def test_a_text_of_50_mb(tmp_path: Path) -> None:
    path = raw_png(tmp_path / "a.png", (b"tEXt", b"parameters\0" + b"x" * 50_000_000))
    assert fault(path) == "The recipe in a.png cannot be read: its text 'parameters' is larger than 4 MB."


@pytest.mark.parametrize("kind", [b"iTXt", b"zTXt"])
def test_a_text_that_unpacks_to_a_gigabyte(tmp_path: Path, kind: bytes) -> None:
    packer = zlib.compressobj(9)
    bomb = b"".join(packer.compress(bytes(10_000_000)) for _ in range(100)) + packer.flush()
    head = b"prompt\0\1\0\0\0" if kind == b"iTXt" else b"prompt\0\0"
    assert "larger than 4 MB" in fault(raw_png(tmp_path / "a.png", (kind, head + bomb)))
    assert "cannot be unpacked" in fault(raw_png(tmp_path / "b.png", (kind, head + b"no zlib")))


def test_packed_texts_are_read(tmp_path: Path) -> None:
    text = zlib.compress(f"größer\n{SETTINGS}".encode())
    for chunk in ((b"iTXt", b"parameters\0\1\0en\0name\0" + text), (b"zTXt", b"parameters\0\0" + text)):
        found = read_picture(raw_png(tmp_path / "a.png", chunk))
        assert isinstance(found, Imported) and found.fields["prompt"] == "größer"


def test_text_that_is_not_utf_8(tmp_path: Path) -> None:
    latin = f"größer\n{SETTINGS}".encode("latin-1")
    found = read_picture(raw_png(tmp_path / "a.png", (b"tEXt", b"parameters\0" + latin)))
    assert isinstance(found, Imported) and found.fields["prompt"] == "größer"
    assert "is not UTF-8" in fault(raw_png(tmp_path / "b.png", (b"iTXt", b"parameters\0\0\0\0\0" + latin)))


def test_chunks_without_end(tmp_path: Path) -> None:
    fault(raw_png(tmp_path / "a.png", *[(b"tEXt", b"")] * 300_000))
    fault(raw_png(tmp_path / "b.png", *[(b"tEXt", b"prompt\0{")] * 10_000))
    path = raw_png(tmp_path / "c.png")
    path.write_bytes(path.read_bytes()[:33] + b"\xff\xff\xff\xfftEXtprompt\0{}")
    assert "larger than 4 MB" in fault(path)


@pytest.mark.parametrize("text", ["[" * 1_000_000, '{"a":' * 500_000, "[]", "3", '"x"', "{", "null", "1" * 10_000])
@pytest.mark.parametrize("name", ["prompt", "invokeai_metadata", "Comment"])
def test_deep_and_wrong_json(tmp_path: Path, name: str, text: str) -> None:
    texts = {name: text} | ({} if name != "Comment" else NOVEL_TEXTS)
    assert "cannot be read: the " in fault(png(tmp_path / "a.png", **texts))


@pytest.mark.parametrize("depth", [100, 400, 800, 900])
def test_json_that_is_just_not_too_deep(tmp_path: Path, depth: int) -> None:
    nested = "[" * depth + "]" * depth
    texts = {
        "prompt": json.dumps({"1": {"class_type": "KSampler", "inputs": {"seed": 1}}})[:-1] + f', "2": {nested}}}',
        "invokeai_metadata": f'{{"positive_prompt": "a", "x": {nested}, "loras": {nested}, "model": {nested}}}',
        "Comment": f'{{"prompt": "a", "x": {nested}, "v4_prompt": {nested}}}',
    }
    for name, text in texts.items():
        more = NOVEL_TEXTS if name == "Comment" else {}
        assert isinstance(read_picture(png(tmp_path / "a.png", **{name: text}, **more)), Imported)
    line = f"a\n{SETTINGS}, Hashes: {nested}, Model: {nested}, ControlNet 0: {nested}, x: {nested}"
    assert isinstance(read_picture(png(tmp_path / "a.png", parameters=line)), Imported)


def ring(kind: str, name: str, size: int) -> dict[str, Any]:
    """Nodes of which each leads to the next, and the last to the first."""
    return {str(i): {"class_type": kind, "inputs": {name: [str((i + 1) % size), 0]}} for i in range(size)}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("KSampler", "latent_image"),
        ("LoraLoader", "model"),
        ("ControlNetApplyAdvanced", "positive"),
        ("X", "text"),
        ("X", "value"),
    ],
)
@pytest.mark.parametrize("size", [1, 2, MAX_NODES - 3])
def test_graphs_that_lead_in_a_circle(tmp_path: Path, kind: str, name: str, size: int) -> None:
    nodes = ring(kind, name, size) | graph(
        n9001=(
            "KSampler",
            {key: ["0", 0] for key in ("model", "positive", "negative", "latent_image", "seed", "steps")},
        ),
        n9002=("CLIPTextEncode", {"text": ["0", 0]}),
        n9003=("ControlNetApply", {"control_net": ["9003", 0], "image": ["9003", 0], "conditioning": ["9003", 0]}),
    )
    found = read_picture(png(tmp_path / "a.png", prompt=json.dumps(nodes)))
    assert isinstance(found, Imported) and len(found.left_out) <= 41


def test_too_many_nodes(tmp_path: Path) -> None:
    nodes = json.dumps(ring("KSampler", "model", MAX_NODES + 1))
    assert f"{MAX_NODES + 1:,} nodes, but at most {MAX_NODES:,}" in fault(png(tmp_path / "a.png", prompt=nodes))


@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-Infinity", "1e999", "true", "null", '"nan"', "[]", "{}", '["1", 0]', "1" + "0" * 400]
)
def test_numbers_that_are_none(tmp_path: Path, value: str) -> None:
    numbers = ("seed", "steps", "cfg", "denoise", "start_at_step", "width", "height", "strength_model", "strength")
    inputs = ", ".join(f'"{name}": {value}' for name in numbers)
    links = '"latent_image": ["2", 0], "model": ["3", 0], "positive": ["4", 0]'
    text = f"""{{"1": {{"class_type": "KSampler", "inputs": {{{inputs}, {links}}}, "is_changed": NaN}},
        "2": {{"class_type": "EmptyLatentImage", "inputs": {{{inputs}}}}},
        "3": {{"class_type": "LoraLoader", "inputs": {{{inputs}, "lora_name": "a"}}}},
        "4": {{"class_type": "ControlNetApply", "inputs": {{{inputs}}}}}}}"""
    found = read_picture(png(tmp_path / "a.png", prompt=text))
    assert isinstance(found, Imported)
    assert found.fields == {"loras": ()}
    found.request("sd15")


@pytest.mark.parametrize(
    "line",
    [
        SETTINGS.replace("512x512", "-512x512"),
        SETTINGS.replace("512x512", "0x0"),
        SETTINGS.replace("512x512", "999999x999999"),
        SETTINGS.replace("Seed: 5", "Seed: -1").replace("20", "1e400").replace("7", "nan"),
        SETTINGS + ", Model: " + "../" * 100 + "etc/passwd, VAE: /etc/passwd",
        SETTINGS + ', ControlNet 0: "', SETTINGS + ', ControlNet 0: "Weight: nan, Guidance Start: 9, Guidance End: -1"',
    ],
)  # fmt: skip
def test_settings_that_are_out_of_bounds(tmp_path: Path, line: str) -> None:
    found = read_picture(png(tmp_path / "a.png", parameters=f"a cat\n{line}"))
    assert isinstance(found, Imported)
    request = found.request("sd15")
    assert (request.width, request.height, request.vae, found.base) == (512, 512, None, None)


def long(make: Callable[[int], str]) -> str:
    """Text of nearly the longest."""
    return make(MAX_TEXT // len(make(1)) - 10)


@pytest.mark.parametrize(
    "text",
    [
        long(lambda n: "a" * n) + f"\n{SETTINGS}",
        long(lambda n: "<lora:a:1>" * n) + f"\n{SETTINGS}",
        long(lambda n: "<" * n) + f"\n{SETTINGS}",
        f"a\n{SETTINGS}" + long(lambda n: ", a: 1" * n),
        f"a\n{SETTINGS}" + long(lambda n: ',k: ["' * n),
        f"a\n{SETTINGS}, b" + long(lambda n: " " * n),
        f"a\n{SETTINGS}" + long(lambda n: "," * n),
        f"a\n{SETTINGS}, x: (" + long(lambda n: "1" * n),
        long(lambda n: "\n" * n) + SETTINGS,
        "Steps:" + long(lambda n: '"' * n),
    ],
    ids=range(10),
)
def test_long_texts_are_read_in_time(tmp_path: Path, text: str) -> None:
    path = raw_png(tmp_path / "a.png", (b"tEXt", b"parameters\0" + text.encode()))
    try:
        found = read_picture(path)
    except InputError:
        return
    assert isinstance(found, Imported)
    assert len(found.fields["loras"]) <= MAX_LORAS and len(found.left_out) <= 41
    found.request("sd15")


def test_characters_that_are_no_text(tmp_path: Path) -> None:
    text = '{"positive_prompt": "\\ud800", "negative_prompt": "a\\u0000b", "model": {"name": "\\ud800x"}, "seed": 3, "y": "\\u001b[31m"}'
    found = read_picture(png(tmp_path / "a.png", invokeai_metadata=text))
    assert isinstance(found, Imported)
    assert found.request("sd15").seed == 3
    assert found.wanted_base == "x" and "y: [31m" in found.left_out
    assert found.note.isprintable()
    assert sum("characters that are no text" in note for note in found.left_out) == 2


@pytest.mark.parametrize(
    ("name", "condition"),
    [
        ("control_v11p_sd15_canny", "canny"), ("control_v11p_sd15s2_lineart_anime", "lineart_anime"),
        ("control_v11p_sd15_normalbae", "normal"), ("control_v11e_sd15_ip2p", "ip2p"), ("control_v11p_sd15_seg", "segmentation"),
        ("t2iadapter_sketch_sd15v2", "scribble"), ("AnimeLineArtPreprocessor", "lineart_anime"), ("DWPose", "openpose"),
        ("MiDaS-DepthMapPreprocessor", "depth"), ("ioclab_sd15_recolor", "recolor"), ("softedge_hed", "softedge"),
        ("control_v11f1e_sd15_tile", "tile"), ("diffusion_pytorch_model", None), ("", None),
    ],
)  # fmt: skip
def test_conditions_by_names(name: str, condition: str | None) -> None:
    assert condition_of("nothing", name) == condition
