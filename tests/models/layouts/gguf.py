"""Files of quantised weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from gguf import GGMLQuantizationType, GGUFWriter
from gguf.quants import quantize
from torch import Tensor


def write_gguf(path: Path, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Write matrices in 8 bits and the rest whole; return the tensors as the file has them."""
    from gguf.quants import dequantize

    kind, writer, kept = GGMLQuantizationType.Q8_0, GGUFWriter(path, "z_image"), dict(state)
    for name, tensor in state.items():
        if tensor.ndim == 2 and "embedder" not in name and name.endswith("weight") and tensor.shape[1] % 32 == 0:
            packed = quantize(tensor.numpy(), kind)
            writer.add_tensor(name, packed, raw_dtype=kind)
            kept[name] = (
                torch.from_numpy(dequantize(packed, kind)).half().float()
            )  # as diffusers multiplies by the scale
        else:
            writer.add_tensor(name, tensor.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return kept
