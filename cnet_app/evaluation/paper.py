"""Published numbers, as data: the tables of the ControlNet paper and of ControlNet++. Loads nothing heavy.

A number is here only where it was read in the paper itself.
"""

from __future__ import annotations

from cnet_app.evaluation.report import Reference

PAPER = "Zhang, Rao and Agrawala, Adding Conditional Control to Text-to-Image Diffusion Models (arXiv 2302.05543v3)"
PLUS = "Li et al., ControlNet++ (arXiv 2404.07987v4)"


def _ranking(method: str, quality: tuple[float, float], fidelity: tuple[float, float]) -> tuple[Reference, ...]:
    source = f"{PAPER}, Table 1: 20 sketches, 12 users, 1 to 5"
    return (
        Reference(method=method, metric="mean rank of quality", value=quality[0], deviation=quality[1], source=source),
        Reference(method=method, metric="mean rank of fidelity", value=fidelity[0], deviation=fidelity[1], source=source),
    )  # fmt: skip


def _labels(method: str, value: float, deviation: float) -> Reference:
    source = f"{PAPER}, Table 2: ADE20K, OneFormer"
    return Reference(method=method, metric="IoU", value=value, deviation=deviation, source=source, measure="mean_iou")


def _quality(method: str, fid: float, clip: float, aesthetics: float) -> tuple[Reference, ...]:
    source = f"{PAPER}, Table 3: ADE20K, 512 px"
    return (
        Reference(method=method, metric="FID", value=fid, source=source, measure="fid"),
        Reference(method=method, metric="CLIP score (cosine)", value=clip, source=source),
        Reference(method=method, metric="CLIP aesthetics", value=aesthetics, source=source, measure="aesthetics"),
    )


RANKING: tuple[Reference, ...] = (
    *_ranking("PITI (sketch)", (1.10, 0.05), (1.02, 0.01)),
    *_ranking("Sketch-Guided (1.6)", (3.21, 0.62), (2.31, 0.57)),
    *_ranking("Sketch-Guided (3.2)", (2.52, 0.44), (3.28, 0.72)),
    *_ranking("ControlNet-lite", (3.93, 0.59), (4.09, 0.46)),
    *_ranking("ControlNet", (4.22, 0.43), (4.28, 0.45)),
)
"""Table 1: the average human ranking."""
LABELS: tuple[Reference, ...] = (
    _labels("real pictures", 0.58, 0.10),
    _labels("VQGAN", 0.21, 0.15),
    _labels("LDM", 0.31, 0.09),
    _labels("PITI", 0.26, 0.16),
    _labels("ControlNet-lite", 0.32, 0.12),
    _labels("ControlNet", 0.35, 0.14),
)
"""Table 2: labels read again from pictures that were made from labels."""
QUALITY: tuple[Reference, ...] = (
    *_quality("Stable Diffusion (no labels)", 6.09, 0.26, 6.32),
    *_quality("VQGAN", 26.28, 0.17, 5.14),
    *_quality("LDM", 25.35, 0.18, 5.15),
    *_quality("PITI", 19.74, 0.20, 5.77),
    *_quality("ControlNet-lite", 17.92, 0.26, 6.30),
    *_quality("ControlNet", 15.27, 0.26, 6.31),
)
"""Table 3: pictures made from labels."""
WHICH_MODEL: tuple[Reference, ...] = (
    Reference(
        method="ControlNet against SDv2 depth-to-image", metric="precision of users", value=0.52, deviation=0.17,
        source=f"{PAPER}, comparison with an industrial model: 12 users, 200 pictures",
    ),
)  # fmt: skip
"""Whether users tell the two models apart; 0.5 is chance."""


def _controllability(metric: str, measure: str, data: str, scale: float, **values: float) -> tuple[Reference, ...]:
    source = f"{PLUS}, Table 1: {data}, 512 px, mean of 4 groups"
    return tuple(
        Reference(method=METHODS[id], metric=metric, value=value, source=source, measure=measure, scale=scale)
        for id, value in values.items()
    )


METHODS = {
    "t2i": "T2I-Adapter",
    "gligen": "GLIGEN",
    "uni": "Uni-ControlNet",
    "unicontrol": "UniControl",
    "controlnet": "ControlNet v1.1",
    "plus": "ControlNet++",
}
_MULTIGEN = "MultiGen-20M"
CONTROLLABILITY: dict[str, tuple[Reference, ...]] = {
    "seg-ade20k": _controllability(
        "mIoU in percent", "class_iou", "ADE20K, Mask2Former", 100,
        t2i=12.61, gligen=23.78, uni=19.39, unicontrol=25.44, controlnet=32.55, plus=43.64,
    ),
    "canny": _controllability(
        "F1 score in percent", "edge_f1_strict", _MULTIGEN, 100,
        t2i=23.65, gligen=26.94, uni=27.32, unicontrol=30.82, controlnet=34.65, plus=37.04,
    ),
    "hed": _controllability(
        "SSIM", "ms_ssim_strict", _MULTIGEN, 1,
        gligen=0.5634, uni=0.6910, unicontrol=0.7969, controlnet=0.7621, plus=0.8097,
    ),
    "lineart": _controllability("SSIM", "ms_ssim_strict", _MULTIGEN, 1, controlnet=0.7054, plus=0.8399),
    "depth": _controllability(
        "RMSE", "grey_rmse", _MULTIGEN, 1,
        t2i=48.40, gligen=38.83, uni=40.65, unicontrol=39.18, controlnet=35.90, plus=28.32,
    ),
}  # fmt: skip
"""By protocol: Table 1 of ControlNet++, its methods on Stable Diffusion 1.4 and 1.5."""
