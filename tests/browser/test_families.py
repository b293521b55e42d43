"""The page with a base of another family: what it takes, its strengths, and what it has no ControlNet for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import visit
from tests.browser.driver import StudioPage

pytestmark = pytest.mark.browser


@pytest.fixture
def studio(browser: Browser, fake_site: str) -> Iterator[StudioPage]:
    yield from visit(browser, fake_site, 1366, 768)


def test_a_base_brings_the_strengths_forms_and_gaps_of_its_family(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    form = page.get_by_label("Control form", exact=True)
    expect(form).to_be_disabled()
    assert studio.state("draft.layers[0].conditioning_scale") == 1

    page.locator(".more > summary").click()
    page.get_by_label("Base model").select_option("z_image")
    studio.wait_state("state.choices.base.id === 'z_image'")
    studio.wait_state("state.draft.layers[0].conditioning_scale === 0.75")
    expect(form).to_have_value("authors")
    normals = studio.at("tab-normal")
    expect(normals).to_have_class(re.compile("is-misfit"))
    expect(normals).to_have_attribute("title", "There is no Normals ControlNet for Z-Image Turbo.")
    expect(studio.at("tab-canny")).not_to_have_class(re.compile("is-misfit"))
    assert studio.state("choices.base.defaults") == {"size": 1024, "guidance_scale": 1, "num_inference_steps": 8}

    page.locator(".size-button").click()
    page.get_by_label("Custom").check()
    width = page.get_by_label("Width in px")
    width.fill("1000")
    width.press("Enter")
    fault = page.get_by_text("Width is 1000, but it must be a multiple of 16 from 64 to 2048, such as 1008.")
    expect(fault).to_be_visible()
    page.evaluate(
        "{ const { store } = document.querySelector('.studio').app; store.patch({ frame: { ...store.state.frame } }); }"
    )
    expect(width).to_have_value("1000")
    expect(fault).to_be_visible()
    width.fill("1008")
    width.press("Enter")
    studio.wait_state("state.frame.width === 1008")
    page.keyboard.press("Escape")

    form.select_option("diffusers")
    assert studio.state("draft.layers[0].control_form") == "diffusers"
    page.get_by_label("ControlNet", exact=True).select_option("controlnet_union_base_z_image")
    studio.wait_state("state.draft.layers[0].conditioning_scale === 0.9")


def test_a_strength_that_was_set_stays(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    page.evaluate(
        "(() => { const { app } = document.querySelector('.studio');"
        " app.drafts.editLayer(app.drafts.now.layers[0].id, { conditioning_scale: 0.4 }); })()"
    )
    page.locator(".more > summary").click()
    page.get_by_label("Base model").select_option("z_image")
    studio.wait_state("state.choices.base.id === 'z_image'")
    assert studio.state("draft.layers[0].conditioning_scale") == 0.4


def choose_base(studio: StudioPage, id: str) -> None:
    more = studio.page.locator(".more")
    if not more.evaluate("(element) => element.open"):
        more.locator("> summary").click()
    studio.page.get_by_label("Base model").select_option(id)
    studio.wait_state(f"state.choices.base.id === '{id}'")


def expect_refused(studio: StudioPage, name: str, words: str) -> None:
    """The reason opens by keys, is the tooltip, and is what a screen reader reads of the control."""
    button = studio.page.get_by_role("button", name=f"Why is it off: {name}", exact=True)
    expect(button).to_be_visible()
    expect(button).to_have_attribute("title", re.compile(words))
    button.focus()
    studio.page.keyboard.press("Enter")
    reason = studio.page.locator(f"#{button.get_attribute('aria-controls')}")
    expect(reason).to_be_visible()
    expect(reason).to_contain_text(re.compile(words))
    expect(studio.page.locator(f"[aria-describedby={reason.get_attribute('id')}]").first).to_be_visible()
    studio.page.keyboard.press("Enter")
    expect(reason).to_be_hidden()


def test_a_base_that_reads_maps_itself_says_what_it_cannot_do(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    parts = page.locator(".layer-part")
    mask = page.get_by_role("button", name="Mask", exact=True).and_(page.locator(".layer-place button"))
    expect(mask).to_be_enabled()
    choose_base(studio, "flux2")
    expect(mask).to_be_disabled()
    expect_refused(
        studio, "Where it steers", "needs control of parts of the picture, which FLUX.2 does not have; choose"
    )
    expect_refused(studio, "Control form", "needs ControlNets with two forms, which FLUX.2 does not have; .*Z-Image")
    expect_refused(studio, "Control mode", "needs weights by block or by side of guidance, which FLUX.2")
    expect_refused(studio, "Guess mode", "“Guess mode” needs")
    expect_refused(studio, "Negative prompt", "“Negative prompt” has no effect: this base reads the prompt alone")
    expect(page.get_by_label("Control form", exact=True)).to_be_disabled()
    expect(page.get_by_label("Guess mode", exact=True)).to_be_disabled()
    for title, words in (
        ("Strength over depth", "needs weights by block"),
        ("Prompt for", "needs ControlNets that read"),
    ):
        part = parts.filter(has_text=title)
        part.locator("summary").click()
        expect(part.locator(".why")).to_be_visible()
        expect(part.locator(".why")).to_contain_text(words)
        expect(part.locator("fieldset")).to_have_attribute("disabled", "")
        assert part.locator("fieldset").evaluate("(element) => element.inert")
    on_stage = studio.at("tool-weights")
    expect(on_stage).to_have_attribute("aria-description", re.compile("The weight_map|“Weights”"))
    on_stage.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".notes")).to_contain_text("needs control of parts of the picture")
    assert studio.state("tool") is None
    expect(parts.filter(has_text="Strength over the steps")).not_to_have_class(re.compile("is-off"))
    expect(studio.at("tab-normal")).not_to_have_class(re.compile("is-misfit"))
    expect(studio.at("tab-inpaint")).to_have_class(re.compile("is-misfit"))
    modes = page.get_by_label("Control mode", exact=True).locator("option:not([disabled])")
    expect(modes).to_have_count(1)
    listed = page.get_by_label("ControlNet", exact=True).locator("option")
    expect(listed.first).to_have_text("The map as it is")

    choose_base(studio, "sd15")
    expect(mask).to_be_enabled()
    expect(page.get_by_role("button", name="Why is it off: Guess mode")).to_be_hidden()


def test_what_was_set_stays_with_a_base_that_refuses_it(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    studio.set_layer(prompt="a blue box")
    page.evaluate(
        "(() => { const { app } = document.querySelector('.studio');"
        " app.drafts.edit({ settings: { guess_mode: true, scheduler: 'ddim' } }); })()"
    )
    choose_base(studio, "z_image")
    assert studio.state("draft.settings.scheduler") == "ddim" and studio.state("draft.layers[0].prompt") == "a blue box"
    expect(page.get_by_text("DDIM has no form for flow matching, which this base").first).to_be_visible()
    studio.generate()
    expect(page.locator(".error")).to_contain_text("The prompt of a control unit needs ControlNets that read text")
    sampler = page.get_by_label("Sampler", exact=True)
    expect(sampler.locator("option[value=ddim]")).to_have_text("DDIM · not with Z-Image Turbo")
    sampler.select_option("euler")
    expect(page.get_by_text("DDIM has no form for flow matching, which this base").first).to_be_hidden()
    text = page.get_by_label("Prompt for this layer")
    page.locator(".layer-part").filter(has_text="Prompt for").locator("summary").click()
    expect(text).to_be_enabled()
    text.fill("")
    page.get_by_label("Sampler", exact=True).focus()
    expect(text).to_be_disabled()

    choose_base(studio, "flux")
    guess = page.get_by_label("Guess mode", exact=True)
    expect(guess).to_be_checked()
    guess.uncheck()
    studio.at("prompt").focus()
    expect(guess).to_be_disabled()
    expect(studio.at("negative")).to_be_disabled()
    assert studio.state("draft.settings.guidance_scale") is None


def test_block_weights_are_as_many_as_the_blocks_of_the_chosen_controlnet(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    choose_base(studio, "z_image")
    page.get_by_label("ControlNet", exact=True).select_option("controlnet_union_1_z_image")
    page.get_by_label("Control mode", exact=True).select_option("custom")
    bars = page.get_by_role("group", name="Block weights", exact=True).get_by_role("slider")
    expect(bars).to_have_count(6)
    studio.set_layer(block_weights=[0, 0.2, 0.4, 0.6, 0.8, 1])
    page.get_by_label("ControlNet", exact=True).select_option("controlnet_union_lite_z_image")
    expect(bars).to_have_count(5)
    assert studio.state("draft.layers[0].block_weights") == [0, 0.25, 0.5, 0.75, 1]
    choose_base(studio, "sd15")
    expect(bars).to_have_count(13)
