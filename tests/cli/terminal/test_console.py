"""Names that the console's encoding lacks are printed as escapes; JSON stays JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.source import ROOT

pytestmark = pytest.mark.slow

NAME = "人物é🎨.png"
ENCODINGS = {
    "cp1252": {"PYTHONIOENCODING": "cp1252"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "utf-8": {"PYTHONIOENCODING": "utf-8"},
    "C": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}


@pytest.fixture(params=ENCODINGS)
def environ(request: pytest.FixtureRequest) -> dict[str, str]:
    rest = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "PYTHONIOENCODING")}
    return rest | ENCODINGS[request.param]


def run(environ: dict[str, str], *words: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=False)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    pixels = np.full((64, 64, 3), 30, np.uint8)
    pixels[16:48, 20:40] = 220
    path = tmp_path / NAME
    Image.fromarray(pixels).save(path)
    return path


def test_a_map_under_any_name_is_made_and_printed(environ: dict[str, str], photo: Path, tmp_path: Path) -> None:
    output = tmp_path / f"map-{NAME}"
    done = run(environ, "cnet_app", "annotate", "canny", photo, "--output", output)
    assert (done.returncode, done.stderr) == (0, b"")
    assert output.exists()
    done = run(environ, "cnet_app", "annotate", "canny", photo, "--output", output, "--json")
    assert (done.returncode, done.stderr) == (0, b"")
    assert os.fsencode(json.loads(done.stdout)["path"]) == os.fsencode(output)


@pytest.mark.parametrize("command", ["cnet_app generate", "cnet_app models show nothing™", "annotators cany é ™"])
def test_errors_and_help_too(environ: dict[str, str], command: str) -> None:
    words = command.split()
    done = run(environ, *words, *(["--help"] if len(words) == 2 else []))
    assert b"Traceback" not in done.stderr
    assert done.returncode == (0 if len(words) == 2 else 2)
