"""THE registry: one frozen row per condition. Tabs, command line, docs and tests are comprehensions over it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from annotators.base import shown
from annotators.maps.kinds import KINDS, MapKind
from annotators.registry import annotator
from cnet_app.registry.measures import MEASURES
from models.catalogue.catalog import CATALOG, entry
from models.catalogue.resolve import NamedKind, row_of_base, start_conditioning_scale
from models.errors import InputError
from models.families import FAMILIES, TITLES, takers
from models.family_facts import Family
from models.names import did_you_mean


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One kind of control with its annotators and its ControlNets."""

    id: str
    title: str
    help: str
    annotators: tuple[str, ...]
    """Annotator ids, the best first. Where a file is missing the app starts with the first that can run."""
    controlnets: Mapping[Family, str]
    """Catalogue id of the ControlNet, by family."""
    example: str
    """scikit-image photo (skimage.data), `world:SEED`, a procedural scene, or `drawing:NAME` of cnet_app.ui.examples."""
    example_prompt: str
    """Prompt of the example, for the embedded model."""
    example_area: tuple[float, ...]
    """Middle and radii, as fractions of the sides, of the ellipse that a masked condition's example repaints."""
    measure: str | None
    """Id of the measure in cnet_app.registry.measures that compares a result with its map; None where a result is not
    meant to resemble its map."""
    more_measures: tuple[str, ...] = ()
    """Ids of measures that are given beside it."""
    score_words: str = ""
    """Template of a score in plain words, with {percent}, or {found} and {wanted} joints; empty without a measure."""
    no_score: str = ""
    """Sentence why there is no measure; empty with one."""
    canvas: bool = False
    """Offers a canvas to draw on beside the photo."""
    masked: bool = False
    """The map is the picture to start from, without what the request's inpaint_mask covers."""
    names: tuple[str, ...] = ()
    """Other names in the files and preprocessors of other programs."""

    @property
    def kind(self) -> MapKind:
        """The kind of its maps, the same for all its annotators."""
        return KINDS[annotator(self.annotators[0]).kind]

    @property
    def families(self) -> tuple[Family, ...]:
        """The families that it can control: by a ControlNet, or by a map that the base itself reads."""
        return tuple(
            id for id, facts in FAMILIES.items() if id in self.controlnets or (facts.references and not self.masked)
        )

    @property
    def evaluated(self) -> tuple[str, ...]:
        """Ids of the measures that an evaluation gives, the condition's own first; none where it has none."""
        if self.measure is None:
            return ()
        of_kind = (row.id for row in MEASURES if self.kind.id in row.kinds)
        return tuple(dict.fromkeys((self.measure, *self.more_measures, *of_kind)))


def _controlnets(condition_id: str) -> Mapping[Family, str]:
    """Return the first ControlNet or adapter of the catalogue that reads these maps, by family.

    One that a base names as its own was made for that base.
    """
    of_a_base = {id for row in CATALOG for id in row.controlnets}
    networks = [row for row in CATALOG if row.kind in ("controlnet", "adapter") and row.id not in of_a_base]
    fitting = [(row.family, row.id) for row in reversed(networks) if row.family and condition_id in row.conditions]
    found = {taker: id for family, id in fitting for taker in takers(family)}
    return MappingProxyType({family: found[family] for family in FAMILIES if family in found})


def _row(
    id: str,
    title: str,
    help: str,
    annotators: str,
    example: str,
    example_prompt: str,
    measures: str | None,
    score_words: str,
    canvas: bool = False,
    masked: bool = False,
    names: str = "",
    example_area: tuple[float, ...] = (),
) -> Condition:
    """Return a condition; without measures, `score_words` are the sentence why."""
    measure, *more = measures.split() if measures else [None]
    return Condition(
        id=id,
        title=title,
        help=help,
        annotators=tuple(annotators.split()),
        controlnets=_controlnets(id),
        example=example,
        example_prompt=example_prompt,
        example_area=example_area,
        measure=measure,
        more_measures=tuple(filter(None, more)),
        score_words=score_words if measure else "",
        no_score="" if measure else score_words,
        canvas=canvas,
        masked=masked,
        names=tuple(names.split()),
    )


