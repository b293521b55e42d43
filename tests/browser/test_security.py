"""What others write never becomes a part of the page, and visitors of a public app are strangers, in Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from playwright.sync_api import Browser, Page, expect
from skimage import data

from tests.browser.conftest import FAKE, open_page, running, visitor
from tests.browser.driver import READY, StudioPage

pytestmark = pytest.mark.browser

EVIL = "<img src=x onerror=attacked=1><script>attacked=1</script>"
NAME = "<img src=x onerror=attacked=1>"
"""Evil, and a file's name."""


@contextmanager
def watched(browser: Browser, url: str) -> Iterator[StudioPage]:
    """The page of a new visitor; at the end nothing evil may have come to life, and no rule of the page be broken."""
    with visitor(browser, url, width=1280, height=900) as context:
        page = context.new_page()
        broken: list[str] = []
        dialogs: list[str] = []
        page.on("console", lambda message: broken.append(message.text) if "Content Security" in message.text else None)
        page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        yield open_page(page, url)
        assert page.evaluate("typeof attacked") == "undefined"
        assert page.locator("img[src=x], [onerror]").count() == 0
        assert not dialogs and not broken, (dialogs, broken)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A picture with an evil name, which brings evil settings of another program."""
    text = PngInfo()
    text.add_text(
        "parameters", f"{EVIL}\nNegative prompt: {EVIL}\nSteps: 5, Sampler: {EVIL}, Seed: 1, Size: 64x64, Model: {EVIL}"
    )
    text.add_text("Title", EVIL)
    path = tmp_path / f"{NAME}.png"
    Image.fromarray(np.ascontiguousarray(data.astronaut()[::8, ::8])).save(path, pnginfo=text)
    return path


def test_nothing_that_is_written_becomes_html(
    browser: Browser, picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loras = tmp_path / "models" / "loras"
    loras.mkdir(parents=True)
    (loras / f"{NAME}.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    monkeypatch.setenv("CNET_MODELS_DIR", str(tmp_path / "models"))
    with running(FAKE, tmp_path / "outputs", tmp_path) as url, watched(browser, url) as studio:
        page = studio.page
        studio.drop(picture)  # its settings are asked about
        page.get_by_role("button", name="Use all settings").click()
        studio.wait_state(f"state.draft.prompt.includes({json.dumps(EVIL[:20])})")
        page.get_by_role("dialog").wait_for(state="detached")
        studio.choose_photo(picture)
        if page.get_by_role("button", name="Use as photo").count():
            page.get_by_role("button", name="Use as photo").click()
        studio.open_tab("canny")
        edit = "(changes) => document.querySelector('.studio').app.drafts.edit(changes)"
        page.evaluate(edit, {"settings": {"guidance_scale": EVIL, "scheduler": EVIL}})
        studio.generate()  # refused in a sentence that names the value
        studio.wait_state("state.error.includes('<img')")
        page.evaluate(edit, {"prompt": EVIL, "settings": {"negative_prompt": EVIL, "num_inference_steps": 2}})
        studio.make()
        made = studio.state("pictures[0]")
        call = "([name, values]) => document.querySelector('.studio').app.server.call(name, values)"
        page.evaluate(call, ["board", {"ids": [made["id"]], "board": NAME}])
        look_around(page)


def look_around(page: Page) -> None:
    """Open what shows prompts, names, boards and models."""
    page.locator("#open-library").click()
    page.locator(".tile").first.click()
    expect(page.locator(".library-detail")).to_contain_text(EVIL[:20])
    page.keyboard.press("Escape")
    expect(page.locator("dialog.library")).to_be_hidden()
    page.locator("#base").click()
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Escape")
    page.evaluate("document.querySelectorAll('details').forEach((details) => (details.open = true))")
    expect(page.locator(".studio")).to_contain_text(NAME)


def test_visitors_of_a_public_app_are_strangers(
    browser: Browser, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CNET_PUBLIC", "1")
    with running(FAKE, tmp_path / "outputs", tmp_path) as url:
        with watched(browser, url) as one:
            expect(one.at("mode")).to_have_text("Public")
            one.choose_photo(photo)
            one.make()
            made = one.state("pictures[0]")
            assert one.page.request.get(made["url"]).ok and str(tmp_path) not in made["url"]
            one.page.reload()
            one.wait_ready()
            one.wait_state("state.pictures.length === 1")
        (file,) = (tmp_path / "outputs").glob("*.png")
        with watched(browser, url) as other:
            other.wait_state("state.jobs.length === 0")
            assert other.state("pictures") == []
            fetch = "async (path) => (await fetch('gradio_api/file=' + path)).status"
            for path in (file, tmp_path / "outputs" / "history.sqlite3", f"pictures/{file.name}"):
                assert other.page.evaluate(fetch, str(path)) == 404
            look_for_downloads(other.page)


def look_for_downloads(page: Page) -> None:
    """No download is offered, neither in the table of models nor where one is needed; both name the reason."""
    reason = page.evaluate("document.querySelector('.studio').app.store.state.tables.no_downloads")
    assert reason
    ask = """async () => {
      const { app } = document.querySelector('.studio');
      app.askDownload((await app.server.call('question', { ids: ['sd15'] })).missing);
    }"""
    for show in (lambda: page.locator("#base").click(), lambda: page.evaluate(ask)):
        show()
        dialog = page.locator("dialog[open]")
        expect(dialog).to_contain_text("Stable Diffusion 1.5")
        expect(dialog).to_contain_text(reason)
        expect(dialog.get_by_role("button", name="Download")).to_have_count(0)
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
    expect(page.locator("#offer")).to_be_hidden()


def test_a_refusal_of_the_guard_is_shown(browser: Browser, fake_url: str) -> None:
    with watched(browser, fake_url) as studio:
        sentence = "Too many calls come from this page; wait a few seconds, then try again."
        studio.page.route(
            "**/studio/call",
            lambda route: (
                route.fulfill(status=429, json={"error": sentence})
                if '"generate"' in (route.request.post_data or "")
                else route.continue_()
            ),
        )
        studio.generate()
        studio.wait_state(f"state.error === {json.dumps(sentence)}")


def test_a_password_opens_the_page(browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNET_PASSWORD", "hidden words")
    with (
        running(FAKE, tmp_path / "outputs", tmp_path) as url,
        visitor(browser, url, width=1280, height=900) as context,
    ):
        page = context.new_page()
        page.goto(url)
        for password, is_in in (("wrong", False), ("hidden words", True)):
            page.get_by_label("username", exact=False).fill("anybody")
            page.locator("input[type=password]").fill(password)
            page.get_by_role("button", name="Login").click()
            page.wait_for_timeout(1500)
            assert is_in or page.locator("input[type=password]").is_visible()
        page.wait_for_selector(READY)
        (*_, cookie) = [one for one in context.cookies() if one.get("name", "").startswith("access-token")]
        assert cookie.get("httpOnly") and cookie.get("sameSite") == "Strict"
