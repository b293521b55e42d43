"""In public mode what belongs to one visitor is, for all others, as if it did not exist: every call of the page is tried."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from skimage import data

from cnet_app.jobs.library.assets import GONE
from cnet_app.ui.calls import studies
from cnet_app.ui.calls.context import Visitor
from cnet_app.ui.calls.training import ONLY_OWNER
from cnet_app.ui.studio import CALLS
from tests.jobs.fake_engine import request
from tests.ui.conftest import FRAME, Caller, create_caller

OWNER, STRANGER = "a" * 32, "b" * 32
NOTHING = {"cancelled": 0}
UNKNOWN = "0" * 16
ON_JOBS = {"cancel": {}, "move": {"place": 1}, "resume": {}}
"""Values of calls on {job}."""
ON_PICTURE = {
    "details": {},
    "read_recipe": {},
    "before": {},
    "vary": {},
    "upscale": {"factor": 2.0},
    "overlay": {"index": 0},
}
"""Values of calls on {id}."""
ON_PICTURES = {"favour": {"favourite": True}, "board": {"board": "mine"}, "delete": {}, "restore": {}, "zip": {}}
"""Values of calls on {ids}."""
ON_SWEEP = ("sweep", "cancel_sweep", "resume_sweep")
OF_ALL = (
    "tables", "choices", "memory", "catalogue", "question", "download", "unload", "start_engine", "example", "frame", "put", "fighting",
    "pose", "wildcards",
)  # fmt: skip
"""Calls on nothing that a visitor has."""
ON_DRAFT = ("map", "coverage", "generate", "sweep_fields", "sweep_plan", "grid", "batch")
"""Calls with a draft, whose pictures are named by their hash."""
LISTS = ("cancel_all", "unfinished", "library", "shelves", "thumbnails", "empty_trash", "sweeps", "watch")

ON_STUDY: dict[str, dict[str, Any]] = {
    "study": {"study": "a"},
    "study_question": {"study": "a", "participant": "b"},
    "study_answer": {"study": "a", "participant": "b", "question": 0},
    "study_picture": {"study": "a", "participant": "b", "question": 0},
}
"""Values of calls that whoever has a study's link may make."""
OF_STUDIES: dict[str, dict[str, Any]] = {"studies": {}, "create_study": {"name": "a"}, "study_results": {"study": "a"}}
"""Values of calls on studies that no visitor may make."""
OF_OWNER: dict[str, dict[str, Any]] = {
    **{name: {} for name in ("training_form", "trainings", "find_data", "build_data", "check_data", "data_state", "cancel_data")},
    **{f"{act}_training": {"name": "a"} for act in ("resume", "pause", "stop", "delete", "try", "follow")},
    "start_training": {"plan": {}},
}  # fmt: skip
"""Values of calls that no visitor may make."""


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Caller]:
    for caller in create_caller(tmp_path, host="0.0.0.0"):
        yield as_visitor(caller, OWNER)


def as_visitor(caller: Caller, session: str) -> Caller:
    return Caller(caller.context, caller.engine, caller.folder, session)


def make(caller: Caller, prompt: str = "mine") -> tuple[str, str]:
    """Return the ids of a finished job and its picture."""
    runner = caller.context.runner
    job = runner.submit(request(prompt), caller.session)
    *_, state = runner.watch(job)
    return job, state.picture_ids[state.paths[0]]


def test_every_call_is_tried() -> None:
    tried = {
        *ON_JOBS,
        *ON_PICTURE,
        *ON_PICTURES,
        *ON_SWEEP,
        *OF_ALL,
        *ON_DRAFT,
        *LISTS,
        *ON_STUDY,
        *OF_STUDIES,
        *OF_OWNER,
    }
    assert tried == set(CALLS)


@pytest.mark.parametrize("name", OF_STUDIES)
def test_no_visitor_may_make_a_study_or_read_its_results(owner: Caller, name: str) -> None:
    assert owner(name, **OF_STUDIES[name]) == {"error": studies.ONLY_OWNER}


@pytest.mark.parametrize("name", ON_STUDY)
def test_a_study_is_found_by_its_own_name_alone(owner: Caller, name: str) -> None:
    assert owner(name, **ON_STUDY[name]) == {"error": studies.NO_STUDY}


@pytest.mark.parametrize("name", OF_OWNER)
def test_no_visitor_may_train(owner: Caller, name: str) -> None:
    assert owner(name, **OF_OWNER[name]) == {"error": ONLY_OWNER}


@pytest.mark.parametrize("name", ON_JOBS)
def test_a_strangers_job_does_not_exist(owner: Caller, name: str) -> None:
    job, _ = make(owner)
    stranger = as_visitor(owner, STRANGER)
    answer = stranger(name, job=job, **ON_JOBS[name])
    assert answer == {"error": stranger(name, job=UNKNOWN, **ON_JOBS[name])["error"].replace(UNKNOWN, job)}


def test_a_strangers_running_job_goes_on(owner: Caller) -> None:
    owner.engine.gate.clear()
    job = owner.context.runner.submit(request("mine"), OWNER)
    stranger = as_visitor(owner, STRANGER)
    assert "There is no job" in stranger("cancel", job=job)["error"]
    assert stranger("cancel_all") == NOTHING
    assert stranger("watch", follow=[job])["jobs"] == [] and len(owner("watch", follow=[job])["jobs"]) == 1
    owner.engine.gate.set()
    *_, state = owner.context.runner.watch(job)
    assert state.status == "done"


