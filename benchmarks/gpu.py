"""Our pipeline against eager diffusers on a GPU: `python -m benchmarks.gpu --output DIR`, without network, page or weights.

Networks have their real size and random weights; text encoders, which run once a job, are short. `--tiny` tries it on a CPU.
Of the annotators those run whose network transformers can make: DWPose is a file of ONNX, which is not here.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import diffusers
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection
from transformers.models.qwen3 import Qwen3Config, Qwen3Model

from annotators.base import create
from annotators.registry import annotator
from annotators.runtime import Runtime
from benchmarks.hub_peers import HUB_PEERS, save
from benchmarks.machine import this_machine
from benchmarks.pipeline.jobs import create_unit
from benchmarks.pipeline.measure import psnr
from benchmarks.pipeline.models import AUTOENCODER
from cnet_app.diffusion.cache import EncodingCache
from cnet_app.diffusion.pipeline import generate
from cnet_app.request.generation import GenerationRequest
from models.errors import StudioError
from models.families import FAMILIES
from models.family_facts import Family
from models.loader import CLIP_TOKENS, Base, base_dtype
from models.machine.speed import tune
from models.tiny import tiny_base
from models.tiny.unets import tiny_controlnet
from models.tiny.z_image import tiny_z_image_controlnet

PEER = "diffusers, eager"
ANNOTATORS = ("midas", "oneformer_ade20k_tiny")
SPEEDS = ("exact", "near", "compiled")
SHORT, LONG = 4, 12
"""Steps of two runs, whose difference is the time of the steps between."""
XL: dict[str, Any] = {
    "sample_size": 128, "cross_attention_dim": 2048, "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"), "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20), "use_linear_projection": True, "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
}  # fmt: skip
Z_CONTROL: dict[str, Any] = {
    "control_layers_places": list(range(0, 30, 2)), "control_refiner_layers_places": [0, 1], "control_in_dim": 33,
    "add_control_noise_refiner": "control_noise_refiner", "dim": 3840, "n_refiner_layers": 2, "n_heads": 30, "n_kv_heads": 30,
}  # fmt: skip
Pictures = list[NDArray[np.uint8]]


@dataclass(frozen=True)
class Subject:
    """A base and a ControlNet, and the picture that is asked of them."""

    base: Base
    controlnet: Any
    side: int
    guidance_scale: float

    def request(self, steps: int) -> GenerationRequest:
        unit = create_unit(
            self.side, control_form="diffusers" if FAMILIES[self.base.family].control_forms else "authors"
        )
        return GenerationRequest(
            prompt="a red ball under a blue sky", units=(unit,), width=self.side, height=self.side, seed=0,
            num_inference_steps=steps, guidance_scale=self.guidance_scale,
        )  # fmt: skip


@dataclass(frozen=True)
class Figures:
    """Figures of one pipeline on one subject."""

    family: Family
    side: int
    dtype: str
    way: str
    step_ms: float
    """Of one step, both sides of guidance in it."""
    peak_gb: float | None
    """Most memory that tensors took on the GPU, networks included; None on a CPU."""
    psnr: float | None
    """Of the picture against the peer's, in dB; None for the peer itself, and where a picture is not finite."""
    fault: str = ""