CONDITIONS: tuple[Condition, ...] = (
    _row(
        "canny", "Canny", "Hard edges: keeps every outline of the photo.",
        "canny", "coffee", "a poster in ocean colours", "edge_f1", "followed the edges: {percent} %",
    ),
    _row(
        "softedge", "Soft edge", "Soft outlines: keeps shapes; textures are free.",
        "hed hed_safe pidinet pidinet_safe teed softedge_gradient softedge_embedded", "world:26", "a clay picture of a red ball and a green cylinder under a day sky", "ms_ssim", "kept the soft outlines: {percent} %", names="hed pidinet pidi teed",
    ),
    _row(
        "openpose", "OpenPose", "Body pose: places people by their joints.",
        "dwpose openpose mediapipe_pose openpose_embedded", "world:56", "a clay picture of a red person under a day sky", "pck", "the pose: {found} of {wanted} joints", names="dwpose dw pose",
    ),
    _row(
        "depth", "Depth", "Near and far: keeps the layout of the scene.",
        "midas depth_anything_v2 zoe leres depth_embedded", "world:34", "a shaded picture of a red ball and a blue cylinder under a night sky", "rmse pearson", "kept the depth: {percent} %", names="midas leres zoe",
    ),
    _row(
        "normal", "Normals", "Surface directions: keeps relief and light.",
        "normal_bae normal_embedded normal_from_depth", "world:5", "a clay picture of a red cone and a yellow box under a day sky", "mean_angle", "kept the surface directions: {percent} %", names="bae",
    ),
    _row(
        "segmentation", "Segmentation", "What is where, in ADE20K colours.",
        "oneformer_ade20k_tiny oneformer_ade20k ade20k segmentation_embedded", "world:17", "a flat picture of a purple cylinder and an orange ball under a sunset sky", "mean_iou", "put things in their places: {percent} %", names="segment oneformer seg",
    ),
    _row(
        "scribble", "Scribble", "A rough drawing: draw it here or take the outlines of a photo.",
        "scribble_hed scribble_pidinet scribble_xdog threshold", "drawing:boat", "a stained glass window in fire colours", "edge_f1", "followed the drawing: {percent} %", canvas=True, names="sketch",
    ),
    _row(
        "lineart", "Line art", "A drawing of the photo: keeps fine lines and how strong they are.",
        "lineart lineart_coarse lineart_standard invert", "chelsea", "a poster in fire colours", "ms_ssim", "followed the line art: {percent} %",
    ),
    _row(
        "lineart_anime", "Anime line art", "A drawing of the photo as in anime.",
        "lineart_anime lineart_standard invert", "coffee", "an ink drawing in forest colours", "ms_ssim", "followed the line art: {percent} %", names="anime_lineart",
    ),
    _row(
        "mlsd", "Lines (M-LSD)", "Straight lines of walls, roofs and furniture; everything else is free.",
        "mlsd mlsd_tiny lines_opencv", "world:76", "a poster in forest colours", "edge_f1", "kept the straight lines: {percent} %",
    ),
    _row(
        "tile", "Tile", "Adds fine detail; use it to upscale.",
        "tile blur", "coffee", "a poster in fire colours", "ms_ssim", "kept the picture: {percent} %",
    ),
    _row(
        "inpaint", "Inpaint", "Repaints the area you mark so it blends in.",
        "as_it_is", "world:29", "a shaded picture of a yellow ball and a blue box under a day sky", "ms_ssim",
        "kept what was not masked: {percent} %", masked=True, names="repaint", example_area=(0.72, 0.58, 0.3, 0.36),
    ),
    _row(
        "shuffle", "Shuffle", "Colours and textures without their places: another picture of the same look.",
        "shuffle", "chelsea", "a cat on a sofa", None, "Shuffle leaves places free, so there is nothing to compare.",
    ),
    _row(
        "ip2p", "Edit (IP2P)", "Edits the picture by an instruction in the prompt, such as: make it winter.",
        "as_it_is", "rocket", "make it winter", None, "An edit is meant to change the picture, so there is nothing to compare.",
    ),
    _row(
        "recolor", "Recolor", "Keeps light and shade; colours are new.",
        "recolor_luminance recolor_intensity", "coffee", "a poster in ocean colours", "ms_ssim", "kept light and shade: {percent} %",
    ),
    _row(
        "color", "Color grid", "Keeps rough colours in place; shapes are free.",
        "color_grid", "world:81", "a shaded picture of a pink ball and a blue cone under a sunset sky", "rmse", "kept the colours in place: {percent} %",
    ),
)  # fmt: skip


