"""The claims: one row each, with its arms, what is shown of their runs, and when it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from cnet_app.request.training import TrainingPlan

SIDE, STEPS, PROBES, LOOK = 128, 120, 8, 10
"""Of every run: px, updates, held-out maps, updates between two looks."""
BATCH, RATE, TUNING = 8, 5e-4, 100
PAIRS = STEPS * BATCH
"""With so many no pair comes twice."""
NEAR = 20
"""Updates between a jump and where the detector marks it, at most."""
SEEDS = 3
PROMPTS = ("none", "insufficient", "conflicting", "perfect")
"""The paper's settings (its figure 8): no prompt; one that names nothing of the picture; one that names other things; the
picture's own."""
Values = dict[str, Any]
PLAN = TrainingPlan(
    name="run", condition="canny", data="data", size=SIDE, steps=STEPS, batch_size=BATCH, learning_rate=RATE, probes=PROBES,
    probe_every=LOOK, probe_steps=10, checkpoint_every=10_000,
)  # fmt: skip


@dataclass(frozen=True)
class Arm:
    """One way to train."""

    title: str
    changes: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Of the plan."""
    pairs: int = PAIRS
    data: str = ""
    """Name of the drawn data; empty for scenes with maps of the plan's condition."""
    exchanged: bool = False
    """Exchange the maps among the pairs, so that no map fits its picture."""


@dataclass(frozen=True)
class Experiment:
    """One claim of the paper."""

    id: str
    claim: str
    paper: str
    """The paper's number, or its words."""
    arms: Mapping[str, Arm]
    measures: tuple[str, ...]
    """Names of the values of a run that are shown."""
    holds: Callable[[Mapping[str, Mapping[str, float]]], bool]
    """Takes the mean of every value by arm and name; returns whether the claim is reproduced."""
    seeds: int = SEEDS


PLAIN = Arm("ControlNet, as in the paper")


def _above(arm: str, other: str, value: str, by: float = 0.0) -> Callable[[Mapping[str, Mapping[str, float]]], bool]:
    return lambda means: means[arm][value] > means[other][value] + by


EXPERIMENTS = (
    Experiment(
        "joints",
        "Zero convolutions keep what the copy learned; with Gaussian ones, or convolutions alone (ControlNet-lite), less of the map "
        "is followed, most of all without a prompt.",
        "figure 8: both ablations fail without a sufficient prompt",
        {
            "zero": PLAIN,
            "gaussian": Arm("Gaussian convolutions", {"joint": "gaussian"}),
            "lite": Arm("ControlNet-lite", {"network": "lite"}),
        },
        tuple(f"score, {prompt}" for prompt in PROMPTS),
        lambda means: all(means["zero"]["score, none"] > means[arm]["score, none"] for arm in ("gaussian", "lite")),
    ),
    Experiment(
        "prompts",
        "Half of the prompts emptied in training teaches the map's own meaning, for use without a prompt.",
        "50 % (section 3.3)",
        {"half": PLAIN, "none": Arm("no prompt emptied", {"empty_prompts": 0.0})},
        ("score, none", "score, perfect"),
        _above("half", "none", "score, none"),
    ),
    Experiment(
        "data",
        "Training does not collapse on little data, and more data helps.",
        "figure 10: 1 k recognisable, 50 k and 3 M better. 120 steps of batch 8 read 960 pairs, so more would not be seen here",
        {"few": Arm("10 pairs", pairs=10), "some": Arm("100 pairs", pairs=100), "all": Arm(f"{PAIRS} pairs, none of which comes twice")},
        ("score, perfect", "blank"),
        lambda means: means["some"]["score, perfect"] > 2 * means["some"]["blank"] and means["all"]["score, perfect"] > means["few"]["score, perfect"],
    ),
    Experiment(
        "locked",
        "A locked base suffices; unlocking its decoder fits the data closer.",
        "sd_locked=False fits a data set closer and must come late (its docs/train.md)",
        {"locked": PLAIN, "unlocked": Arm("decoder unlocked for the second half", {"unlock_after": STEPS // 2, "unlocked_learning_rate": 2e-4})},
        ("score, perfect",),
        _above("unlocked", "locked", "score, perfect", -0.02),
    ),
    Experiment(
        "middle",
        "With the middle block alone less is followed; its gain in speed is measured below, under cost.",
        "about 1.6 times as fast",
        {"all": PLAIN, "middle": Arm("only_mid_control", {"only_mid_control": True})},
        ("score, perfect",),
        _above("all", "middle", "score, perfect"),
    ),
    Experiment(
        "copy",
        "A copy of the base's encoder learns faster than one with random weights.",
        "the copy is the backbone (section 3.1)",
        {"copy": PLAIN, "fresh": Arm("random weights", {"initial": "fresh"})},
        ("score, perfect", "jump"),
        _above("copy", "fresh", "score, perfect"),
    ),
    Experiment(
        "convergence",
        "The map is followed suddenly; a larger batch or rate brings the jump forward in steps.",
        "between 6,100 and 6,133 steps of batch 32; usually below 10,000",
        {
            "plain": PLAIN,
            "batch 4": Arm("batch 4", {"batch_size": 4}),
            "batch 16": Arm("batch 16", {"batch_size": 16}),
            "half rate": Arm("half the learning rate", {"learning_rate": RATE / 2}),
            "double rate": Arm("double the learning rate", {"learning_rate": 2 * RATE}),
        },
        ("jump", "score, perfect"),
        lambda means: means["batch 16"]["jump"] < means["batch 4"]["jump"],
    ),
    Experiment(
        "detector",
        f"The detector marks every jump within {NEAR} steps, and none where there is nothing to follow.",
        "one example, marked by eye. Here the control is silenced by exchanging the maps of the pictures",
        {"control": PLAIN, "exchanged": Arm("each picture with another one's map", exchanged=True)},
        ("jump", "steepest", "found", "found near"),
        lambda means: means["control"]["found near"] == 1 and means["exchanged"]["found"] == 0,
        seeds=10,
    ),
    Experiment(
        "circles",
        "The task of the original's tutorial, a circle of one colour on ground of another by its outline, is learned, suddenly.",
        "learned within 4,000 steps of batch 4, with a jump at 3,000 to 7,000 (its docs/train.md)",
        {"circles": Arm("circles with their outlines", data="circles")},
        ("score, perfect", "blank", "jump", "steepest"),
        lambda means: means["circles"]["score, perfect"] > 2 * means["circles"]["blank"],
    ),
    Experiment(
        "composition",
        "ControlNets that were trained apart add up.",
        "figure 6: several conditions without any further training",
        {"canny": PLAIN, "depth": Arm("depth", {"condition": "depth", "start": "embedded_canny"})},
        ("score, none", "score with the other"),
        lambda means: all(means[arm]["score with the other"] > 0.8 * means[arm]["score, none"] for arm in ("canny", "depth")),
    ),
    Experiment(
        "transfer",
        "A ControlNet works on another base of its family without training.",
        "figure 12: community models",
        {"plain": PLAIN},
        ("score, perfect", "score on a tuned base", "blank"),
        lambda means: means["plain"]["score on a tuned base"] > 0.8 * means["plain"]["score, perfect"],
    ),
)  # fmt: skip
