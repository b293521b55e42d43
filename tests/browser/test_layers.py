"""Control layers in the desk: cards, range, curves and weights, by pointer, keyboard and touch."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from cnet_app.request.recipe import read_request
from tests.browser.conftest import FAKE, running, visitor
from tests.browser.driver import LONG, SHORT

pytestmark = pytest.mark.browser

APP = "document.querySelector('.studio').app"


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def served(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(FAKE, pictures, tmp_path_factory.mktemp("server")) as url:
        yield url


@pytest.fixture
def studio(browser: Browser, served: str, photo: Path) -> Iterator[Page]:
    with visitor(browser, served, 1366, 768) as context:
        yield opened(context.new_page(), served, photo)


def opened(page: Page, url: str, photo: Path) -> Page:
    """The studio with a photo."""
    page.set_default_timeout(SHORT)
    page.goto(url)
    page.wait_for_selector(".studio:not([aria-busy])")
    with page.expect_file_chooser() as chooser:
        page.locator("#choose-photo").click()
    chooser.value.set_files(str(photo))
    page.wait_for_function(f"{APP}.store.state.draft.photo && {APP}.store.state.frame")
    return page


def layers(page: Page) -> list[dict[str, Any]]:
    return page.evaluate(f"{APP}.store.state.draft.layers")


def add(page: Page, title: str) -> None:
    page.get_by_role("button", name="Add control").click()
    page.get_by_role("menuitem", name=title).first.click()
    expect(card(page, title)).to_have_class("layer is-open")


def card(page: Page, title: str) -> Locator:
    return page.locator(".layer", has=page.get_by_text(title, exact=True))


def conditions(page: Page) -> list[str]:
    return [layer["condition"] for layer in layers(page)]


def drag(page: Page, points: list[tuple[float, float]]) -> None:
    """From point to point of the page, with the button held."""
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=4)
    page.mouse.up()


def inside(element: Locator, places: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Fractions of an element's width and height as points of the page."""
    element.scroll_into_view_if_needed()
    box = element.bounding_box()
    assert box
    return [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in places]


def test_cards_are_added_reordered_duplicated_and_removed(studio: Page) -> None:
    studio.get_by_role("button", name="Add control").click()
    shuffle = studio.get_by_role("menuitem", name="Shuffle")
    expect(shuffle).to_have_attribute("aria-disabled", "true")
    expect(shuffle).to_contain_text("There is no Shuffle ControlNet for")
    studio.keyboard.press("Escape")
    add(studio, "Canny")
    add(studio, "Depth")
    expect(studio.locator(".layer-open[aria-expanded=true]")).to_have_count(1)
    studio.wait_for_function(f"Object.values({APP}.store.state.maps).filter((map) => map?.image).length === 2")
    button = card(studio, "Depth").locator(".layer-open")
    button.focus()
    studio.keyboard.press("Alt+ArrowUp")
    assert conditions(studio) == ["depth", "canny"]
    expect(button).to_be_focused()
    expect(studio.locator(".layers [aria-live]")).to_have_text("Depth is layer 1 of 2.")
    grips = studio.locator(".layer-grip")
    button.click()  # close it: both cards are small
    start, end = (inside(grips.nth(index), [(0.5, 0.5)])[0] for index in (0, 1))
    drag(studio, [start, (start[0], end[1] + 8)])
    assert conditions(studio) == ["canny", "depth"]
    studio.locator(".layer-title", has_text="Canny").click()
    assert studio.evaluate(f"{APP}.store.state.draft.condition") == "canny"
    card(studio, "Canny").get_by_role("button", name="Canny: menu").click()
    studio.get_by_role("menuitem", name="Duplicate").click()
    assert conditions(studio) == ["canny", "canny", "depth"]
    card(studio, "Canny 2").get_by_role("button", name="Canny 2: menu").click()
    studio.keyboard.press("End")
    studio.keyboard.press("Enter")  # Delete
    assert conditions(studio) == ["canny", "depth"]
    card(studio, "Depth").get_by_role("button", name="Depth: switch off").click()
    assert [layer["enabled"] for layer in layers(studio)] == [True, False]


