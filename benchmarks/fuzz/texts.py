"""Texts that people and spreadsheets write: prompts, wildcards, tables, files of users, settings."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import fields
from pathlib import Path
from random import Random

from benchmarks.fuzz.changes import (
    EXTREMES,
    Files,
    any_text,
    changed_bytes,
    changed_text,
    few,
    text_bytes,
)
from benchmarks.fuzz.recipes import GREY
from cnet_app.diffusion.prompt_schedule import prompts_by_step, split_parts, syntax_notes
from cnet_app.diffusion.prompt_syntax import parse_prompt
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.prompts.tags import take_tags
from cnet_app.request.prompts.wildcards import Wildcards
from cnet_app.request.sweeps.tables import read_caption, read_table
from cnet_app.request.units import ControlUnit
from cnet_app.settings import Settings, read_settings
from cnet_app.ui.protection.users import SALT_BYTES, SCHEME, read_file
from models.errors import InputError

SIGNS = (
    "(", ")", "[", "]", "{", "}", "|", ":", "::", "\\", "BREAK", " AND ", "(a:1.3)", "[a:b:0.5]", "[a|b]", ":1e9", ":-2", ":nan", "<lora:x:1>",
    "<lora:", ">", "__a__", "__a/b__", "2::", "{a|b}", "embedding:x", "a", "b ", "0.5", "\n",
)  # fmt: skip
REQUEST = GenerationRequest(prompt="a", units=(ControlUnit(condition="canny", control_image=GREY, annotator="canny"),))
COLUMNS = (
    "file", "prompt", "negative_prompt", "seed", "guidance_scale", "width", "unit1.conditioning_scale", "unit1.control_mode",
    "unit1.annotator", "unit9.conditioning_scale", "lora1.scale", "scheduler", "vae", "guess_mode", "base",
)  # fmt: skip


def make_prompt(random: Random) -> Files:
    """Return a prompt as JSON, since it may hold what no file of text can."""
    text = "".join(random.choice(SIGNS) for _ in range(few(random, 80)))
    if random.random() < 0.3:
        text = changed_text(random, text, SIGNS)
    if random.random() < 0.03:
        ends = ["".join(random.choice(SIGNS) for _ in range(few(random, 6))) for _ in range(2)]
        run = random.choice(("9", " ", "\\", *SIGNS)) * random.choice((500, 4_000, 9_000))
        text = run[:9_900].join(ends)
    wildcards = "\n".join(changed_text(random, "red\n2::blue\n{a|__b__}\n# no", SIGNS) for _ in range(2))
    return {"prompt.json": json.dumps(text).encode(), "wildcards/a.txt": text_bytes(random, wildcards)}


def read_prompt(folder: Path) -> None:
    """Resolve and parse a prompt, as a request's way to the text encoder does."""
    text = str(json.loads((folder / "prompt.json").read_text()))
    request, _ = take_tags(GenerationRequest(prompt=text))
    prompt = Wildcards(folder / "wildcards").resolve(request.prompt, 7)
    list(syntax_notes("prompt", prompt, 20))
    for step in dict.fromkeys(prompts_by_step(prompt, 20)):
        for part, _ in split_parts(step):
            parse_prompt(part)


def make_wildcards(random: Random) -> Files:
    """Return files of wildcards, some of which name each other."""
    names = ("a", "b", "c/d", "a")
    files: dict[str, bytes] = {}
    for name in names[: few(random, 4)]:
        lines = (any_text(random, (*SIGNS, "__b__", "__a__", "__c/d__")) for _ in range(few(random, 12)))
        files[f"{name}.txt"] = text_bytes(random, random.choice(("\n", "\r\n", "\n\n")).join(lines))
    return {name: changed_bytes(random, data) if random.random() < 0.1 else data for name, data in files.items()}


