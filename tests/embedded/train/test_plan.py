"""Plans of the trainings: what is saved and compared, and which pictures belong to which purpose."""

from __future__ import annotations

from itertools import pairwise

from cnet_app.embedded.evaluate.embedded import FIRST_SEED as REPORT_SEED
from cnet_app.embedded.evaluate.words import REFERENCE_SEED, REFERENCES
from cnet_app.embedded.train.model_plan import CONTROLNETS, MODEL_PLAN, SHIPPED, STAGES
from cnet_app.embedded.train.plan import DiffusionPlan, StagePlan
from cnet_app.embedded.train.stages.score import FIRST_SEED as SCORE_SEED

PLAN = StagePlan(stage="test", steps=20, batch_size=4, peak_rate=1e-3)


def test_a_plan_does_not_differ_from_what_it_saves() -> None:
    assert PLAN.differences(PLAN.values()) == []
    assert {"save_every", "deadline"}.isdisjoint(PLAN.values())
    assert {"condition", "decay"} <= set(DiffusionPlan(stage="a", steps=1, batch_size=1, peak_rate=1).values())


def test_every_difference_is_named_with_both_values() -> None:
    saved = PLAN.values() | {"steps": 4000, "crop": 128}
    del saved["seed"]
    assert PLAN.differences(saved) == [
        "steps is 4000 there and 20 here",
        "seed is None there and 0 here",
        "crop is 128 there and None here",
    ]


def test_a_condition_has_its_own_steps_where_it_needs_more() -> None:
    depth, canny = MODEL_PLAN.controlnet_of("depth"), MODEL_PLAN.controlnet_of("canny")
    assert (depth.condition, depth.stage) == ("depth", "controlnets (depth)")
    assert depth.steps == MODEL_PLAN.controlnet_steps["depth"] > canny.steps == MODEL_PLAN.controlnet.steps
    assert set(MODEL_PLAN.controlnet_steps) <= set(CONTROLNETS)
    assert set(SHIPPED) < set(STAGES)


def test_pictures_for_training_scoring_and_the_report_share_no_seed() -> None:
    ranges = [range(part.first_seed, part.first_seed + part.count) for part in (MODEL_PLAN.small, MODEL_PLAN.full)]
    ranges += [range(SCORE_SEED, SCORE_SEED + 1000), range(REPORT_SEED, REPORT_SEED + 100_000)]
    ranges += [range(REFERENCE_SEED, REFERENCE_SEED + REFERENCES)]
    ordered = sorted(ranges, key=lambda seeds: seeds.start)
    assert all(one.stop <= other.start for one, other in pairwise(ordered))
