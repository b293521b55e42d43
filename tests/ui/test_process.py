"""The page's process serves pages and makes maps, and never loads what runs networks."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.source import ROOT

SERVE_AND_ANNOTATE = """
import sys, urllib.request
from pathlib import Path
from skimage import data
from cnet_app.jobs.create import create_runner
from cnet_app.jobs.sweeps.sweeps import Sweeps
from cnet_app.jobs.sweeps.works import open_work
from cnet_app.settings import Settings
from cnet_app.ui.app import build_app

settings = Settings(output_dir=Path(sys.argv[1]), cache_dir=sys.argv[1])
runner, maps = create_runner(settings)
app = build_app(settings, runner, maps, Sweeps(settings.output_dir, runner, open_work(maps)))
url = app.launch(server_name="127.0.0.1", quiet=True)
assert urllib.request.urlopen(url).status == 200
assert maps.annotate("canny", "canny", data.astronaut()).pixels.any()
depth = maps.annotate("depth", "depth_embedded", data.astronaut())
assert depth.pixels.any()
loaded = {"torch", "diffusers", "transformers", "controlnet_aux", "onnxruntime"} & set(sys.modules)
app.blocks.close(verbose=False)
runner.close()
assert not loaded, loaded
"""


@pytest.mark.slow
def test_no_torch_in_the_pages_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVE_AND_ANNOTATE, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
