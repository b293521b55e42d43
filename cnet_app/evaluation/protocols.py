"""Published evaluations that can be run here: pictures are made and measured with the settings of their authors.

Where a run departs from them, it is said with the result.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from annotators.base import Image
from annotators.maps.control_map import ControlMap
from annotators.maps.encoders import resize_map
from annotators.maps.map_files import map_role
from annotators.sources.images import load_image
from cnet_app.evaluation import paper
from cnet_app.evaluation.pairing import Method, pictures_below
from cnet_app.evaluation.pictures import Evaluation, Progress, evaluate_pictures
from cnet_app.evaluation.report import Reference, Report
from cnet_app.evaluation.scores import Judging
from cnet_app.registry.conditions import condition
from cnet_app.request.generation import GenerationRequest
from cnet_app.request.pictures import encode_png
from cnet_app.request.units import ControlUnit
from models.downloads.whole import write_whole
from models.errors import InputError, SaveError

Generate = Callable[[GenerationRequest], Image]
MakeControl = Callable[[Image, int], ControlMap]
"""The control image of a photo at a side in px."""
SETTINGS = "protocol.json"
NEGATIVE = 'No negative prompt is used, as their paper says; their script has one, "worst quality, low quality".'


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """One published evaluation."""

    id: str
    title: str
    condition: str
    annotator: str
    """Of the pictures, and of the control images where they are made of photos."""
    detector: str
    """Theirs, in words."""
    is_detector: bool = True
    """Whether `annotator` is theirs; else it is the nearest one that there is."""
    data: str
    """Theirs, in words."""
    measure: str
    """The one of its table."""
    base: str = "sd15"
    scheduler: str = "unipc"
    num_inference_steps: int = 20
    guidance_scale: float = 7.5
    size: int = 512
    """Side of a picture in px."""
    pictures: int = 4
    """For each control image."""
    references: tuple[Reference, ...]
    standing: tuple[str, ...] = (NEGATIVE,)
    """Deviations that every run here has."""


_MULTIGEN = "MultiGen-20M's evaluation set"
PROTOCOLS: tuple[Protocol, ...] = (
    Protocol(
        id="canny", title="Canny edges", condition="canny", annotator="canny",
        detector="Kornia's Canny at 0.1 and 0.2", is_detector=False, data=_MULTIGEN, measure="edge_f1_strict",
        references=paper.CONTROLLABILITY["canny"],
    ),
    Protocol(
        id="hed", title="HED edges", condition="softedge", annotator="hed", detector="HED", data=_MULTIGEN,
        measure="ms_ssim_strict", references=paper.CONTROLLABILITY["hed"],
    ),
    Protocol(
        id="lineart", title="Line art", condition="lineart", annotator="lineart", detector="the line drawing network",
        data=_MULTIGEN, measure="ms_ssim_strict", references=paper.CONTROLLABILITY["lineart"],
    ),
    Protocol(
        id="depth", title="Depth", condition="depth", annotator="midas", detector="DPT-Large",
        is_detector=False, data=_MULTIGEN, measure="grey_rmse", references=paper.CONTROLLABILITY["depth"],
    ),
    Protocol(
        id="seg-ade20k", title="ADE20K labels", condition="segmentation", annotator="oneformer_ade20k",
        detector="OneFormer (Swin-L)", data="ADE20K's validation set", measure="class_iou",
        references=(*paper.LABELS, *paper.QUALITY, *paper.CONTROLLABILITY["seg-ade20k"]),
        standing=("ControlNet++ read the labels again with Mask2Former (Swin-L), the paper with OneFormer.", NEGATIVE),
    ),
)  # fmt: skip


def protocol(id: str) -> Protocol:
    """Return a row; raise InputError for an unknown id."""
    known = {row.id: row for row in PROTOCOLS}
    if id not in known:
        alike = difflib.get_close_matches(id, known, 1, 0.4)
        hint = f"did you mean {alike[0]}? " if alike else ""
        raise InputError(f"There is no protocol {id!r}; {hint}choose one of: {', '.join(known)}.")
    return known[id]


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a protocol: its row, with what was changed, and the data."""

    row: Protocol
    """The published one."""
    used: Protocol
    """The one that is run."""
    output: Path
    data: str
    """In words."""
    controls: Path | None = None
    """Control images; None makes them of the photos."""
    photos: Path | None = None
    prompts: Mapping[str, str]
    controlnet: str | None = None
    limit: int | None = None
    """Control images; None takes all."""
    seed: int = 0

    def __post_init__(self) -> None:
        if (self.controls is None) == (self.photos is None):
            raise InputError("A protocol needs control images or photos; give one of --control-images and --photos.")

    @property
    def deviations(self) -> tuple[str, ...]:
        """Return a sentence for each difference from the published protocol."""
        row, used = self.row, self.used
        found = [
            f"{name} is {ours}, theirs {theirs}."
            for name, ours, theirs in (
                ("The base", used.base, row.base),
                ("The side of a picture", f"{used.size} px", f"{row.size} px"),
                ("The sampler", used.scheduler, row.scheduler),
                ("The number of steps", used.num_inference_steps, row.num_inference_steps),
                ("The guidance", f"{used.guidance_scale:g}", f"{row.guidance_scale:g}"),
                ("The number of pictures of a control image", used.pictures, row.pictures),
            )
            if ours != theirs
        ]
        if used.annotator != row.annotator or not row.is_detector:
            found.append(f"The detector is {used.annotator}, theirs {row.detector}.")
        return (*found, f"The data are {self.data}; theirs {row.data}.", *row.standing)

    @property
    def facts(self) -> dict[str, Any]:
        """What must be the same for pictures to be used again."""
        used = self.used
        return {
            "protocol": used.id,
            "base": used.base,
            "controlnet": self.controlnet,
            "annotator": used.annotator,
            "size": used.size,
            "scheduler": used.scheduler,
            "num_inference_steps": used.num_inference_steps,
            "guidance_scale": used.guidance_scale,
            "seed": self.seed,
            "source": str(self.controls or self.photos),
        }


