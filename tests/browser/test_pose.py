"""The pose editor: its pure functions, run in the page, and what pointer and keys make of a pose."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page

from annotators.people.poses import Person, Pose
from tests.browser.conftest import visitor

pytestmark = pytest.mark.browser
SIDE = 256
BODY = [[40.0 + 9 * joint, 30.25 + (37 * joint) % 180, 1.0] for joint in range(18)]
WRIST, NAMES = 4, ("body", "right_hand", "left_hand", "face")
OPEN = """async (pose) => {
  const { app } = document.querySelector(".studio");
  const { newLayer } = await import(new URL("studio/core/draft.js", document.baseURI));
  const layer = newLayer("openpose", pose ? { source: "pose", pose } : {});
  app.drafts.edit({ layers: [layer], open: layer.id, condition: "openpose" });
  await new Promise((resolve) => setTimeout(resolve));
  if (app.stage.tool?.id !== "pose") await app.tools.take("pose");
}"""


@pytest.fixture
def page(browser: Browser, fake_site: str) -> Iterator[Page]:
    yield from _visit(browser, fake_site, 1280, 900)


@pytest.fixture
def phone(browser: Browser, fake_site: str) -> Iterator[Page]:
    yield from _visit(browser, fake_site, 390, 844, phone=True)


def _visit(browser: Browser, url: str, width: int, height: int, phone: bool = False) -> Iterator[Page]:
    with visitor(browser, url, width, height, phone) as context:
        page = context.new_page()
        page.goto(url)
        page.wait_for_selector(".studio:not([aria-busy])")
        page.wait_for_function('document.querySelector(".studio").app.store.state.frame?.width > 0')
        yield page


def _pose(people: list[Mapping[str, Any]], side: int = SIDE) -> dict[str, Any]:
    return {"people": people, "canvas_height": side, "canvas_width": side, "coordinates": "pixels"}


def _person(body: list[list[float]] = BODY, **parts: list[float]) -> dict[str, Any]:
    empty: dict[str, Any] = {f"{part}_keypoints_2d": [] for part in ("hand_left", "hand_right", "face")}
    return {"pose_keypoints_2d": [n for point in body for n in point]} | empty | parts


def _saved(page: Page) -> dict[str, Any]:
    """The open layer as it is in the draft."""
    return page.evaluate("""() => {
      const { draft } = document.querySelector(".studio").app.store.state;
      return draft.layers.find(({ id }) => id === draft.open);
    }""")


def _body(page: Page, person: int = 0) -> list[list[float]]:
    numbers = _saved(page)["pose"]["people"][person]["pose_keypoints_2d"]
    return [numbers[place : place + 3] for place in range(0, len(numbers), 3)]


def _screen(page: Page, x: float, y: float) -> tuple[float, float]:
    """A place of the frame on the screen."""
    place = page.evaluate(
        """([x, y]) => {
      const { stage } = document.querySelector(".studio").app;
      const box = stage.canvas.getBoundingClientRect();
      return [box.left + stage.place.x + x * stage.place.zoom, box.top + stage.place.y + y * stage.place.zoom];
    }""",
        [x, y],
    )
    return place[0], place[1]


def _drag(page: Page, start: tuple[float, float], end: tuple[float, float], key: str = "") -> None:
    """With the mouse, in frame pixels."""
    if key:
        page.keyboard.down(key)
    page.mouse.move(*_screen(page, *start))
    page.mouse.down()
    page.mouse.move(*_screen(page, *end), steps=4)
    page.mouse.up()
    if key:
        page.keyboard.up(key)


def _panel(page: Page) -> Locator:
    return page.locator(".pose-panel")


def _live(page: Page) -> str:
    """What a screen reader reads last."""
    return page.locator(".pose-live[role=status]").text_content() or ""


def test_the_picture_stays_below_a_held_pointer_although_the_page_makes_room_for_something(page: Page) -> None:
    area = page.locator(".stage-area")
    before = area.bounding_box()
    page.evaluate(OPEN, _pose([_person()]))
    page.evaluate("() => new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))")
    assert area.bounding_box() == before  # the hint of the tool takes no room
    end = (200.0, 60.0)
    screen = _screen(page, *end)
    page.mouse.move(*_screen(page, BODY[WRIST][0], BODY[WRIST][1]))
    page.mouse.down()
    page.evaluate("""() => {
      document.querySelector(".stage-views").style.minHeight = "90px";
      document.querySelector(".stage-caption").style.minHeight = "120px";
      return new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    }""")
    page.mouse.move(*screen, steps=4)
    page.mouse.up()
    assert _body(page)[WRIST][:2] == pytest.approx(end, abs=0.5)
    box = area.bounding_box()
    assert box is not None and before is not None and box["height"] < before["height"] - 100
    assert _screen(page, 0, 0)[1] >= box["y"] and _screen(page, 0, SIDE)[1] <= box["y"] + box["height"]  # fitted again


def test_a_dragged_joint_is_saved_where_it_was_put_and_is_one_step_of_undo(page: Page) -> None:
    frame = page.evaluate('document.querySelector(".studio").app.store.state.frame')
    assert (frame["width"], frame["height"]) == (SIDE, SIDE)
    pose = _pose([_person()])
    page.evaluate(OPEN, pose)
    start, end = (BODY[WRIST][0], BODY[WRIST][1]), (200.0, 60.0)
    _drag(page, start, end)
    moved = _body(page)
    assert moved[WRIST][:2] == pytest.approx(end, abs=0.5)
    assert [point for joint, point in enumerate(moved) if joint != WRIST] == [
        point for joint, point in enumerate(BODY) if joint != WRIST
    ]
    assert _saved(page)["source"] == "pose"
    assert "right wrist" in _live(page)

    canvas = page.locator(".stage-canvas")
    canvas.press("ArrowRight")
    canvas.press("Shift+ArrowDown")
    assert _body(page)[WRIST] == pytest.approx([moved[WRIST][0] + 1, moved[WRIST][1] + 10, 1], abs=0.01)
    canvas.press("Control+z")
    assert _body(page) == moved
    canvas.press("Control+z")
    assert _saved(page)["pose"] == pose

    canvas.press(".")  # the joint after the wrist
    assert "left shoulder" in _live(page)
    canvas.press("Delete")
    assert _body(page)[WRIST + 1] == [0, 0, 0]
    canvas.press("Insert")
    assert _body(page)[WRIST + 1][2] == 1
    _drag(page, (BODY[2][0], BODY[2][1]), (BODY[2][0] + 20, BODY[2][1] + 10), "Shift")
    arm = np.array(_body(page))[2:5, :2] - np.array(BODY)[2:5, :2]
    assert arm == pytest.approx(np.tile([20, 10], (3, 1)), abs=0.5)


def test_people_hands_and_faces_are_added_turned_and_scaled(page: Page) -> None:
    page.evaluate(OPEN, None)
    panel = _panel(page)
    panel.get_by_role("button", name="Add person").click()
    panel.get_by_role("button", name="Add person").click()
    for part in ("Add right hand", "Add left hand", "Add face"):
        panel.get_by_role("button", name=part).click()
    pose = Pose.from_json(_saved(page)["pose"])
    first, second = pose.people
    assert abs(first.body[0, 0] - second.body[0, 0]) > 40
    assert first.body[:, 2].all()
    for person in pose.people:
        assert ((person.found[:, :2] >= 0) & (person.found[:, :2] <= SIDE)).all()
    assert second.left_hand is not None and second.right_hand is not None and second.face is not None
    assert second.right_hand[0, :2] == pytest.approx(second.body[4, :2])
    assert second.left_hand[0, :2] == pytest.approx(second.body[7, :2])
    # Thumbs point to the body.
    assert second.right_hand[4, 0] > second.right_hand[20, 0]
    assert second.left_hand[4, 0] < second.left_hand[20, 0]
    assert second.face[36:42, :2].mean(axis=0) == pytest.approx(second.body[14, :2], abs=1.5)  # the right eye

    panel.get_by_role("button", name="Body", exact=True).click()
    box = second.found[:, :2]
    (left, top), (right, bottom) = box.min(axis=0), box.max(axis=0)
    middle = np.array([(left + right) / 2, (top + bottom) / 2])
    zoom = page.evaluate('document.querySelector(".studio").app.stage.place.zoom')
    corner = np.array([left, bottom]) + np.array([-16, 16]) / zoom
    _drag(page, (corner[0], corner[1]), tuple(middle + (corner - middle) / 2))
    smaller = Pose.from_json(_saved(page)["pose"]).people[1]
    assert np.ptp(smaller.found[:, :2], axis=0) == pytest.approx(np.ptp(box, axis=0) / 2, abs=0.6)
    assert np.array_equal(Pose.from_json(_saved(page)["pose"]).people[0].body, first.body)

    panel.get_by_text("Joints…").click()
    field = panel.get_by_label("right wrist, x")
    field.fill("12.5")
    field.blur()
    placed = Pose.from_json(_saved(page)["pose"]).people[1]
    assert placed.body[4].tolist() == [12.5, smaller.body[4, 1], 1]
    panel.get_by_role("button", name="Remove right wrist").click()
    panel.get_by_role("button", name="Add right wrist").click()
    regained = Pose.from_json(_saved(page)["pose"]).people[1].body[4, :2]
    assert regained == pytest.approx(smaller.body[4, :2], abs=0.2)
    page.locator(".stage-canvas").press("Control+z")
    page.locator(".stage-canvas").press("Control+z")
    page.locator(".stage-canvas").press("Control+z")

    panel.get_by_role("button", name="Hide person 1").click()
    assert len(_saved(page)["pose"]["people"]) == 1
    assert np.array_equal(Pose.from_json(_saved(page)["pose"]).people[0].body, smaller.body)
    panel.get_by_role("button", name="Show person 1").click()
    assert np.array_equal(Pose.from_json(_saved(page)["pose"]).people[0].body, first.body)
    panel.get_by_role("button", name="Draw earlier").click()
    assert np.array_equal(Pose.from_json(_saved(page)["pose"]).people[0].body, smaller.body)
    panel.get_by_role("button", name="Delete person").click()
    assert len(_saved(page)["pose"]["people"]) == 1


def test_files_of_other_tools_are_loaded_and_saved_again_exactly(page: Page, tmp_path: Path) -> None:
    page.evaluate(OPEN, None)
    panel = _panel(page)
    flat = [n for point in BODY for n in point]
    body_25 = [*flat[:24], 9.0, 9.0, 1.0, *flat[24:], *[9.0] * 18]
    fractions = [n / side for n, side in zip(flat, (SIDE, SIDE, 1) * 18, strict=True)]
    size = {"canvas_width": SIDE, "canvas_height": SIDE}
    dialects: list[Any] = [
        [{"people": [_person()], **size}],
        {"people": [{"pose_keypoints_2d": body_25, "hand_left_keypoints_2d": None, "face_keypoints_2d": None}], **size},
        {"people": [{"pose_keypoints_2d": fractions}], **size},
        {"version": 1.3, "people": [{"pose_keypoints_2d": body_25}]},
    ]
    for number, dialect in enumerate(dialects):
        path = tmp_path / f"{number}.json"
        path.write_text(json.dumps(dialect))
        with page.expect_file_chooser() as chooser:
            panel.get_by_role("button", name="Load pose (JSON)…").click()
        chooser.value.set_files(path)
        page.wait_for_function(
            "document.querySelector('.pose-live[role=status]').textContent.includes('1 person is loaded')"
        )
        with page.expect_download() as download:
            panel.get_by_role("button", name="Save pose (JSON)").click()
        assert json.loads(Path(download.value.path()).read_text()) == _pose([_person()]), number
        panel.get_by_role("button", name="Person 1", exact=False).first.click()
        panel.get_by_role("button", name="Delete person").click()
    path = tmp_path / "broken.json"
    path.write_text('{"people": 3}')
    with page.expect_file_chooser() as chooser:
        panel.get_by_role("button", name="Load pose (JSON)…").click()
    chooser.value.set_files(path)
    page.wait_for_function('document.querySelector(".studio").app.store.state.error.includes("broken.json has no")')


def test_functions_of_people_agree_with_the_server(page: Page) -> None:
    rng = np.random.default_rng(4)
    parts = {
        name: np.column_stack([rng.uniform(5, 250, (n, 2)), rng.uniform(0.2, 1, n)]) for name, n in _counts().items()
    }
    pose = Pose((Person(**parts),), 256, 192)
    value, frames = pose.to_json(), [(320, 128, mode) for mode in ("crop", "pad", "stretch")]
    found = page.evaluate(
        """async ([pose, frames]) => {
      const people = await import(new URL("studio/pose/people.js", document.baseURI));
      const figure = await import(new URL("studio/pose/figure.js", document.baseURI));
      const same = { width: 192, height: 256, fit: "crop" };
      const [person] = people.peopleOf(pose, same);
      const face = figure.newFace(figure.newPerson([], same), same);
      const bones = document.querySelector(".studio").app.store.state.tables.skeleton.limbs;
      const standing = figure.newPerson([], same);
      const lost = [3, 10, 15].map((joint) => people.withoutPoint(standing, "body", joint));
      return {
        again: people.poseOf([person], same),
        twice: people.poseOf([people.flip(people.flip(person))], same),
        once: people.poseOf([people.flip(person)], same),
        resized: frames.map(([width, height, fit]) => people.poseOf(people.peopleOf(pose, { width, height, fit }), { width, height })),
        hidden: people.peopleOf(people.poseOf([person, { ...person, isHidden: true }, person], same), same).map((one) => one.isHidden),
        face,
        mirrored: people.flip({ ...standing, body: people.missing(18), face }).face,
        order: Array.from({ length: 70 }, (_, index) => people.mirroredFace(people.mirroredFace(index))),
        regained: lost.map((one, at) => figure.placeOf(one, "body", [3, 10, 15][at], bones, same)),
        expected: [3, 10, 15].map((joint) => standing.body[joint].slice(0, 2)),
      };
    }""",
        [value, frames],
    )
    assert found["again"] == value
    assert np.allclose(_numbers(found["twice"]), _numbers(value), rtol=0, atol=1e-9)
    once = Pose.from_json(found["once"]).people[0]
    everything = np.concatenate([points[:, 0] for points in parts.values()])
    mirror = np.array([everything.min() + everything.max(), 0, 0]) + np.array([-1, 1, 1]) * once.body
    for joint, other in ((2, 5), (4, 7), (8, 11), (14, 15), (16, 17), (0, 0), (1, 1)):
        assert mirror[joint] == pytest.approx(parts["body"][other])
    assert once.right_hand is not None
    assert once.right_hand[:, 1:] == pytest.approx(parts["left_hand"][:, 1:])
    for (width, height, mode), one in zip(frames, found["resized"], strict=True):
        assert one == pose.resized(width, height, mode).to_json()  # type: ignore[arg-type]
    assert found["hidden"] == [False, True, False]
    assert np.allclose(found["mirrored"], found["face"], atol=0.02)  # a face that is symmetric is its own mirror image
    assert found["order"] == list(range(70))
    assert np.allclose(found["regained"], found["expected"], atol=0.2)


def test_what_is_drawn_while_editing_is_the_servers_map(page: Page) -> None:
    page.evaluate(OPEN, _pose([_person()]))
    page.wait_for_function(
        '(() => { const { maps, draft } = document.querySelector(".studio").app.store.state; return maps[draft.open]?.bitmap; })()'
    )
    differing, faint = page.evaluate("""async () => {
      const { drawPeople } = await import(new URL("studio/pose/skeleton.js", document.baseURI));
      const { peopleOf } = await import(new URL("studio/pose/people.js", document.baseURI));
      const { maps, draft, tables, frame } = document.querySelector(".studio").app.store.state;
      const layer = draft.layers[0];
      const pixels = (draw) => {
        const context = new OffscreenCanvas(frame.width, frame.height).getContext("2d");
        context.fillRect(0, 0, frame.width, frame.height);
        draw(context);
        return context.getImageData(0, 0, frame.width, frame.height).data;
      };
      const server = pixels((context) => context.drawImage(maps[layer.id].bitmap, 0, 0));
      const draw = (floor) => (context) => drawPeople(context, peopleOf(layer.pose, frame), { skeleton: tables.skeleton, frame, floor });
      const here = pixels(draw(0));
      const brightness = (data) => data.reduce((sum, value) => sum + value, 0) - 255 * frame.width * frame.height;
      const faint = brightness(pixels(draw(2))) / brightness(here); // no score is as high
      let [lit, differing] = [0, 0];
      for (let place = 0; place < server.length; place += 4) {
        const apart = Math.max(...[0, 1, 2].map((channel) => Math.abs(server[place + channel] - here[place + channel])));
        lit += server[place] + server[place + 1] + server[place + 2] > 0;
        differing += apart > 128;
      }
      return [differing / lit, faint];
    }""")
    assert differing < 0.03
    assert 0.2 < faint < 0.5


def test_a_finger_moves_a_joint_on_a_phone(phone: Page) -> None:
    phone.evaluate(OPEN, _pose([_person()]))
    x, y = _screen(phone, BODY[0][0], BODY[0][1])
    touch = phone.context.new_cdp_session(phone)
    for kind, across in (("touchStart", 18), ("touchMove", 30), ("touchMove", 58), ("touchEnd", None)):
        points = [] if across is None else [{"x": x - across, "y": y}]  # beside the joint by less than a finger
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    zoom = phone.evaluate('document.querySelector(".studio").app.stage.place.zoom')
    assert _body(phone)[0][:2] == pytest.approx([BODY[0][0] - 40 / zoom, BODY[0][1]], abs=0.5)
    panel = _panel(phone)
    panel.locator("summary").first.click()
    for button in panel.locator("button:visible").all():
        box = button.bounding_box()
        assert box
        assert box["height"] >= 44


def _counts() -> dict[str, int]:
    return dict(zip(NAMES, (18, 21, 21, 70), strict=True))


def _numbers(pose: Mapping[str, Any]) -> list[float]:
    return [n for person in pose["people"] for key in sorted(person) for n in person[key]]
