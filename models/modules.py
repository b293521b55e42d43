"""Load one network, tokenizer or scheduler from its files. Faults of files are WeightsErrors of one sentence."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from models.catalogue.sizes import is_four_bits
from models.catalogue.weights import check_file, short
from models.configs import CONFIG, read_json
from models.errors import DamagedError, InputError, MissingError
from models.families import FAMILIES, TITLES, network_prefix
from models.family_facts import Family, InnerEncoder
from models.files import read_shapes
from models.layouts.adapters import ADAPTER
from models.layouts.checkpoints import open_float8, open_tensors, part_of, read_all
from models.layouts.controlnet_files import load_controlnet_tensors
from models.layouts.float8 import float8_layers, put_packed, read_packed
from models.layouts.gguf_files import GGUF, load_quantised
from models.layouts.quantised import check_quantised, load_four_bits
from models.stopping import stopping_point

READ_FAULTS = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    RuntimeError,
    AttributeError,
    SafetensorError,
    UnpicklingError,
)
"""Raised by the libraries for a bad folder, with texts for programmers."""
TOKENIZER, PIECES = "tokenizer.json", "spiece.model"
"""A tokenizer's file, and the one of SentencePiece that transformers makes it from."""


@contextmanager
def quiet() -> Generator[None]:
    """Switch off the progress bars of transformers inside the block."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if drawn:
            logging.enable_progress_bar()


def load_network(kind: Any, folder: Path, dtype: torch.dtype, device: torch.device | str) -> Any:
    """Load a diffusers or transformers network onto the device, frozen; tensors of another dtype are converted."""
    stopping_point()
    check_quantised(read_json(folder / CONFIG), short(folder))
    files = [path for path in folder.iterdir() if path.suffix in (".safetensors", ".bin")]
    for path in files:
        check_file(path)
    fp16 = [path for path in files if ".fp16." in path.name]
    try:
        with quiet():
            network, info = kind.from_pretrained(
                folder, variant="fp16" if fp16 else None, dtype=dtype, local_files_only=True, output_loading_info=True
            )
    except READ_FAULTS as error:
        if not files:
            raise MissingError(
                f"{short(folder)} has a config but no weights; put a .safetensors file there."
            ) from error
        reason = str(error).strip().splitlines()
        raise _unreadable(files[0], f"it does not fit its config ({reason[0][:200] if reason else error!r})") from error
    unfilled = sorted(info["missing_keys"]) or sorted(str(key) for key in info["mismatched_keys"])
    if unfilled:
        raise _unreadable(files[0], f"{len(unfilled)} of its tensors do not fit its config, first {unfilled[0]}")
    return _ready(network, device, files[0])


def load_single_file(
    path: Path,
    family: Family,
    dtype: torch.dtype,
    device: torch.device | str,
    base_network: Any = None,
    on_note: Callable[[str], None] = lambda note: None,
) -> Any:
    """Load a ControlNet or T2I-Adapter from a file without a config; InputError for another family's, and for anything else.

    `base_network` is the base's, for a file that holds a part of the weights; `on_note` gets what the file leaves open.
    """
    import diffusers

    with damage_reported(path, f"a ControlNet or T2I-Adapter for {TITLES[family]}"):
        file = load_controlnet_tensors(path, family, base_network)
        is_adapter = "adapter_type" in file.config
        title = "T2I-Adapter" if is_adapter else "ControlNet"
        with without_weights():
            kind = file.network or getattr(diffusers, ADAPTER if is_adapter else FAMILIES[family].control_class)
            network: Any = kind(**file.config)
    network = fill_network(network, file.state, path, f"a {title} for {TITLES[family]}", dtype, device)
    for note in file.notes:
        on_note(note)
    return network


def load_network_file(
    path: Path,
    family: Family,
    folder: Path,
    dtype: torch.dtype,
    device: torch.device | str,
    keeps_float8: bool = False,
) -> Any:
    """Load the network of every step from a file of it alone, in the layout of its authors or of diffusers.

    `folder` has its config. Quantised weights stay so, and are widened to `dtype` in every pass; those in float8 only with
    `keeps_float8`, else once.
    """
    import diffusers
    from diffusers.loaders.single_file_model import SINGLE_FILE_LOADABLE_CLASSES

    facts, title = FAMILIES[family], f"the network of {TITLES[family]}"
    kind, config = getattr(diffusers, facts.network_class), read_json(folder / CONFIG)
    check_file(path)
    names = read_shapes(path) if path.suffix == ".safetensors" else {}
    if path.suffix == GGUF or is_four_bits(names):
        with damage_reported(path, title):
            if path.suffix == GGUF:
                network = load_quantised(kind, path, folder, dtype)
            else:
                network = load_four_bits(kind, path, names, folder, dtype)
        if any(tensor.is_meta for tensor in network.parameters()):
            raise _unreadable(path, f"some tensors of {title} are not in it")
        return _ready(network, device, path)
    with ExitStack() as stack, damage_reported(path, title):
        tensors = open_tensors(path, stack)
        prefix = network_prefix(facts, tensors) or ""
        own = part_of(tensors, prefix)
        with without_weights():
            network = kind.from_config(config)
        convert: Any = None
        if not network.state_dict().keys() <= own.keys():
            mapping: Any = SINGLE_FILE_LOADABLE_CLASSES[facts.network_class]["checkpoint_mapping_fn"]
            convert = partial(_converted, mapping, config)
        raw, scales = open_float8(path, stack) if keeps_float8 else ({}, {})
        scales = {name.removeprefix(prefix): scale for name, scale in scales.items()}
        packed = read_packed(part_of(raw, prefix), scales, dtype, convert) if raw else None
        if packed:
            state = put_packed(network, packed, dtype)
        else:
            state = read_all(own, dtype)
            state = convert(state) if convert else state
    return fill_network(network, state, path, title, dtype, device)


def _converted(mapping: Any, config: Mapping[str, Any], state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a state in diffusers' names by its own converter."""
    return mapping(checkpoint=state, config=config)


