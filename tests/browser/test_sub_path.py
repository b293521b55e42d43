"""The page behind a reverse proxy that shows it below a path: everything it asks for is there."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import FAKE, running, visit
from tests.surroundings.reverse_proxy import PREFIX, shown_below

pytestmark = pytest.mark.browser


def test_a_picture_is_made_below_a_path(
    browser: Browser, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_ROOT_PATH", PREFIX)
    with running(FAKE, tmp_path / "outputs", tmp_path) as app, shown_below(PREFIX, app.rstrip("/")) as shown:
        wrong: list[str] = []
        for studio in visit(browser, shown, width=1280, height=900):  # nothing outside of it may be asked for
            studio.page.on("response", lambda answer: wrong.append(answer.url) if answer.status >= 400 else None)
            studio.choose_photo(photo)
            studio.open_tab("canny")
            made = studio.make()
            assert made.is_file()
            assert studio.page.evaluate(f"fetch('gradio_api/file={made}').then((answer) => answer.status)") == 200
            studio.page.goto(f"{shown}/")
            studio.wait_ready()
            studio.wait_state("state.pictures.length")
        assert not wrong