def test_range_and_curve_reach_the_request(studio: Page, pictures: Path) -> None:
    add(studio, "Canny")
    begin, end = (studio.get_by_role("slider", name=name) for name in ("Control begins", "Control ends"))
    begin.focus()
    for _ in range(4):
        studio.keyboard.press("ArrowRight")
    expect(begin).to_have_attribute("aria-valuenow", "20")
    expect(studio.locator(".range-text")).to_have_text("20–100 % · steps 5–20 of 20")
    track = studio.locator(".range-track")
    drag(studio, inside(track, [(0.99, 0.5), (0.5, 0.5), (0.05, 0.5)]))
    expect(end).to_have_attribute("aria-valuenow", "20")  # it stops at the other
    drag(studio, inside(track, [(0.22, 0.5), (0.8, 0.5)]))
    unit = layers(studio)[0]
    assert (unit["control_guidance_start"], unit["control_guidance_end"]) == (0.2, 0.8)

    studio.locator("summary", has_text="Strength over the steps").click()
    plane = studio.locator(".curve-plane").first
    wave = [(0.05 + 0.9 * index / 18, 0.5 - 0.35 * (index % 4 - 1.5) / 1.5) for index in range(19)]
    drag(studio, inside(plane, wave))
    drawn = layers(studio)[0]["strength_curve"]
    assert 3 <= len(drawn) <= 12
    assert all(one[0] < other[0] for one, other in pairwise(drawn))
    typed = studio.get_by_role("textbox", name="Strength over the steps, as points").first
    typed.fill("0:1 0.5:0.2 0.4:1")
    typed.press("Tab")
    expect(studio.locator(".curve .fault").first).to_have_text(
        "0.4:1 comes after 0.5:0.2, but the first numbers must rise."
    )
    assert layers(studio)[0]["strength_curve"] == drawn
    typed.fill("0:1 0.5:0.5 1:0")
    typed.press("Enter")
    middle = studio.get_by_role("slider", name="Point 2 of 3")
    middle.focus()
    studio.keyboard.press("ArrowUp")
    studio.keyboard.press("Shift+ArrowLeft")
    assert layers(studio)[0]["strength_curve"] == [[0, 1], [0.4, 0.55], [1, 0]]
    box = middle.locator("circle").last.bounding_box()
    assert box
    drag(studio, [(box["x"] + 4, box["y"] + 4), inside(plane, [(0.6, 0.2)])[0]])
    moved = layers(studio)[0]["strength_curve"]
    assert moved[1] == [pytest.approx(0.6, abs=0.03), pytest.approx(1.65, abs=0.08)]

    studio.locator("#generate").click()
    studio.wait_for_function(f"{APP}.store.state.pictures.length === 1", timeout=LONG)
    (file,) = pictures.glob("*.png")
    request = read_request(file).units[0]
    assert [list(point) for point in request.strength_curve] == moved
    assert (request.control_guidance_start, request.control_guidance_end) == (0.2, 0.8)


def test_settings_push_each_other_and_say_what_is_allowed(studio: Page) -> None:
    add(studio, "Canny")
    low = studio.get_by_role("slider", name="Low threshold", exact=True)
    low.fill("240")
    assert layers(studio)[0]["parameters"] == {"low_threshold": 240, "high_threshold": 240}
    number = studio.get_by_role("spinbutton", name="Low threshold, number")
    number.fill("300")
    expect(studio.locator(".field .fault:visible")).to_have_text("Low threshold must be from 1 to 255.")
    assert layers(studio)[0]["parameters"]["low_threshold"] == 240
    number.fill("20")
    expect(studio.locator(".field .fault:visible")).to_have_count(0)
    studio.get_by_label("Control mode", exact=True).select_option("custom")
    bars = studio.get_by_role("group", name="Block weights").get_by_role("slider")
    expect(bars).to_have_count(9)
    bars.first.focus()
    studio.keyboard.press("ArrowUp")
    drag(studio, inside(studio.locator(".blocks-bars"), [(0.6, 0.75), (0.99, 0.75)]))
    weights = layers(studio)[0]["block_weights"]
    assert weights[:4] == [1.05, 1, 1, 1]
    assert weights[5:] == [pytest.approx(0.5, abs=0.05)] * 4
    studio.get_by_label("Control mode", exact=True).select_option("balanced")
    assert layers(studio)[0]["block_weights"] == []


