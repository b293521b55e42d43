"""The desk and its dialogs: words, weights, size, settings that are seen as chips, downloads that are asked for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import visitor
from tests.browser.driver import SHORT

MISSING = {
    "ids": ["taesd"],
    "items": [
        {
            "title": "Tiny autoencoder",
            "size": "10 MB",
            "licence": "MIT",
            "terms": "https://opensource.org/license/mit",
            "use": "Any use.",
            "page": "https://huggingface.co/madebyollin/taesd/tree/main",
            "files": ["diffusion_pytorch_model.safetensors"],
            "folder": "models/vae/taesd",
        }
    ],
    "total": "10 MB",
    "place": "the cache",
}
ASK = """(missing) => {
    const { app } = document.querySelector(".studio");
    app.askDownload(missing, () => document.body.setAttribute("data-then", "yes"));
}"""
pytestmark = pytest.mark.browser
MASK = """async () => {
    const { app } = document.querySelector(".studio");
    const canvas = new OffscreenCanvas(64, 64);
    canvas.getContext("2d").fillRect(0, 0, 64, 64);
    const mask = { key: await app.blobs.put(await canvas.convertToBlob()), width: 64, height: 64 };
    app.drafts.edit(({ start }) => ({ start: { ...start, mask } }));
}"""
WEIGH = """async (cases) => {
    const { weighed } = await import(new URL("studio/desk/prompt.js", document.baseURI));
    return cases.map(([text, start, end, step]) => {
        const change = weighed(text, start, end, step);
        return change && text.slice(0, change.from) + change.text + text.slice(change.to);
    });
}"""
WEIGHTS = [
    # text, start and end of the selection, step, result
    ("a red ball", 3, 3, 0.1, "a (red:1.1) ball"),
    ("a red ball", 2, 6, 0.1, "a (red:1.1) ball"),
    ("a red ball", 2, 10, -0.1, "a (red ball:0.9)"),
    ("a (red:1.1) ball", 4, 4, 0.1, "a (red:1.2) ball"),
    ("a (red:1.1) ball", 4, 4, -0.1, "a red ball"),
    ("a (red:1.9) ball", 2, 11, 0.1, "a (red:2.0) ball"),
    ("a (red:1.5) ball", 3, 6, 0.05, "a (red:1.55) ball"),
    ("a ((red)) ball", 5, 5, 0.1, "a (red:1.3) ball"),
    ("a [red] ball", 4, 4, 0.1, "a red ball"),
    ("(a (red:1.2) ball:1.1)", 6, 6, 0.1, "(a (red:1.3) ball:1.1)"),
    ("(a (red:1.2) ball:1.1)", 14, 14, 0.1, "(a (red:1.2) ball:1.2)"),
    ("(a red ball:1.1)", 3, 6, 0.1, "(a (red:1.1) ball:1.1)"),
    ("one, two", 4, 4, 0.1, None),
    (r"a \(red\) ball", 5, 5, 0.1, r"a \((red:1.1)\) ball"),
    ("", 0, 0, 0.1, None),
]


@pytest.fixture
def page(browser: Browser, fake_site: str) -> Iterator[Page]:
    with visitor(browser, fake_site, width=1366, height=768) as context:
        page = context.new_page()
        page.set_default_timeout(SHORT)
        page.goto(fake_site)
        page.wait_for_selector(".studio:not([aria-busy])")
        yield page


def chips(page: Page) -> list[str]:
    return page.locator(".chip-text").all_text_contents()


def state(page: Page) -> Any:
    """The page's state, without what cannot be sent."""
    return page.evaluate(
        "(({ draft, lastSeed }) => ({ draft, lastSeed }))(document.querySelector('.studio').app.store.state)"
    )


def test_words_of_the_demo_model_are_chips_and_others_are_named(page: Page) -> None:
    prompt = page.locator("#prompt")
    prompt.fill("a cat in ocean colours")
    expect(page.locator(".demo-unknown")).to_have_text("Unknown to the demo model: cat")
    page.get_by_role("button", name="colours", exact=True).click()
    expect(page.get_by_role("button", name="in ocean colours", exact=True)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="in fire colours", exact=True).click()
    expect(prompt).to_have_value("a cat in fire colours")
    page.keyboard.press("Escape")
    for group, word in (("style", "an ink drawing"), ("things", "a blue box"), ("sky", "under a night sky")):
        page.get_by_role("button", name=group, exact=True).click()
        page.get_by_role("button", name=word, exact=True).click()
        page.keyboard.press("Escape")
    expect(prompt).to_have_value("an ink drawing in fire colours of a cat and a blue box under a night sky")
    page.get_by_role("button", name="things", exact=True).click()
    page.get_by_role("button", name="a blue box", exact=True).click()
    page.keyboard.press("Escape")
    expect(prompt).to_have_value("an ink drawing in fire colours of a cat under a night sky")
    page.locator(".more > summary").click()
    page.locator("#setting-base").select_option("sd15")
    expect(page.locator(".demo")).to_be_hidden()


def test_keys_change_the_weight_of_words(page: Page) -> None:
    cases = [list(case[:4]) for case in WEIGHTS]
    assert page.evaluate(WEIGH, cases) == [case[4] for case in WEIGHTS]
    prompt = page.locator("#prompt")
    prompt.click()
    page.keyboard.type("a red ball")
    page.keyboard.press("Control+ArrowUp")
    page.keyboard.press("Control+ArrowUp")
    expect(prompt).to_have_value("a red (ball:1.2)")
    assert state(page)["draft"]["prompt"] == "a red (ball:1.2)"
    page.keyboard.press("Control+ArrowDown")
    page.keyboard.press("Control+ArrowDown")
    expect(prompt).to_have_value("a red ball")