def condition(id: str) -> Condition:
    """Return the row of an id; an unknown one is an InputError that lists the ids."""
    for row in CONDITIONS:
        if row.id == id:
            return row
    ids = [row.id for row in CONDITIONS]
    raise InputError(f"There is no condition {shown(id)}{did_you_mean(id, ids)}; choose one of: {', '.join(ids)}.")


def controlnet_id(condition_id: str, family: Family, base: str = "") -> str:
    """Return the catalogue id of a condition's ControlNet for a base of a family; InputError where there is none."""
    if found := own_controlnet(condition_id, family, base):
        return found
    row, own = condition(condition_id), row_of_base(base) if base else None
    bases = [one for one in CATALOG if one.kind == "base" and one.id in base_controlnets(condition_id)]
    near = [one.title for one in bases if one.family == family]
    able = " or ".join(near or [title for known, title in TITLES.items() if known in row.controlnets])
    raise InputError(
        f"{row.title} has no ControlNet for {own.title if own else TITLES[family]}; "
        f"choose a base model that has one: {able}."
    )


def own_controlnet(condition_id: str, family: Family, base: str = "") -> str | None:
    """Return the catalogue id of a condition's ControlNet as the base's row has it, else its family; None without one."""
    row = row_of_base(base) if base else None
    made_for_it = (id for id in (row.controlnets if row else ()) if condition_id in entry(id).conditions)
    if found := next(made_for_it, None):
        return found
    if row and not row.family_controlnets:
        return None
    return condition(condition_id).controlnets.get(family)


def base_controlnets(condition_id: str) -> dict[str, str]:
    """Return the catalogue id of a condition's ControlNet for each base of the catalogue that has one."""
    bases = [row for row in CATALOG if row.kind == "base" and row.family]
    found = ((row.id, own_controlnet(condition_id, row.family or "", row.id)) for row in bases)
    return {base: id for base, id in found if id}


def can_control(condition_id: str, family: Family, base: str = "") -> bool:
    """Return whether a condition controls a base: by a ControlNet, or by a map that the base itself reads."""
    if FAMILIES[family].references and not condition(condition_id).masked:
        return True
    return own_controlnet(condition_id, family, base) is not None


def control_model(condition_id: str, named: str | None, family: Family, base: str = "") -> tuple[NamedKind, str] | None:
    """Return kind and id of the model that a unit needs besides the base; `named` is its `controlnet`, None for the condition's own.

    A base that reads maps itself needs nothing, or the LoRA that is named. InputError where the condition cannot control it.
    """
    if family not in condition(condition_id).families or not FAMILIES[family].references:
        return "controlnet", named or controlnet_id(condition_id, family, base)
    return ("lora", named) if named else None


def start_scale(condition_id: str, controlnet: str | None, base: str, family: Family | None) -> float:
    """Return the control strength that a unit starts with; `controlnet` is None for the condition's own."""
    if controlnet is None and family:
        controlnet = own_controlnet(condition_id, family, base)
    return start_conditioning_scale(controlnet or "", base, family)
