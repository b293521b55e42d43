"""Which pairs are trained on, and which are held out as probes. Loads no torch."""

from __future__ import annotations

import numpy as np

from cnet_app.request.training import TrainingPlan
from cnet_app.training.data.pairs import DataSet, Pair
from cnet_app.training.data.readers import without_maps
from models.errors import InputError


def split(data: DataSet, validation: DataSet | None, plan: TrainingPlan) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return the pairs to train on and those of the probes; InputError where too few are left.

    Without a validation set the probes are drawn from the data by the seed, and not trained on.
    """
    usable = [pair for pair in data.pairs if pair.control is not None]
    source = usable if validation is None else [pair for pair in validation.pairs if pair.control is not None]
    count = min(plan.probes, len(source)) if plan.probe_every else 0
    if validation is not None and not source:
        raise InputError(
            f"validation is {plan.validation!r}, which has {len(validation.pairs)} pictures, but no maps for the probes; "
            "build them with `data build`, or leave it out to hold out some of the data."
        )
    chosen = sorted(np.random.default_rng((plan.seed, len(source))).choice(len(source), count, replace=False))
    probes = tuple(source[index] for index in chosen)
    held = {pair.name for pair in probes} if validation is None else set[str]()
    rest = tuple(pair for pair in usable if pair.name not in held)
    if not usable:
        raise InputError(without_maps(data, plan.condition))
    if not rest:
        raise InputError(
            f"{data.folder} has {len(usable)} pairs, of which {count} are held out as probes, so that none is left to "
            "train on; add pairs, or lower probes."
        )
    return rest, probes