def test_size_count_and_seed_are_chosen_in_one_place_without_a_scroll(page: Page) -> None:
    desk = page.locator(".desk-scroll")
    assert desk.evaluate("(element) => element.scrollHeight - element.clientHeight") == 0
    size = page.locator("#size")
    size.click()
    page.get_by_role("button", name="16:9").click()
    expect(size).to_have_text("344×192")
    page.get_by_label("Width in px").fill("500")
    page.keyboard.press("Tab")
    expect(page.locator(".size-body [role=alert]")).to_have_text(
        "Width is 500, but it must be a multiple of 8 from 64 to 2048, such as 504."
    )
    page.get_by_label("Width in px").fill("768")
    page.keyboard.press("Tab")
    expect(page.locator(".sheet > .warning")).to_contain_text("Larger than the model is made for (256 px)")
    page.get_by_role("button", name="Pad").click()
    page.keyboard.press("Escape")
    expect(page.locator(".size-panel")).to_be_hidden()
    page.get_by_role("button", name="4 pictures").click()
    page.locator("#seed").fill("7")
    page.keyboard.press("Tab")
    draft = state(page)["draft"]
    assert draft["size"] == {"mode": "custom", "width": 768, "height": 192, "fit": "pad"}
    assert (draft["count"], draft["seed"]) == (4, {"locked": True, "value": 7})
    page.get_by_role("button", name="Random seed for every run").click()
    page.locator("#generate").click()
    expect(page.locator(".estimate")).to_contain_text("≈")
    page.get_by_role("button", name="Use the last seed again").click()
    expect(page.locator("#seed")).to_have_value(str(state(page)["lastSeed"]))


def test_every_setting_in_use_is_a_chip_and_a_preset_gives_back_what_was_before(page: Page) -> None:
    page.locator(".more > summary").click()
    page.locator("#setting-base").select_option("sd15")
    expect(page.locator("#setting-preset")).to_be_enabled()
    page.locator("#setting-scheduler").select_option("ddim")
    page.locator("#setting-preset").select_option("lcm_sd15")
    assert chips(page) == ["Stable Diffusion 1.5", "LCM: few steps"]
    settings = state(page)["draft"]["settings"]
    assert [settings[name] for name in ("scheduler", "num_inference_steps", "guidance_scale")] == ["lcm", 4, 1]
    expect(page.locator("#negative")).to_be_disabled()
    page.get_by_role("button", name="Remove: LCM: few steps").click()
    assert chips(page) == ["Stable Diffusion 1.5", "DDIM"]
    assert state(page)["draft"]["settings"] == {"base": "sd15", "scheduler": "ddim"}
    page.locator("#setting-lora").select_option("hyper_sd15_4steps")
    page.get_by_label("Guess mode").check()
    page.get_by_role("button", name="Start from picture").click()
    lora = "Hyper-SD, 4 steps, for SD 1.5 1"
    assert chips(page) == ["from a picture", "Stable Diffusion 1.5", lora, "DDIM", "Guess mode"]
    page.locator("#setting-base").select_option("")
    expect(page.locator(".notes")).to_contain_text("Taken out, because they do not fit Embedded model: Hyper-SD")
    expect(page.locator(".chip")).to_have_count(3)
    page.evaluate(MASK)
    expect(page.locator(".chip-text").first).to_have_text("from a picture · masked")
    page.get_by_role("button", name="Only masked, full size").click()
    page.get_by_label("Padding", exact=True).fill("64")
    start = state(page)["draft"]["start"]
    assert (start["area"], start["padding"], start["mask"]["width"]) == ("mask", 64, 64)
    page.get_by_role("button", name="Remove the mask").click()
    assert state(page)["draft"]["start"]["area"] == "picture"
    page.get_by_role("button", name="Remove: from a picture").click()
    expect(page.get_by_role("button", name="Start from picture")).to_be_visible()


def test_a_download_is_asked_for_followed_and_what_waited_for_it_goes_on(page: Page) -> None:
    page.locator("#generate").focus()
    page.evaluate(ASK, MISSING | {"offline": True})
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("models/vae/taesd")
    expect(dialog).to_contain_text("diffusion_pytorch_model.safetensors")
    expect(dialog.get_by_role("button", name="Download", exact=True)).to_have_count(0)
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(page.locator("#generate")).to_be_focused()
    page.evaluate(ASK, MISSING | {"offline": False})
    expect(dialog.get_by_role("link", name="MIT")).to_have_attribute("href", "https://opensource.org/license/mit")
    expect(dialog).to_contain_text("Together 10 MB, into the cache.")
    dialog.get_by_role("button", name="Download", exact=True).click()
    expect(page.locator("body")).to_have_attribute("data-then", "yes")
    expect(dialog).to_have_count(0)
    page.locator(".more > summary").click()
    page.get_by_role("button", name="All models …").click()
    page.get_by_label("Filter the models").fill("canny sdxl")
    shown = page.locator(".models tbody tr:visible")
    assert 0 < shown.count() < 20 and all("SDXL" in text for text in shown.all_text_contents())
    expect(page.locator(".own-files")).to_contain_text("models/loras")
