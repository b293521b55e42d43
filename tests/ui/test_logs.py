"""What a visitor of a public app wrote or showed is in no line of the log, whatever happens to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from skimage import data

from models.errors import EngineError
from tests.jobs.fake_engine import request
from tests.ui.conftest import FRAME, Caller, create_caller

WORDS = "a secret wish of mine"
SESSION = "c" * 32


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Caller]:
    for caller in create_caller(tmp_path, host="0.0.0.0"):
        yield Caller(caller.context, caller.engine, caller.folder, SESSION)


def test_no_prompt_picture_or_identity_is_logged(public: Caller, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    runner = public.context.runner
    public.engine.faults |= {
        f"{WORDS} fails": RuntimeError("a fault of the program"),
        f"{WORDS} stops": EngineError("The engine stopped."),
    }
    photo = public.put(data.astronaut()[::8, ::8])
    settings = {"negative_prompt": WORDS}
    layer = {"condition": "canny", "source": "own", "picture": photo, "prompt": WORDS}
    for prompt in (WORDS, f"{WORDS} fails", f"{WORDS} stops", f"{WORDS} __nothing__", f"{WORDS} {{"):
        public("generate", draft={"prompt": prompt, "frame": FRAME, "settings": settings, "layers": [layer]})
    public("generate", draft={"prompt": WORDS, "frame": FRAME, "settings": {"vae": WORDS}})
    public("generate", draft={"prompt": {WORDS: WORDS}})
    public("wildcards", prompt=f"{{{WORDS}")
    public("library", query={"text": WORDS, "sort": WORDS})
    public("read_recipe", text=f'{{"prompt": "{WORDS}"')
    ends = time.monotonic() + 20
    while runner.active() and time.monotonic() < ends:
        time.sleep(0.05)
    text = caplog.text
    assert WORDS not in text and SESSION not in text and photo["sha256"] not in text
    assert "iVBOR" not in text and "PNG" not in text
    assert "a fault of the program" in text  # the log is not empty


def test_jobs_show_no_prompt_where_they_are_printed(public: Caller) -> None:
    state = public.context.runner.state(public.context.runner.submit(request(WORDS), SESSION))
    assert WORDS not in repr(state)
