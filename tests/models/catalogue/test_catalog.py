"""The catalogue agrees with the registry and with itself."""

from __future__ import annotations

import pytest

from annotators.registry import ANNOTATORS
from cnet_app.registry.conditions import CONDITIONS
from models.catalogue.catalog import CATALOG, entry, hub_entry, size_text
from models.catalogue.fitting import made_for
from models.catalogue.licences import LICENCES
from models.catalogue.places import local_folders

UNKNOWN_STATE = {"teed"}
"""Their publishers give no checksum; the first download records it."""


SIZE_UNKNOWN = {
    *(row.id for row in CATALOG if row.repo.startswith("thibaud/controlnet-sd21-")),  # number format not known
    *(f"controlnet_{kind}_{size}_sdxl" for kind in ("canny", "depth") for size in ("mid", "small")),  # shape not known
    "leres",  # the file holds more than the network
    "controlnet_inpaint_qwen_image",  # its number of layers is not known
}
"""Rows of which neither the repository's listing nor the number of parameters gives the size."""


def test_ids_are_unique() -> None:
    ids = [row.id for row in CATALOG]
    assert len(ids) == len(set(ids))


def test_every_controlnet_of_the_registry_is_there_and_fits_its_family() -> None:
    named = [(id, family) for condition in CONDITIONS for family, id in condition.controlnets.items()]
    assert named
    assert all(entry(id).id == id and family in made_for(entry(id)) for id, family in named)
    assert {entry(id).kind for id, _ in named} == {"controlnet", "adapter"}


def test_every_family_of_the_registry_has_a_base() -> None:
    families = {family for condition in CONDITIONS for family in condition.controlnets}
    assert families <= {row.family for row in CATALOG if row.kind == "base"}
    assert all(entry(family).defaults for family in families)


def test_every_network_of_an_annotator_is_there() -> None:
    named = {id for annotator in ANNOTATORS for id in annotator.weights}
    assert named <= {row.id for row in CATALOG if row.kind == "annotator"}


def test_every_row_comes_from_one_place_and_says_its_terms() -> None:
    for row in CATALOG:
        assert bool(row.repo) != bool(row.folder), row.id
        assert row.files, row.id
        assert not any(name.startswith("/") or ".." in name for file in row.files for name in file.names), row.id
        assert row.use.endswith("."), row.id
        assert row.folder or row.terms.startswith("https://"), row.id
        assert not row.note or row.note.endswith("."), row.id


def test_licence_and_size_of_every_hub_row_are_known_or_said_to_be_unknown() -> None:
    rows = [row for row in CATALOG if row.repo]
    assert len(rows) >= 115
    unknown = {row.id for row in rows if row.size is None}
    assert unknown == SIZE_UNKNOWN, (
        f"give the size in models/catalogue/rows.py, else list in SIZE_UNKNOWN: {unknown ^ SIZE_UNKNOWN}"
    )
    for row in rows:
        assert all(file.size is None or 0 <= file.size < 20e9 for file in row.files), row.id
        assert row.size is None or row.size > 0, row.id
        assert size_text(row.size), row.id
        assert row.commercial != "ask" or "model's page" in row.use, row.id
        assert row.page.startswith("https://huggingface.co/"), row.id


def test_titles_tell_rows_of_a_kind_apart() -> None:
    titles = [(row.kind, row.title) for row in CATALOG]
    assert len(titles) == len(set(titles))


def test_every_licence_of_the_table_is_in_use_or_what_is_added_may_have() -> None:
    assert set(LICENCES) == {row.licence for row in CATALOG} | {"unknown"}


ALL = {
    "canny",
    "softedge",
    "openpose",
    "depth",
    "normal",
    "segmentation",
    "scribble",
    "mlsd",
    "lineart",
    "lineart_anime",
}


@pytest.mark.parametrize(
    ("family", "conditions"),
    [
        ("embedded", ALL | {"tile", "inpaint", "recolor", "color"}),
        ("sd15", ALL | {"shuffle", "tile", "inpaint", "ip2p"}),
        ("sd21", ALL - {"mlsd", "lineart_anime"} | {"color"}),
        ("sdxl", ALL | {"tile", "inpaint"}),
    ],
)
def test_a_family_has_controlnets_for_these_conditions_at_least(family: str, conditions: set[str]) -> None:
    rows = [row for row in CATALOG if row.kind == "controlnet" and row.family == family]
    assert {condition for row in rows for condition in row.conditions} >= conditions


def test_inputs_of_a_union_share_their_files_and_differ_in_what_they_read() -> None:
    for folder, inputs in (("controlnet_union_sdxl", 6), ("controlnet_promax_sdxl", 8)):
        rows = [row for row in CATALOG if folder in (row.id, row.shares)]
        assert [sorted(row.control_type for row in rows if row.control_type is not None)] == [list(range(inputs))]
        assert len({(row.repo, row.files) for row in rows}) == 1
        assert len({tuple(local_folders(row)) for row in rows}) == 1


def test_pickles_are_pinned_or_last() -> None:
    """A pickle is taken by checksum or at a fixed state, or where nothing safer is offered, or known, of an annotator."""
    for row in CATALOG:
        for file in row.files:
            if file.name.endswith((".pth", ".pt", ".bin", ".ckpt")):
                pinned = file.sha256 or len(row.revision) == 40 or row.id in UNKNOWN_STATE
                assert pinned, f"give {file.name} of {row.id} a sha256, or its row a revision"
            assert not any(name.endswith(".bin") for name in file.names[:-1]), row.id


def test_non_commercial_terms_are_flagged() -> None:
    flagged = {row.id for row in CATALOG if row.non_commercial}
    assert flagged >= {"openpose_body", "openpose_hand", "openpose_face", "pidinet"}
    assert not flagged & {"sd15", "sdxl", "hed", "mlsd"}


@pytest.mark.parametrize(
    ("id", "hint"),
    [
        ("sd99", r"did you mean .*sd15.*\?\); `python -m cnet_app models list` shows all\."),
        ("?", "no weights '\\?'; `python -m"),
    ],
)
def test_an_unknown_id_names_those_that_read_alike(id: str, hint: str) -> None:
    with pytest.raises(LookupError, match=hint):
        entry(id)


def test_sizes_add_up_and_unknown_stays_unknown() -> None:
    assert entry("sd15").size == sum(file.size or 0 for file in entry("sd15").files)
    assert hub_entry("someone/something", "controlnet").size is None
    assert [size_text(size) for size in (None, 0, 723_000_000, 1_450_000_000)] == [
        "size unknown",
        "under 0.1 MB",
        "723 MB",
        "1.45 GB",
    ]
