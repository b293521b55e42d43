"""The forms of strength for a reference latent: their ends are the plain base and the network as trained; the command runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest
import torch

from benchmarks.reference_strength.__main__ import TINY, main
from benchmarks.reference_strength.document import document
from benchmarks.reference_strength.forms import FORMS, Form, Moment
from benchmarks.reference_strength.measures import score
from benchmarks.reference_strength.network import TOKENS, Training, create_network, train
from benchmarks.reference_strength.study import Figures, Sampling, wanted
from benchmarks.reference_strength.task import CHANNELS, draw, to_pictures, to_tokens, to_words
from benchmarks.reference_strength.verdicts import judge

MOST = 1e-6
"""Difference of predictions that are equal but for the order of additions."""


@pytest.fixture(scope="module")
def moment() -> Moment:
    network = create_network(TINY)
    generator = torch.Generator().manual_seed(0)
    drawn = draw(2, generator)
    noise = torch.randn(2, TOKENS, CHANNELS, generator=generator)
    return Moment(network, noise, torch.tensor([0.3, 0.9]), to_words(drawn.colours), to_tokens(drawn.maps), 0.5)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.id)
@torch.no_grad()
def test_strength_1_is_as_trained_and_half_is_not(form: Form, moment: Moment) -> None:
    trained = moment.predict()
    assert (form.predict(moment, 1) - trained).abs().max() <= MOST
    assert (form.predict(moment, 0.5) - trained).abs().max() > 1e-4
    assert torch.equal(moment.predict(), trained)  # nothing is left on the network


@pytest.mark.parametrize("form", [form for form in FORMS if form.plain_at_zero], ids=lambda form: form.id)
@torch.no_grad()
def test_strength_0_is_the_plain_base(form: Form, moment: Moment) -> None:
    plain = moment.without().predict()
    assert (plain - moment.predict()).abs().max() > 1e-3
    assert (form.predict(moment, 0) - plain).abs().max() <= MOST


def test_tokens_are_the_pixels_of_a_picture() -> None:
    pictures = draw(2, torch.Generator().manual_seed(0)).pictures
    assert torch.equal(to_pictures(to_tokens(pictures)), pictures)


def test_a_stopped_training_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    whole = train(TINY, tmp_path / "whole")
    with pytest.raises(InterruptedError):
        train(TINY, tmp_path / "stopped", every=2, look=_interrupt)
    resumed = train(TINY, tmp_path / "stopped", every=2)
    for one, other in zip(whole.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


def _interrupt(_: Training) -> None:
    raise InterruptedError


def test_the_command_writes_page_figures_and_drawing(tmp_path: Path) -> None:
    assert main(["--tiny", "--seeds", "1", "--output", str(tmp_path)]) == 0
    text = (tmp_path / "reference-strength.md").read_text(encoding="utf-8")
    assert all(form.title in text for form in FORMS)
    figures = tmp_path / "reference-strength.jsonl"
    known = figures.read_text(encoding="utf-8")
    root = ElementTree.parse(tmp_path / "images" / "reference_strength.svg").getroot()
    assert len([node for node in root if node.tag.endswith("polyline")]) == len(FORMS)
    assert main(["--tiny", "--seeds", "1", "--output", str(tmp_path)]) == 0
    assert figures.read_text(encoding="utf-8") == known  # nothing is made twice


def test_the_drawn_picture_scores_full_and_another_one_does_not() -> None:
    drawn = draw(3, torch.Generator().manual_seed(0))
    own, other = score(drawn.pictures, drawn), score(drawn.pictures.roll(1, dims=3), drawn)
    assert (own.adherence == 1).all() and (own.overlap == 1).all()
    assert (own.shape > 0.85).all() and (own.colour_error < 0.1).all()
    assert (other.overlap < 1).all()


def test_a_form_that_falls_between_two_strengths_does_not_hold() -> None:
    findings = {row.form.id: row for row in judge(list(_figures()))}
    assert findings["blend"].reasons == ()
    assert findings["blend"].steps == ("rises",) * 4
    assert findings["blend"].shares == pytest.approx((0.25,) * 4)
    assert findings["steps"].steps == ("rises", "falls", "rises", "rises")
    assert findings["steps"].reasons == ("adherence falls on the way",)
    assert findings["black"].reasons == ("s = 0 is not the plain base",)
    assert findings["predictions"].reasons == ("pictures are ruined at s = 0.5",)


def test_the_document_names_the_forms_that_hold_and_the_faults_of_the_others() -> None:
    text = document(judge(list(_figures())), [TINY], Sampling())
    assert "Yes, with 1 of 9 forms" in text
    assert "- **attention outputs mixed** holds" in text
    assert (
        "- attention bias log(s): no, near s = 0 adherence is below that of the plain base, 0.100 at s = 0.02." in text
    )


def _figures() -> Iterator[Figures]:
    """Yield figures of two trainings in which adherence grows evenly, but for the forms that have a fault."""
    falls = {("steps", 0.5): 0.3, ("cubed_bias", 0.25): 0.1, ("bias", 0.02): 0.1}
    for seed in range(2):
        for form, strength in wanted():
            level = falls.get((form.id, strength), 0.2 + 0.6 * strength)
            yield Figures(
                key="",
                seed=seed,
                form=form.id,
                strength=strength,
                adherence=[level, level + 0.02, level - 0.02],
                overlap=level,
                colour_error=0.2 if (form.id, strength) == ("predictions", 0.5) else 0.05,
                shape=0.9,
                from_base=0.1 + strength - form.plain_at_zero * 0.1,
            )
