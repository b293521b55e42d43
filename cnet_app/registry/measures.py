"""Measures of how closely a picture follows its control image: one frozen row per measure.

A measure has its own scale. Its agreement is the same on one scale for all, so that pictures can be sorted: from 0, what a
blank map has against one of evenly spread values, straight up to 1, the best value.

The functions that compute them are in cnet_app.fidelity.measures, by the same ids.
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from annotators.maps.kinds import KindId
from models.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A number that compares a control image with the map of a picture that was made from it."""

    id: str
    title: str
    help: str
    higher_is_better: bool
    range: tuple[float, float]
    """Smallest and largest value."""
    blank_value: float = 0.0
    """Value of a map without content against one whose values are evenly spread: an agreement of 0."""
    unit: str = ""
    """Empty for a share or a similarity."""
    kinds: tuple[KindId, ...] = ()
    """Kinds of maps for which an evaluation gives it, besides the measures of their condition."""

    @property
    def best(self) -> float:
        """The end of the range that two equal maps have."""
        return self.range[1] if self.higher_is_better else self.range[0]

    def agreement(self, value: float) -> float:
        """Return how well a map is followed, 0 to 1: 1 at the best value, 0 at `blank_value` and beyond."""
        share = (value - self.blank_value) / (self.best - self.blank_value)
        return min(max(share, 0.0), 1.0)

    @property
    def label(self) -> str:
        """Return the title with its unit: 'mean angle (degrees)'."""
        return f"{self.title} ({self.unit})" if self.unit else self.title


MEASURES: tuple[Measure, ...] = (
    Measure(
        id="edge_f1",
        title="edge F1 (2 px)",
        help="F1 score of line pixels; a line counts as found within 2 px.",
        higher_is_better=True,
        range=(0.0, 1.0),
        kinds=("lines", "soft_lines"),
    ),
    Measure(
        id="ms_ssim",
        title="MS-SSIM",
        help="Structural similarity of the grey maps over five scales.",
        higher_is_better=True,
        range=(0.0, 1.0),
        kinds=("lines", "soft_lines", "picture"),
    ),
    Measure(
        id="rmse",
        title="RMSE",
        help="Root mean square error of the maps, as a share of their full range.",
        higher_is_better=False,
        range=(0.0, 1.0),
        blank_value=0.289,  # the square root of 1/12: middle grey against greys from black to white
        kinds=("picture",),
    ),
    Measure(
        id="pearson",
        title="Pearson correlation",
        help="Correlation of the grey maps; brightness and contrast do not count.",
        higher_is_better=True,
        range=(-1.0, 1.0),
    ),
    Measure(
        id="mean_angle",
        title="mean angle",
        help="Mean angle between the surface directions of both maps.",
        higher_is_better=False,
        range=(0.0, 180.0),
        blank_value=57.3,  # one radian: the front against directions spread over a half-sphere
        unit="degrees",
    ),
    Measure(
        id="mean_iou",
        title="mIoU",
        help="Intersection over union of each class, averaged over the classes of the control image.",
        higher_is_better=True,
        range=(0.0, 1.0),
    ),
    Measure(
        id="pck",
        title="PCK",
        help="Share of the joints found within a tenth of the person's height.",
        higher_is_better=True,
        range=(0.0, 1.0),
    ),
    Measure(
        id="oks",
        title="OKS",
        help="Object keypoint similarity of COCO: joints count by how far off they are, from the head's to the hips'.",
        higher_is_better=True,
        range=(0.0, 1.0),
        kinds=("pose",),
    ),
    Measure(
        id="edge_f1_strict",
        title="edge F1 (0 px)",
        help="F1 score of line pixels, which count only in their place; as in the protocol of ControlNet++.",
        higher_is_better=True,
        range=(0.0, 1.0),
        kinds=("lines",),
    ),
    Measure(
        id="ms_ssim_strict",
        title="MS-SSIM (strict)",
        help="MS-SSIM in which the border counts at the coarsest scale alone; as in the protocol of ControlNet++, which "
        "calls it SSIM.",
        higher_is_better=True,
        range=(0.0, 1.0),
        kinds=("soft_lines",),
    ),
    Measure(
        id="grey_rmse",
        title="grey RMSE",
        help="Root mean square error of the grey maps; as in the protocol of ControlNet++.",
        higher_is_better=False,
        range=(0.0, 255.0),
        blank_value=73.6,  # 255 times the square root of 1/12
        unit="grey levels",
        kinds=("depth",),
    ),
    Measure(
        id="class_iou",
        title="mIoU over the set",
        help="Intersection over union of each class over all pictures together, averaged over the classes; as in the "
        "protocol of ControlNet++.",
        higher_is_better=True,
        range=(0.0, 1.0),
        kinds=("labels",),
    ),
    Measure(
        id="colour_difference",
        title="colour difference",
        help="Mean distance of the colours in CIE Lab.",
        higher_is_better=False,
        range=(0.0, 260.0),
        blank_value=61.7,  # middle grey against colours spread evenly over sRGB
        unit="ΔE",
        kinds=("picture",),
    ),
)


def measure(id: str) -> Measure:
    """Return the row of an id; raise InputError for an unknown one."""
    for row in MEASURES:
        if row.id == id:
            return row
    known = [row.id for row in MEASURES]
    alike = difflib.get_close_matches(id, known, 3, 0.4)
    hint = f"did you mean {' or '.join(alike)}? " if alike else ""
    raise InputError(f"There is no measure {id!r}; {hint}the measures are: {', '.join(known)}.")
