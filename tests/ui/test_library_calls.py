"""The page finds, marks, deletes, restores and packs pictures; in public each visitor the own ones alone."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from cnet_app.ui.app import launch_options
from cnet_app.ui.calls.library import library as library_calls
from tests.jobs.fake_engine import request
from tests.ui.studio_calls import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.runner.close()


@pytest.fixture
def public(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path, is_public=True)
    yield desk
    desk.runner.close()


def test_a_search_has_pictures_days_and_filters(desk: Desk) -> None:
    desk.make(request("a red cat", seed=3))
    desk.make(request("a blue house", num_images=2))
    found = desk.call("library", query={"text": "cat"})
    assert found["total"] == 1 and found["days"][0][1] == 1
    (picture,) = found["pictures"]
    assert (picture["prompt"], picture["seed"], picture["width"]) == ("a red cat", 3, 64)
    assert Path(picture["path"]).is_file()
    desk.call("favour", ids=[picture["id"]], favourite=True)
    desk.call("board", ids=[picture["id"]], board=" pets ")
    assert desk.picture_ids(favourites=True) == desk.picture_ids(board="pets") == [picture["id"]]
    assert desk.call("shelves") == {"boards": [{"name": "pets", "count": 1}], "bases": ["embedded"]}
    assert desk.call("library", query={}, offset=1, limit=1)["total"] == 3
    assert "must be one of" in desk.call("library", query={"sort": "size"})["error"]
    assert "whole number" in desk.call("library", query={}, limit="all")["error"]


def test_the_filmstrip_has_the_own_pictures_of_a_shared_machine(desk: Desk) -> None:
    desk.make(request("mine"), "me")
    desk.make(request("of another browser"), "other")
    assert [one["prompt"] for one in desk.call("library", mine=True)["pictures"]] == ["mine"]
    assert desk.call("library")["total"] == 2


def test_a_deleted_picture_comes_back(desk: Desk) -> None:
    desk.make(request())
    (id,) = desk.picture_ids()
    desk.call("delete", ids=[id])
    assert desk.picture_ids() == [] and desk.picture_ids(deleted=True) == [id]
    (back,) = desk.call("restore", ids=[id])["pictures"]
    assert Path(back["path"]).is_file() and desk.picture_ids() == [id]
    desk.call("delete", ids=[id])
    assert desk.call("empty_trash") == {"removed": 1}
    assert desk.picture_ids(deleted=True) == []


def test_details_have_the_recipe_in_words(desk: Desk) -> None:
    desk.make(request("a cat", seed=9, negative_prompt="fur"))
    found = desk.call("details", id=desk.picture_ids()[0])
    words = dict(found["recipe"])
    assert words["Seed"] == "9" and words["Negative prompt"] == "fur" and words["Size"] == "64 × 64 px"
    assert words["Canny"] == "strength 1, own map"
    assert found["scores"] == [] and found["reason"] == ""


def test_thumbnails_leave_out_what_is_gone(desk: Desk) -> None:
    desk.make(request(num_images=2))
    first, second = desk.picture_ids()
    Path(desk.call("details", id=second)["path"]).unlink()
    paths = desk.call("thumbnails", ids=[first, second])["paths"]
    assert list(paths) == [first]
    assert Image.open(paths[first]).format == "WEBP"


def test_a_zip_holds_pictures_and_recipes_and_is_bounded(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.make(request("a cat", num_images=2))
    packed = desk.call("zip", ids=desk.picture_ids())
    with zipfile.ZipFile(packed["path"]) as archive:
        names = archive.namelist()
        sidecar = json.loads(archive.read(next(name for name in names if name.endswith(".json"))))
    assert len(names) == 4 and sidecar["recipe"]["prompt"] == "a cat"
    monkeypatch.setattr(library_calls, "MAX_ZIP_BYTES", 10)
    assert "choose fewer" in desk.call("zip", ids=desk.picture_ids())["error"]
    assert "choose at least one" in desk.call("zip", ids=[])["error"]


def test_a_visitor_of_a_public_app_reaches_the_own_pictures_alone(public: Desk) -> None:
    public.make(request("a secret"), "other")
    (id,) = public.picture_ids("other")
    assert public.picture_ids("me") == public.picture_ids("") == []
    assert public.call("shelves", "me") == {"boards": [], "bases": []}
    assert public.call("thumbnails", "me", ids=[id]) == {"paths": {}}
    marked = {"favour": {"favourite": True}, "board": {"board": "b"}, "delete": {}, "restore": {}, "zip": {}}
    for name, values in marked.items():
        assert "There is no picture" in public.call(name, "me", ids=[id], **values)["error"], name
    for name in ("details", "read_recipe", "overlay", "vary", "upscale"):
        assert "There is no picture" in public.call(name, "me", id=id)["error"], name
    public.call("delete", "other", ids=[id])
    assert public.call("empty_trash", "me") == {"removed": 0}
    assert public.picture_ids("other", deleted=True) == [id]


def test_trash_and_history_are_not_served(desk: Desk) -> None:
    blocked = launch_options(desk.context.settings)["blocked_paths"]
    folder = desk.context.settings.output_dir.resolve()
    assert str(folder / ".trash") in blocked and str(folder / "history.sqlite3") in blocked
