"""Networks quantised by a package: what they need is said in words; with the package they run on what it packed."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cnet_app.request.generation import GenerationRequest
from models.catalogue.local import LocalFile
from models.catalogue.sizes import is_four_bits
from models.errors import InputError
from models.families import FAMILIES
from models.layouts import quantised
from models.loader import Base, load_base, save_base
from models.machine.memory import module_bytes
from models.modules import has_odd_numbers
from models.tiny import tiny_base
from tests.diffusion.backbones.latents import latents_of

NAMES = ("layers.0.adaLN_modulation.0.weight", "layers.0.adaLN_modulation.0.weight.quant_state.bitsandbytes__nf4")


@pytest.fixture(scope="module")
def base() -> Base:
    return tiny_base("z_image")


@pytest.fixture
def folder(own_folders: Path, base: Base) -> Path:
    """The family's base in the place of the catalogue's, with names that its row lists."""
    folder = own_folders / "z_image"
    save_base(base, folder, torch.float32)
    return folder


@pytest.fixture
def has_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: name in ("bitsandbytes",) or found(name, *rest)
    )


def quantise(folder: Path, **values: Any) -> None:
    """Say in the network's config that it is quantised."""
    config = folder / "transformer" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"quantization_config": values}))


@pytest.mark.parametrize("method", quantised.PACKAGES)
def test_a_missing_package_is_named(folder: Path, method: str) -> None:
    quantise(folder, quant_method=method)
    if importlib.util.find_spec(quantised.PACKAGES[method][0]) is not None:
        pytest.skip("the package is here")
    with pytest.raises(
        InputError, match=rf"quantised weights, which need the package \S+; run pip install \S*{method}\S*, or"
    ):
        load_base(str(folder))


def test_a_method_that_nothing_here_reads_is_named(folder: Path) -> None:
    quantise(folder, quant_method="exotic")
    with pytest.raises(InputError, match=r"quantised by exotic, but it must be one of: bitsandbytes, torchao, quanto"):
        load_base(str(folder))


@pytest.mark.usefixtures("has_package")
@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_bitsandbytes_needs_a_gpu(folder: Path) -> None:
    quantise(folder, quant_method="bitsandbytes", load_in_4bit=True)
    with pytest.raises(
        InputError, match="bitsandbytes, which runs on a GPU alone; choose a base in 16 bits, in float8 or as GGUF"
    ):
        load_base(str(folder))


@pytest.mark.usefixtures("has_package")
def test_authors_names_in_four_bits_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(quantised, "ON_GPU", frozenset())
    names = [f"double_blocks.0.img_attn.qkv.weight{end}" for end in ("", ".quant_state.bitsandbytes__nf4")]
    assert is_four_bits(names) and not is_four_bits(names[:1])
    with pytest.raises(InputError, match=r"a\.safetensors is stored in 4 bits under the names of its authors"):
        quantised.load_four_bits(None, tmp_path / "a.safetensors", names, tmp_path, torch.float32)


@pytest.mark.parametrize("double", [False, True])
def test_four_bits_run_as_they_are_packed(
    folder: Path, base: Base, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, double: bool
) -> None:
    """Needs bitsandbytes, of which this test asks what diffusers asks of a GPU alone."""
    pytest.importorskip("bitsandbytes")
    import diffusers
    from diffusers.quantizers.bitsandbytes.bnb_quantizer import BnB4BitDiffusersQuantizer

    monkeypatch.setattr(quantised, "ON_GPU", frozenset())
    monkeypatch.setattr(BnB4BitDiffusersQuantizer, "validate_environment", lambda *_, **__: None)
    monkeypatch.setattr(BnB4BitDiffusersQuantizer, "update_device_map", lambda *_: {"": "cpu"})
    config: Any = diffusers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_compute_dtype=torch.float32,
        bnb_4bit_use_double_quant=double,
    )
    kind: Any = getattr(diffusers, FAMILIES["z_image"].network_class)
    packed = kind.from_pretrained(folder / "transformer", quantization_config=config, dtype=torch.float32)
    shutil.copytree(folder, tmp_path / "whole")
    shutil.rmtree(tmp_path / "whole" / "transformer")
    packed.save_pretrained(tmp_path / "whole" / "transformer")
    file = tmp_path / "alone.safetensors"
    shutil.copy(tmp_path / "whole" / "transformer" / "diffusion_pytorch_model.safetensors", file)
    assert LocalFile(file, "base").family == "z_image"
    for loaded in (
        load_base(str(tmp_path / "whole")).network,
        quantised.load_four_bits(kind, file, packed.state_dict(), folder / "transformer", torch.float32),
    ):
        layer, own = loaded.layers[0].feed_forward.w1, packed.layers[0].feed_forward.w1
        assert type(layer).__name__ == "Linear4bit" and torch.equal(layer.weight, own.weight)
        x = torch.randn(2, layer.in_features)
        assert torch.equal(layer.train()(x), own.train()(x))  # its other path on a CPU needs wider layers


def test_a_file_in_four_bits_names_its_package(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "four.safetensors"
    save_file({name: torch.zeros(1, dtype=torch.uint8) for name in NAMES}, path)
    assert LocalFile(path, "base").family == "z_image"
    from models.modules import load_network_file

    with pytest.raises(
        InputError, match=r"four\.safetensors (has quantised weights.*pip install bitsandbytes|is quantised by)"
    ):
        load_network_file(path, "z_image", folder / "transformer", torch.float32, "cpu")


class Packed(torch.Tensor):
    """A tensor that presents itself as float32 and holds bytes, as those of torchao and quanto do."""

    packed: torch.Tensor

    @staticmethod
    def __new__(cls: type[Packed], shape: tuple[int, ...]) -> Packed:
        made = torch.Tensor._make_wrapper_subclass(cls, shape, dtype=torch.float32)
        made.packed = torch.zeros(shape, dtype=torch.int8)
        return made

    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["packed"], None

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is torch.ops.aten.detach.default:
            return args[0]
        raise NotImplementedError(str(function))


def test_packed_weights_are_neither_read_as_numbers_nor_counted_as_wide_ones(tmp_path: Path) -> None:
    network = torch.nn.Linear(2, 3, bias=False)
    network.weight = torch.nn.Parameter(Packed((3, 2)), requires_grad=False)
    assert module_bytes([network]) == 6
    assert not has_odd_numbers(network)


@pytest.mark.parametrize("method", ["torchao", "quanto"])
def test_a_folder_of_packed_weights_makes_nearly_the_same_picture(folder: Path, base: Base, method: str) -> None:
    """Needs the package."""
    pytest.importorskip(quantised.PACKAGES[method][0])
    import diffusers

    if method == "torchao":
        from torchao.quantization import Int8WeightOnlyConfig  # pyright: ignore

        config: Any = diffusers.TorchAoConfig(Int8WeightOnlyConfig())
    else:
        config = diffusers.QuantoConfig(weights_dtype="int8")
    kind: Any = getattr(diffusers, FAMILIES["z_image"].network_class)
    packed = kind.from_pretrained(folder / "transformer", quantization_config=config, dtype=torch.float32)
    shutil.rmtree(folder / "transformer")
    packed.save_pretrained(folder / "transformer", safe_serialization=method != "torchao")
    loaded = load_base(str(folder))
    assert module_bytes([loaded.network]) < 0.5 * module_bytes([base.network])
    request = GenerationRequest(
        prompt="a red ball", seed=1, width=64, height=64, num_inference_steps=2, guidance_scale=1
    )
    found, exact = (latents_of(one, [], request) for one in (loaded, base))
    assert 0 < (found - exact).abs().max() < 0.02 * exact.abs().max()