@contextmanager
def _made_on(device: torch.device, dtype: torch.dtype) -> Generator[None]:
    """Networks are made on the device at once, in their number format."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with torch.device(device):
            yield
    finally:
        torch.set_default_dtype(before)


def _lively(controlnet: nn.Module) -> Any:
    """Fill what a fresh ControlNet joins its base by, which is zero."""
    for name, weight in controlnet.named_parameters():
        if any(
            part in name for part in ("controlnet_down_blocks", "controlnet_mid_block", "before_proj", "after_proj")
        ):
            nn.init.normal_(weight, std=0.02)
    return _locked(controlnet)


def _locked(network: Any) -> Any:
    return network.eval().requires_grad_(False)


def _clip(kind: Any, tokenizer: Any, width: int) -> Any:
    config = CLIPTextConfig(
        vocab_size=len(tokenizer), hidden_size=width, intermediate_size=4 * width, projection_dim=width,
        num_hidden_layers=2, num_attention_heads=width // 64, max_position_embeddings=CLIP_TOKENS,
        bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return _locked(kind(config))


def _u_net(family: Family, widths: Sequence[int], **config: Any) -> tuple[dict[str, Any], Any]:
    """Parts of a base with a U-Net, and its ControlNet."""
    tokenizers = tiny_base(family).tokenizers
    for tokenizer in tokenizers:
        tokenizer.model_max_length = CLIP_TOKENS
    kinds = (CLIPTextModel, CLIPTextModelWithProjection)
    unet: Any = diffusers.UNet2DConditionModel(**config)
    parts = {
        "unet": _locked(unet),
        "vae": _locked(diffusers.AutoencoderKL(**AUTOENCODER)),
        "text_encoders": tuple(_clip(*made) for made in zip(kinds, tokenizers, widths, strict=False)),
        "tokenizers": tokenizers,
    }
    return parts, _lively(diffusers.ControlNetModel.from_unet(unet, load_weights_from_unet=False))


def _z_image() -> tuple[dict[str, Any], Any]:
    facts, tokenizers = FAMILIES["z_image"], tiny_base("z_image").tokenizers
    assert facts.latent_scaling is not None
    transformer: Any = diffusers.ZImageTransformer2DModel()
    for token in (transformer.x_pad_token, transformer.cap_pad_token):
        nn.init.normal_(token, std=0.02)
    encoder = Qwen3Config(
        hidden_size=2560, intermediate_size=9728, num_hidden_layers=2, num_attention_heads=32, num_key_value_heads=8,
        head_dim=128, vocab_size=len(tokenizers[0]), max_position_embeddings=512,
    )  # fmt: skip
    vae = diffusers.AutoencoderKL(
        **AUTOENCODER, latent_channels=facts.latent_channels, scaling_factor=facts.latent_scaling,
        shift_factor=facts.latent_shift, use_quant_conv=False, use_post_quant_conv=False,
    )  # fmt: skip
    parts = {
        "unet": _locked(transformer),
        "vae": _locked(vae),
        "text_encoders": (_locked(Qwen3Model(encoder)),),
        "tokenizers": tokenizers,
    }
    return parts, _lively(diffusers.ZImageControlNetModel(**Z_CONTROL))


BUILDERS: Mapping[Family, tuple[Callable[[], tuple[dict[str, Any], Any]], int, float]] = {
    "sd15": (partial(_u_net, "sd15", (768,), sample_size=64, cross_attention_dim=768), 512, 7.5),
    "sdxl": (partial(_u_net, "sdxl", (768, 1280), **XL), 1024, 5.0),
    "z_image": (_z_image, 1024, 1.0),
}
"""By family: what makes the parts, the side in px, and guidance_scale."""


def build(family: Family, device: torch.device, dtype: torch.dtype, tiny: bool) -> Subject:
    """Make a subject with random weights, the same at every call."""
    builder, side, guidance = BUILDERS[family]
    base = tiny_base(family)
    if tiny:
        control = tiny_z_image_controlnet() if family == "z_image" else tiny_controlnet(base)
        return Subject(base, control, 64, guidance)
    dtype = base_dtype(family, dtype)
    with _made_on(device, dtype), torch.random.fork_rng():
        torch.manual_seed(0)
        parts, controlnet = builder()
    base = replace(base, **parts, device=device, dtype=dtype, defaults=FAMILIES[family].defaults, vae_scale_factor=8)
    return Subject(base, controlnet, side, guidance)


def peer_of(subject: Subject) -> Callable[[int], Pictures]:
    """diffusers' own pipeline on the same networks; takes the number of steps."""
    base = subject.base
    kinds = {
        "sd15": "StableDiffusionControlNetPipeline", "sdxl": "StableDiffusionXLControlNetPipeline", "z_image": "ZImageControlNetPipeline",
    }  # fmt: skip
    parts: dict[str, Any] = {
        FAMILIES[base.family].network_folder: base.network,
        "vae": base.vae,
        "scheduler": base.scheduler,
    }
    for number, (encoder, tokenizer) in enumerate(zip(base.text_encoders, base.tokenizers, strict=True)):
        end = f"_{number + 1}" if number else ""
        parts |= {f"text_encoder{end}": encoder, f"tokenizer{end}": tokenizer}
    if base.family == "sd15":
        parts |= {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}
    pipe: Any = getattr(diffusers, kinds[base.family])(**parts, controlnet=subject.controlnet)
    pipe.set_progress_bar_config(disable=True)

    def run(steps: int) -> Pictures:
        request = subject.request(steps)
        image = Image.fromarray(request.units[0].pixels)
        guidance = request.guidance_scale - (base.family == "z_image")  # its pipeline counts from 0
        given = {"control_image" if base.family == "z_image" else "image": image}
        made = pipe(
            prompt=request.prompt, width=subject.side, height=subject.side, num_inference_steps=steps, guidance_scale=guidance,
            controlnet_conditioning_scale=1.0, generator=torch.Generator("cpu").manual_seed(request.seed), **given,
        )  # fmt: skip
        return [np.asarray(made.images[0])]

    return run


def ours(subject: Subject, speed: str) -> Callable[[int], Pictures]:
    """Our pipeline at a speed; takes the number of steps."""
    base = replace(subject.base, network=tune(subject.base.network, speed))
    controlnet = tune(subject.controlnet, speed)
    return lambda steps: generate(base, [controlnet], subject.request(steps), cache=EncodingCache())


def measure(
    subject: Subject, way: str, run: Callable[[int], Pictures], reference: Pictures | None
) -> tuple[Figures, Pictures | None]:
    """Run twice at two lengths, the first time without the clock."""
    base = subject.base
    figures = Figures(base.family, subject.side, str(base.dtype).removeprefix("torch."), way, float("nan"), None, None)
    on_gpu = base.device.type == "cuda"
    try:
        pictures = run(SHORT)
        if on_gpu:
            torch.cuda.reset_peak_memory_stats()
        seconds = [min(_seconds(run, steps, on_gpu) for _ in range(2)) for steps in (SHORT, LONG)]
    except (StudioError, RuntimeError) as error:
        return replace(figures, fault=str(error).splitlines()[0][:200]), None
    step = 1000 * (seconds[1] - seconds[0]) / (LONG - SHORT)
    peak = torch.cuda.max_memory_allocated() / 1e9 if on_gpu else None
    apart = psnr(pictures, reference) if reference else None
    return replace(figures, step_ms=step, peak_gb=peak, psnr=apart), pictures


