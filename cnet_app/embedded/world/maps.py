"""Control images of exact ground truth, drawn like those of annotators."""

from __future__ import annotations

from annotators.base import Image
from annotators.canny import Canny
from annotators.maps.encoders import encode_depth, encode_normal, encode_segmentation
from annotators.people.sticks import draw_pose
from annotators.scribble import ScribbleXDoG
from annotators.softedge import SoftEdgeGradient
from cnet_app.embedded.world.sample import Sample


def control_images(sample: Sample) -> dict[str, Image]:
    """Return (S, S, 3) RGB maps by condition id: lines for every picture, geometry for scenes, pose where there are people."""
    maps = {
        "canny": Canny()(sample.image),
        "softedge": SoftEdgeGradient()(sample.image),
        "scribble": ScribbleXDoG()(sample.image),
    }
    if sample.depth is not None:
        maps["depth"] = encode_depth(sample.depth)
    if sample.normal is not None:
        maps["normal"] = encode_normal(sample.normal)
    if sample.segmentation is not None:
        maps["segmentation"] = encode_segmentation(sample.segmentation)
    if sample.people:
        maps["openpose"] = draw_pose(sample.people, *sample.image.shape[:2])
    return maps