def load_inner_encoder(
    kind: Any,
    path: Path,
    prefix: str,
    facts: InnerEncoder,
    folder: Path,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Any:
    """Load a text encoder of a class of transformers from a file with other parts of a base; `folder` has its config.

    Tensors whose names behind `prefix` the class does not have, such as tables of places, are left out.
    """
    title = f"the text encoder {facts.folder}"
    with ExitStack() as stack, damage_reported(path, title):
        with without_weights():
            network = kind(kind.config_class.from_pretrained(folder, local_files_only=True))
        found = {_class_name(name, facts): read for name, read in part_of(open_tensors(path, stack), prefix).items()}
        for layer in facts.unread:
            if f"{layer}.weight" not in found:
                network.set_submodule(layer, torch.nn.Identity())
        names = network.state_dict()
        wanted = {name: read for name, read in found.items() if name in names and name not in facts.identity}
        state = read_all(wanted, dtype)
        state |= {name: torch.eye(len(names[name]), dtype=dtype) for name in facts.identity}
        state |= {name: state[source] for name, source in facts.shared if name in names and name not in state}
    filled = fill_network(network, state, path, title, dtype, device)
    filled.tie_weights()  # numbers in two places stay one storage, also after a move to another device
    return filled


def _class_name(name: str, facts: InnerEncoder) -> str:
    """Return the class's name of a tensor."""
    found = next(((start, own) for start, own in facts.renamed if name.startswith(start)), ("", ""))
    return found[1] + name.removeprefix(found[0])


@contextmanager
def without_weights() -> Generator[None]:
    """Let parameters of networks that are built inside the block take no memory; what no file holds is computed as usual."""
    from accelerate import init_empty_weights

    empty: Any = init_empty_weights
    with empty():
        yield


@contextmanager
def damage_reported(path: Path, title: str) -> Generator[None]:
    """Turn a library's error over missing or odd tensors inside the block into a DamagedError; `title` names the network."""
    try:
        yield
    except InputError:
        raise
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        raise _unreadable(path, f"its tensors are not those of {title}") from error


def fill_network(
    network: Any,
    converted: Mapping[str, Tensor | None],
    path: Path,
    title: str,
    dtype: torch.dtype,
    device: torch.device | str,
) -> Any:
    """Fill a network without weights with a file's tensors, and put it on the device, frozen. All tensors must fit."""
    expected: Mapping[str, Tensor] = network.state_dict()
    stopping_point()
    # diffusers' converters write None where a file lacks what they look for.
    state = {name: tensor for name, tensor in converted.items() if tensor is not None}
    unfit = [name for name in expected if name not in state or state[name].shape != expected[name].shape]
    unfit += [name for name in state if name not in expected]
    if unfit:
        raise _unreadable(path, f"{len(unfit)} of its tensors are not those of {title}, first {unfit[0]}")
    network.load_state_dict(state, strict=True, assign=True)
    return _ready(torch.nn.Module.to(network, dtype), device, path)


def load_tokenizer(folder: Path, kind: str = "CLIPTokenizer", **options: Any) -> Any:
    """Load a tokenizer of a class of transformers; `options` replace those of its files."""
    import transformers

    pieces = (folder / PIECES).is_file() and not (folder / TOKENIZER).is_file()
    if pieces and importlib.util.find_spec("sentencepiece") is None:
        raise InputError(
            f"The tokenizer in {short(folder)} is {PIECES}, which needs the package sentencepiece; run pip install "
            f"sentencepiece, or put {TOKENIZER} of the same tokenizer there."
        )
    try:
        return getattr(transformers, kind).from_pretrained(folder, local_files_only=True, **options)
    except READ_FAULTS as error:
        raise DamagedError(f"The tokenizer in {short(folder)} cannot be read; get its files again.") from error


def load_scheduler(name: str, folder: Path) -> Any:
    """Load a scheduler by its diffusers class name."""
    import diffusers

    kind: Any = getattr(diffusers, name, None)
    if not (isinstance(kind, type) and issubclass(kind, diffusers.SchedulerMixin)):
        raise InputError(
            f"The model in {short(folder.parent)} wants a scheduler {name!r}, which diffusers does not have."
        )
    create: Any = kind
    return create.from_config(read_json(folder / "scheduler_config.json"))


def has_odd_numbers(network: torch.nn.Module) -> bool:
    """Return whether a weight is not finite; packed ones are not looked at, but for those in float8."""
    if not all(bool(torch.isfinite(layer.widened()).all()) for _, layer in float8_layers(network)):
        return True
    plain = (weight for weight in network.parameters() if type(weight) is torch.nn.Parameter)
    return not all(bool(torch.isfinite(weight).all()) for weight in plain if weight.dtype.is_floating_point)


def _ready(network: Any, device: torch.device | str, path: Path) -> Any:
    network = network.to(device).eval().requires_grad_(False)
    if has_odd_numbers(network):
        raise _unreadable(path, "some of its numbers are not finite")
    return network


def _unreadable(path: Path, why: str) -> DamagedError:
    return DamagedError(f"{path.name} in {short(path.parent)} cannot be used: {why}; delete it and download it again.")