def _seconds(run: Callable[[int], object], steps: int, on_gpu: bool) -> float:
    begun = time.perf_counter()
    run(steps)
    if on_gpu:
        torch.cuda.synchronize()
    return time.perf_counter() - begun


def compare(subject: Subject, speeds: Sequence[str]) -> list[Figures]:
    """The peer, then our pipeline at each speed: they change the networks' layout, so the exact one is first."""
    first, reference = measure(subject, PEER, peer_of(subject), None)
    found = [first]
    for speed in speeds:
        print(f"{subject.base.family} {speed} …", file=sys.stderr, flush=True)
        found.append(measure(subject, f"ours, {speed}", ours(subject, speed), reference)[0])
    return found


def annotator_times(device: torch.device) -> dict[str, float]:
    """Return the milliseconds that a photo of 512 px takes, by annotator, the network loaded before."""
    found: dict[str, float] = {}
    photo = np.random.default_rng(0).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder, patch.dict(os.environ, {"CNET_MODELS_DIR": folder}):
        for id in ANNOTATORS:
            annotate, runtime = create(annotator(id)), Runtime(device.type)
            save(*HUB_PEERS[id].create(), Path(folder) / annotate.weights[0])
            annotate(photo, runtime)
            times = [
                _seconds(
                    lambda _, annotate=annotate, runtime=runtime: annotate(photo, runtime), 1, device.type == "cuda"
                )
                for _ in range(5)
            ]
            found[id] = 1000 * sorted(times)[2]
    return found


def annotators_table(times: Mapping[str, float]) -> str:
    """As Markdown."""
    return "\n".join(
        [
            "| Annotator at 512 px | ms |",
            "|---|---|",
            *(f"| {annotator(id).title} | {ms:.1f} |" for id, ms in times.items()),
        ]
    )


def table(rows: Sequence[Figures]) -> str:
    """As Markdown; the ratio is to the peer's time."""
    lines = [
        "| Base with a ControlNet | Side | Format | | ms a step | Ratio | Peak (GB) | PSNR (dB) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    peers = {row.family: row.step_ms for row in rows if row.way == PEER}
    for row in rows:
        end = row.fault or (
            f"{row.step_ms:.1f} | {row.step_ms / peers[row.family]:.3f} | {'-' if row.peak_gb is None else f'{row.peak_gb:.1f}'} "
            f"| {'-' if row.psnr is None else f'{row.psnr:.1f}'}"
        )
        lines.append(f"| {FAMILIES[row.family].title} | {row.side} | {row.dtype} | {row.way} | {end} |")
    return "\n".join(lines)


def write(rows: Sequence[Figures], times: Mapping[str, float], device: torch.device, folder: Path | None) -> str:
    """Return the tables as Markdown, and write them and the figures where a folder is given."""
    name = torch.cuda.get_device_name() if device.type == "cuda" else this_machine().cpu
    text = f"Taken on {name}; {this_machine().versions}.\n\n{table(rows)}\n\n{annotators_table(times)}"
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        figures = {
            "device": name,
            "machine": asdict(this_machine()),
            "rows": list(map(asdict, rows)),
            "annotators": times,
        }
        (folder / "gpu.json").write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
        (folder / "gpu.md").write_text(f"{text}\n", encoding="utf-8")
    return text


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what fits the time, and write figures and tables after every family; 1 where something could not run."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="miniatures, on any device")
    parser.add_argument(
        "--only",
        nargs="+",
        choices=BUILDERS,
        default=list(BUILDERS),
        metavar="FAMILY",
        help=f"some of: {', '.join(BUILDERS)}",
    )
    parser.add_argument("--speeds", nargs="+", choices=SPEEDS, default=SPEEDS, metavar="SPEED", help="(default: all)")
    parser.add_argument(
        "--minutes", type=float, default=8, metavar="N", help="begin no family after this time (default: %(default)s)"
    )
    parser.add_argument("--output", type=Path, metavar="DIR", help="write gpu.json and gpu.md there")
    args = parser.parse_args(arguments)
    if not args.tiny and not torch.cuda.is_available():
        parser.error("torch finds no CUDA device; add --tiny to run miniatures on the CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float16 if device.type == "cuda" and not args.tiny else torch.float32
    rows: list[Figures] = []
    ends = time.monotonic() + 60 * args.minutes
    for family in args.only:
        if time.monotonic() < ends:
            rows += compare(build(family, device, dtype, args.tiny), args.speeds)
            write(rows, {}, device, args.output)
            gc.collect()
            torch.cuda.empty_cache()
    print(write(rows, {} if args.tiny else annotator_times(device), device, args.output))
    return 1 if any(row.fault for row in rows) else 0


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    sys.exit(main())