def run_protocol(
    run: Run,
    evaluation: Evaluation,
    generate: Generate,
    make_control: MakeControl,
    progress: Progress = lambda done, total: None,
) -> Report:
    """Make what is missing of the pictures, measure them, and write the report below the run's output folder.

    `evaluation` gives the judging and the statistics; folders, prompts and notes are the run's. Raises InputError and
    SaveError.
    """
    _start(run)
    names = _make_controls(run, make_control)
    _make_pictures(run, names, generate, progress)
    plan = replace(
        evaluation,
        controls=run.output / "control_images",
        methods=(Method(run.used.base, run.output / "images"),),
        prompts=run.prompts,
        output=run.output,
        published=run.row.references,
        notes=run.deviations,
    )
    return evaluate_pictures(plan)


def judging_of(run: Run, annotate: Any) -> Judging:
    """Return how a run's pictures are measured."""
    return Judging(row=condition(run.used.condition), annotator=run.used.annotator, parameters={}, annotate=annotate)


def _start(run: Run) -> None:
    """Make the folder, or check that it is of the same run."""
    path = run.output / SETTINGS
    try:
        run.output.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(json.dumps(run.facts, indent=2) + "\n", encoding="utf-8")
        known = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error}); remove it, or give another --output.") from error
    except OSError as error:
        raise SaveError(f"{run.output} cannot be written ({error.strerror}); give another --output.") from error
    if known != run.facts:
        changed = ", ".join(name for name, value in run.facts.items() if known.get(name) != value)
        raise InputError(f"{run.output} holds a protocol with other settings ({changed}); give another --output.")


def _make_controls(run: Run, make_control: MakeControl) -> tuple[str, ...]:
    """Write the control images at the protocol's size, and return their names."""
    source = run.controls or run.photos
    assert source is not None
    if not source.is_dir():
        raise InputError(f"There is no folder {source}; give the folder of the control images or photos.")
    kind, size = condition(run.used.condition).kind, run.used.size
    names: list[str] = []
    for path in pictures_below(source)[: run.limit]:
        target = run.output / "control_images" / f"{path.stem}.png"
        if path.stem in names:
            raise InputError(f"Two pictures of {source} are named {path.stem}; rename one of them.")
        names.append(path.stem)
        if target.exists():
            continue
        if run.controls is not None:
            _write(target, resize_map(load_image(path, path.name, map_role(kind)), kind, size, size))
        else:
            made = make_control(load_image(path, path.name), size)
            if made.data is not None:
                _write_bytes(target.with_suffix(".json"), json.dumps(made.data.to_json()).encode())
            _write(target, made.pixels)
    if not names:
        raise InputError(f"{source} holds no pictures; give the folder of the control images or photos.")
    return tuple(names)


def _make_pictures(run: Run, names: Sequence[str], generate: Generate, progress: Progress) -> None:
    used, total = run.used, len(names) * run.used.pictures
    for number, name in enumerate(names):
        for group in range(used.pictures):
            target = run.output / "images" / f"group_{group}" / f"{name}.png"
            if not target.exists():
                _write(target, generate(_request(run, name, run.seed + number * used.pictures + group)))
            progress(number * used.pictures + group + 1, total)


def _request(run: Run, name: str, seed: int) -> GenerationRequest:
    used = run.used
    control = (run.output / "control_images" / f"{name}.png").read_bytes()
    return GenerationRequest(
        units=(ControlUnit(condition=used.condition, control_image=control, controlnet=run.controlnet),),
        prompt=run.prompts.get(name, ""),
        base=used.base,
        width=used.size,
        height=used.size,
        scheduler=used.scheduler,
        num_inference_steps=used.num_inference_steps,
        guidance_scale=used.guidance_scale,
        seed=seed,
    )


def _write(path: Path, pixels: Image) -> None:
    _write_bytes(path, encode_png(pixels))


def _write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. Raises SaveError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError as error:
        raise SaveError(
            f"{path} cannot be written ({error.strerror}); make room, and run the command again: what is there already is kept."
        ) from error