def read_wildcards(folder: Path) -> None:
    """Count and resolve what the files stand for."""
    wildcards = Wildcards(folder)
    for name in wildcards.names():
        wildcards.count(f"__{name}__")
        wildcards.resolve(f"{{__{name}__|x}} __{name}__", 3)


def make_table(random: Random) -> Files:
    """Return a table and a caption next to a picture."""
    mark = random.choice(",\t;|")
    columns = ["file", *(random.choice(COLUMNS) for _ in range(few(random, 5)))]
    rows = [columns, *([_cell(random) for _ in columns] for _ in range(few(random, 6)))]
    text = random.choice(("\n", "\r\n", "\r")).join(mark.join(row) for row in rows)
    text = changed_text(random, text, (mark, '"', "\n", "\0")) if random.random() < 0.3 else text
    data = text_bytes(random, text)
    return {
        "table.csv": changed_bytes(random, data) if random.random() < 0.2 else data,
        "a.txt": b"a caption" if random.random() < 0.5 else data[:100],
    }


def _cell(random: Random) -> str:
    plain = (
        "a.png",
        "1",
        "0.5",
        "7",
        "a cat",
        "",
        "none",
        "true",
        '"a, b"',
        '"',
        "'",
        "1e999",
        "nan",
        "-1",
        "0x10",
        "١",
    )
    return any_text(random) if random.random() < 0.2 else random.choice(plain)


def read_tables(folder: Path) -> None:
    """Read a table, and the caption of a picture."""
    read_caption(folder / "a.png")
    read_table(folder / "table.csv", REQUEST)


def make_users(random: Random) -> Files:
    """Return a file of users."""
    line = f"anna:{SCHEME}${'00' * SALT_BYTES}${'ff' * 64}"
    lines = [
        random.choice((line, "# no", "", changed_text(random, line, (":", "$", "scrypt$"))))
        for _ in range(few(random, 4))
    ]
    data = text_bytes(random, "\n".join(lines))
    return {"users.txt": changed_bytes(random, data) if random.random() < 0.2 else data}


def read_users_file(folder: Path) -> None:
    """Read who may log in."""
    read_file(folder / "users.txt")


def make_settings(random: Random) -> Files:
    """Return variables of the environment and flags."""
    names = [field.name for field in fields(Settings)]
    others = ("SPACE_ID", "SPACE_HOST", "GRADIO_SERVER_NAME", "GRADIO_SERVER_PORT", "no_proxy", "NO_PROXY")
    variables = {
        random.choice((*(f"CNET_{name.upper()}" for name in names), *others)): _setting(random)
        for _ in range(few(random, 4))
    }
    flags = [
        random.choice((f"--{random.choice(names).replace('_', '-')}", _setting(random)))
        for _ in range(random.randrange(4))
    ]
    return {"settings.json": json.dumps({"variables": variables, "flags": flags}).encode()}


def _setting(random: Random) -> str:
    plain = (
        "1",
        "0",
        "true",
        "no",
        "8080",
        "127.0.0.1",
        "::1",
        "0.0.0.0",
        "cpu",
        "cuda:9",
        "auto",
        "near",
        "-1",
        "1e400",
        "nan",
        "inf",
        "²",
        "١٢",
    )
    found = random.choice((*plain, str(random.choice(EXTREMES)), any_text(random)))
    return found.replace("\0", "")  # no variable can hold one


def read_all_settings(folder: Path) -> None:
    """Read settings as the app does when it starts; a wrong one ends it with 2 and a sentence."""
    given = json.loads((folder / "settings.json").read_text())
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told), contextlib.redirect_stdout(told):
            settings = read_settings(given["flags"], given["variables"])
    except SystemExit as end:
        if end.code != 2 or "Traceback" in told.getvalue() or not told.getvalue().strip():
            raise
        seen = told.getvalue()[:1_000].encode("utf-8", "backslashreplace").decode()  # as a console shows it
        raise InputError(seen) from None
    assert settings.is_local or settings.host, settings
