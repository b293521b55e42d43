"""The catalogue agrees with the registry and with itself."""

from __future__ import annotations

import pytest

from annotators.registry import ANNOTATORS
from cnet_app.conditions import CONDITIONS
from models.catalog import CATALOG, entry, hub_entry, size_text


def test_ids_are_unique() -> None:
    ids = [row.id for row in CATALOG]
    assert len(ids) == len(set(ids))


def test_every_controlnet_of_the_registry_is_there_and_fits_its_family() -> None:
    named = [(id, family) for condition in CONDITIONS for family, id in condition.controlnets.items()]
    assert named
    assert [(entry(id).id, entry(id).family, entry(id).kind) for id, _ in named] == [
        (id, family, "controlnet") for id, family in named
    ]


def test_every_family_of_the_registry_has_a_base() -> None:
    families = {family for condition in CONDITIONS for family in condition.controlnets}
    assert families == {row.family for row in CATALOG if row.kind == "base"}
    assert all(entry(family).defaults for family in families)


def test_every_network_of_an_annotator_is_there() -> None:
    named = {id for annotator in ANNOTATORS for id in annotator.weights}
    assert named <= {row.id for row in CATALOG if row.kind == "annotator"}


def test_every_row_comes_from_one_place_and_says_its_terms() -> None:
    for row in CATALOG:
        assert bool(row.repo) != bool(row.folder), row.id
        assert row.licence, row.id
        assert row.files, row.id
        assert not any(name.startswith("/") or ".." in name for file in row.files for name in file.names), row.id


def test_pickles_are_pinned_or_last() -> None:
    """A pickle is taken by checksum, or where nothing safer is offered."""
    for row in CATALOG:
        for file in row.files:
            if file.name.endswith((".pth", ".pt", ".bin", ".ckpt")):
                assert file.sha256, f"{row.id} {file.name}"
            assert not any(name.endswith(".bin") for name in file.names[:-1]), row.id


def test_non_commercial_terms_are_flagged() -> None:
    assert {row.id for row in CATALOG if row.non_commercial} == {"openpose_body", "openpose_hand", "openpose_face"}


def test_an_unknown_id_lists_the_known_ones() -> None:
    with pytest.raises(LookupError, match=r"no weights 'sd99'; choose one of: embedded, sd15"):
        entry("sd99")


def test_sizes_add_up_and_unknown_stays_unknown() -> None:
    assert entry("sd15").size == sum(file.size or 0 for file in entry("sd15").files)
    assert hub_entry("someone/something", "controlnet").size is None
    assert [size_text(size) for size in (None, 0, 723_000_000, 1_450_000_000)] == [
        "size unknown",
        "under 0.1 MB",
        "723 MB",
        "1.45 GB",
    ]