def test_coverage_is_shown_and_shares_after_a_run(studio: Page) -> None:
    add(studio, "Canny")
    add(studio, "Depth")
    button = studio.get_by_role("button", name="Coverage")
    button.click()
    expect(button).to_have_attribute("aria-pressed", "true")
    expect(studio.locator(".layers [role=status]", has_text="to 2. 1 is one layer")).to_be_visible()
    assert studio.evaluate(f"{APP}.store.state.view") == "coverage"
    assert studio.evaluate(f"{APP}.store.state.coverage.width") == studio.evaluate(f"{APP}.store.state.frame.width")
    card(studio, "Canny").get_by_role("button", name="Canny: switch off").click()
    expect(studio.locator(".layers [role=status]", has_text="to 1. 1 is one layer")).to_be_visible()
    card(studio, "Canny").get_by_role("button", name="Canny: switch on").click()
    button.click()
    assert studio.evaluate(f"{APP}.store.state.view") == "map"
    job = {"id": "a job", "norms": [[9.0, 0.0], [1.0, 0.0]]}
    for changes in ({"isSending": True}, {"isSending": False, "sent": [job["id"]]}, {"ended": job}):
        studio.evaluate(f"async (changes) => {{ {APP}.store.patch(changes); await 0; }}", changes)
    expect(card(studio, "Canny").locator(".layer-share")).to_have_text("90 %")
    expect(card(studio, "Depth").locator(".layer-share")).to_have_text("10 %")
    expect(studio.locator(".layers .warning[role=status]")).to_contain_text(
        "Canny adds 9.0 times as much as Depth and drowns it"
    )


def test_curves_are_read_and_simplified(studio: Page) -> None:
    found = studio.evaluate(
        """async () => {
          const { simplify, drawOver, parsePoints, stepsWithin, valueAt } = await import("./studio/layers/curve_points.js");
          const line = Array.from({ length: 101 }, (_, index) => [index / 100, index / 100]);
          const wave = line.map(([place]) => [place, 1 + Math.sin(place * 40)]);
          const peak = line.map(([place]) => [place, 1 - Math.abs(place - 0.3)]);
          return {
            line: simplify(line), wave: simplify(wave).length, peak: simplify(peak),
            part: drawOver([[0, 1], [0.5, 1], [1, 1]], [[0.4, 0], [0.6, 0]]),
            back: drawOver([], [[0.8, 1], [0.2, 1], [0.8, 0.5]]).map(([place]) => place),
            read: parsePoints(" 0:1, 0.5:0.2 "), steps: [stepsWithin(0.3, 0.7, 10), stepsWithin(0.5, 0.52, 10)],
            values: [0, 0.25, 0.9].map((place) => valueAt([[0.1, 0], [0.4, 1]], place)),
          };
        }"""
    )
    assert found["line"] == [[0, 0], [1, 1]]
    assert found["wave"] == 12
    assert found["peak"] == [[0, 0.7], [0.3, 1], [1, pytest.approx(0.3)]]
    assert found["part"] == [[0, 1], [0.4, 0], [0.6, 0], [1, 1]]
    assert found["back"][0] == 0.2
    assert found["back"][-1] == 0.8
    assert found["read"] == [[0, 1], [0.5, 0.2]]
    assert found["steps"] == [{"first": 4, "last": 7}, None]
    assert found["values"] == [0, pytest.approx(0.5), 1]


def test_everything_can_be_touched_on_a_phone(browser: Browser, served: str, photo: Path) -> None:
    with visitor(browser, served, 390, 844, phone=True) as context:
        page = opened(context.new_page(), served, photo)
        page.locator("[data-opens=controls]").tap()
        page.get_by_role("button", name="Add control").tap()
        page.get_by_role("menuitem", name="Canny").tap()
        page.locator("summary", has_text="Strength over the steps").tap()
        page.get_by_role("button", name="Bump").tap()
        page.locator(".range-track").tap(position={"x": 20, "y": 22})
        assert layers(page)[0]["control_guidance_start"] > 0
        small = page.evaluate(
            """() => [...document.querySelectorAll(".layers :is(button, select, input, summary, .range-handle, .layer-grip)")]
              .filter((one) => one.checkVisibility())
              .map((one) => [one.outerHTML.slice(0, 80), one.getBoundingClientRect()])
              .filter(([, box]) => box.height < 43.5 && box.width > 0)
              .map(([html]) => html)"""
        )
        assert [html for html in small if 'role="switch"' not in html] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