@pytest.mark.parametrize("name", ON_PICTURE)
def test_a_strangers_picture_does_not_exist(owner: Caller, name: str) -> None:
    _, picture = make(owner)
    stranger = as_visitor(owner, STRANGER)
    answer = stranger(name, id=picture, **ON_PICTURE[name])
    assert answer == {"error": stranger(name, id=UNKNOWN, **ON_PICTURE[name])["error"].replace(UNKNOWN, picture)}
    assert "error" not in owner("details", id=picture)


@pytest.mark.parametrize("name", ON_PICTURES)
def test_a_strangers_pictures_stay_as_they_are(owner: Caller, name: str) -> None:
    _, picture = make(owner)
    _, deleted = make(owner)
    owner("delete", ids=[deleted])
    before = owner("library", query={}), owner("library", query={"deleted": True})
    stranger = as_visitor(owner, STRANGER)
    for id in (picture, deleted):
        answer = stranger(name, ids=[id], **ON_PICTURES[name])
        assert answer == {"error": stranger(name, ids=[UNKNOWN], **ON_PICTURES[name])["error"].replace(UNKNOWN, id)}
    assert (owner("library", query={}), owner("library", query={"deleted": True})) == before


def test_lists_hold_what_is_the_visitors_own(owner: Caller) -> None:
    _, picture = make(owner)
    _, deleted = make(owner)
    owner("board", ids=[picture], board="mine")
    owner("delete", ids=[deleted])
    for stranger in (as_visitor(owner, STRANGER), as_visitor(owner, "")):
        assert stranger("library", query={})["total"] == stranger("library", query={"deleted": True})["total"] == 0
        assert stranger("library", query={}, mine=True)["total"] == 0
        assert stranger("shelves") == {"boards": [], "bases": []}
        assert stranger("thumbnails", ids=[picture, deleted])["paths"] == {}
        assert stranger("empty_trash") == {"removed": 0}
        assert stranger("unfinished") == {"jobs": []}
        assert stranger("watch")["jobs"] == []
    assert owner("library", query={"deleted": True})["total"] == 1


def test_a_strangers_photo_is_not_found_by_its_hash(owner: Caller) -> None:
    """A recipe that is passed on names the hash of the photo it was made of."""
    photo = owner.put(data.astronaut()[::4, ::4])
    stranger = as_visitor(owner, STRANGER)
    layer = {"id": "1", "condition": "canny", "source": "photo"}
    draft = {"frame": FRAME, "photo": photo, "layers": [layer], "start": {"strength": 0.5}}
    calls: dict[str, dict[str, Any]] = {
        "map": {"layer": layer, "photo": photo, "frame": FRAME},
        "coverage": {"draft": draft},
        "generate": {"draft": draft},
        "sweep_fields": {"draft": draft},
        "sweep_plan": {"draft": draft, "axes": ["guidance_scale: 3, 5"]},
        "grid": {"draft": draft, "axes": ["guidance_scale: 3, 5"]},
    }
    for name, values in calls.items():
        assert stranger(name, **values) == {"error": GONE}, name
    assert "image" in owner("map", **calls["map"])
    assert "jobs" in owner("generate", **calls["generate"])


def test_a_strangers_grid_does_not_exist(owner: Caller) -> None:
    owner.engine.gate.clear()
    axis = {"name": "guidance_scale", "values": [3, 5]}
    begun = owner("grid", draft={"frame": FRAME, "layers": []}, axes=[axis])
    assert "sweep" in begun, begun
    stranger = as_visitor(owner, STRANGER)
    for name in ON_SWEEP:
        answer = stranger(name, sweep=begun["sweep"])
        assert answer == {"error": stranger(name, sweep=UNKNOWN)["error"].replace(UNKNOWN, begun["sweep"])}
    assert stranger("sweeps", ids=[begun["sweep"]]) == {"sweeps": []}
    assert len(owner("sweeps", ids=[])["sweeps"]) == 1
    owner("cancel_sweep", sweep=begun["sweep"])
    owner.engine.gate.set()


def test_strangers_download_no_models_unless_the_owner_lets_them(tmp_path: Path) -> None:
    for caller in create_caller(tmp_path / "closed", host="0.0.0.0"):
        refusal = caller("download", ids=["taesd"])["error"]
        assert refusal.startswith("Only the one who runs this app may download models onto its server; ")
        assert caller("tables")["no_downloads"] == refusal
        assert caller.context.runner.active() == [] and caller.engine.downloads == []
    for caller in create_caller(tmp_path / "open", host="0.0.0.0", allow_downloads=True):
        assert caller("tables")["no_downloads"] == ""
        assert "job" in caller("download", ids=["taesd"])
    for caller in create_caller(tmp_path / "local"):
        assert caller("tables")["no_downloads"] == ""
        assert "job" in caller("download", ids=["taesd"])


def test_one_visitors_photos_never_push_out_anothers(tmp_path: Path) -> None:
    for caller in create_caller(tmp_path, host="0.0.0.0", max_visitor_mb=1):
        one, other = as_visitor(caller, OWNER), as_visitor(caller, STRANGER)
        kept = one.put(data.astronaut()[:64, :64])
        many = [other.put(data.astronaut()[place : place + 256]) for place in range(0, 250, 30)]
        assert one.context.of(Visitor(OWNER)).assets.get(kept["sha256"])
        own = other.context.of(Visitor(STRANGER)).assets
        with pytest.raises(Exception, match="no longer here"):
            own.get(many[0]["sha256"])
        assert own.get(many[-1]["sha256"])
