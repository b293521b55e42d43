"""The rows of the catalogue: those of every family, then what several families share, a table for each kind.

Sizes are rounded, in bytes: from the repositories where they are known, else from the number of parameters; None, shown as
"size unknown", where neither tells, as of repositories whose number format is not known. They are shown and compared with the
free disk space, never used to judge a file. Checksums are those on which several projects that pin them agree; a copied
network has its author's licence.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.catalogue.row import MB, File, Weights, text_files
from models.families import FILES
from models.family_facts import Family

_APACHE, _MIT, _CMU = "Apache-2.0", "MIT", "CMU academic, non-commercial"


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
    *(row for file in FILES for row in file.WEIGHTS), *_VAES, *_ANNOTATORS, *_TOKENIZERS,
)  # fmt: skip
