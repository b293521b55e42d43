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
    expect(form).to_be_hidden()
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


def test_a_base_that_reads_maps_itself_shows_what_it_can_do(studio: StudioPage, photo: Path) -> None:
    page = studio.page
    studio.choose_photo(photo)
    studio.open_tab("canny")
    parts = page.locator(".layer-part")
    refused = [
        page.locator(".layer-place"),
        *(parts.filter(has_text=title) for title in ("Strength over depth", "Prompt for")),
    ]
    for part in refused:
        expect(part).to_be_visible()

    page.locator(".more > summary").click()
    page.get_by_label("Base model").select_option("flux2")
    studio.wait_state("state.choices.base.id === 'flux2'")
    for part in refused:
        expect(part).to_be_hidden()
    expect(parts.filter(has_text="Strength over the steps")).to_be_visible()
    expect(studio.at("tab-normal")).not_to_have_class(re.compile("is-misfit"))
    expect(studio.at("tab-inpaint")).to_have_class(re.compile("is-misfit"))
    modes = page.get_by_label("Control mode", exact=True).locator("option:not([disabled])")
    expect(modes).to_have_count(1)
    listed = page.get_by_label("ControlNet", exact=True).locator("option")
    expect(listed.first).to_have_text("The map as it is")
