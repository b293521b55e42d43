"""Samplers by their names in other programs."""

from __future__ import annotations

import pytest

from cnet_app.registry.samplers import SAMPLERS, Sampler, find_sampler


@pytest.mark.parametrize("row", SAMPLERS[1:], ids=lambda row: row.id)
def test_a_row_is_found_by_the_names_that_are_written(row: Sampler) -> None:
    assert find_sampler(row.name, row.schedule) is row


@pytest.mark.parametrize(
    ("name", "schedule", "id"),
    [
        ("DPM++ 2M", "Karras", "dpmpp_2m_karras"),
        ("DPM++ 2M Karras", "", "dpmpp_2m_karras"),
        ("DPM++ 2M", "", "dpmpp_2m"),
        ("DPM++ 2M", "Automatic", "dpmpp_2m_karras"),
        ("DPM++ SDE", "Automatic", "dpmpp_sde_karras"),
        ("DPM++ 2M SDE", "Automatic", "dpmpp_2m_sde_exponential"),
        ("Euler", "Automatic", "euler"),
        ("Euler a", "Automatic", "euler_a"),
        ("DDIM", "Automatic", "ddim"),
        ("PLMS", "", "pndm"),
        ("dpmpp_2m_sde_gpu", "karras", "dpmpp_2m_sde_karras"),
        ("euler_ancestral", "normal", "euler_a"),
        ("ddim", "ddim_uniform", "ddim"),
        ("uni_pc", "normal", "unipc"),
        ("euler", "sgm_uniform", "euler_trailing"),
        ("dpmpp_2m_sde_k", "", "dpmpp_2m_sde_karras"),
        ("pndm", "", "pndm"),
        ("k_dpmpp_2m", "exponential", "dpmpp_2m_exponential"),
        ("k_euler_ancestral", "native", "euler_a"),
    ],
)
def test_other_programs_names(name: str, schedule: str, id: str) -> None:
    found = find_sampler(name, schedule)
    assert found and found.id == id


@pytest.mark.parametrize(
    ("name", "schedule"),
    [
        ("DPM++ 3M SDE", "Karras"),
        ("", ""),
        ("The model's own", ""),
        ("default", ""),
        ("euler_a", "karras"),
        ("euler", "beta"),
        ("k", "k"),
    ],
)
def test_what_is_no_row_is_none(name: str, schedule: str) -> None:
    assert find_sampler(name, schedule) is None
