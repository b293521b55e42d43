"""Parts of a row of the catalogue: files, terms, families and kinds. Loads no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from models.catalogue.licences import LICENCES
from models.family_facts import Defaults, Family, Parameters

Kind = Literal["base", "controlnet", "adapter", "ip_adapter", "lora", "vae", "annotator", "tokenizer"]

MB = 1_000_000
GATE = "Gated: accept the terms at {page} with your account first, and set HF_TOKEN to a token of it."


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


@dataclass(frozen=True, kw_only=True)
class Weights:
    """One loadable thing: where its files come from, and under which terms."""

    id: str
    kind: Kind
    title: str
    files: tuple[File, ...]
    licence: str
    """A key of models.catalogue.licences.LICENCES."""
    family: Family | None = None
    """The base family; None for annotators and for rows whose files alone determine it."""
    families: tuple[Family, ...] = ()
    """Where it fits several: all of them, and `family` is None."""
    repo: str = ""
    """Hugging Face repository; empty where the files ship with the project."""
    gated: bool = False
    """Whether the hub gives its files only to an account that has accepted the terms on its page."""
    revision: str = "main"
    folder: str = ""
    """Where the files ship with the project: a path below `models/`."""
    shares: str = ""
    """Name of the folder on this disk where several rows find the one network they read; empty where it has its own."""
    conditions: tuple[str, ...] = ()
    """Kinds of map that a ControlNet or adapter reads, or with a LoRA the base, as condition ids; empty where there are none."""
    note: str = ""
    """A remark for the user, in one sentence."""
    aliases: tuple[str, ...] = ()
    """Names, without ending, of files in which others publish the same weights."""
    defaults: Defaults | None = None
    conditioning_scale: float | None = None
    """Control strength that units start with on this base, or with this ControlNet; None where it is the family's."""
    controlnets: tuple[str, ...] = ()
    """Of a base: the ControlNets that are made for it and no other base of its family, for the conditions that they read."""
    family_controlnets: bool = True
    """Of a base: whether the ControlNets of its family fit it, which those for a network of another size do not."""
    parameters: Parameters | None = None
    """Of a base: the sizes of its networks; None where they are the family's."""
    loaded: int | None = None
    """Of an IP-Adapter: bytes of its networks in 16 bits; None where that is the size of its files."""
    control_type: int | None = None
    """Which of its inputs a union ControlNet is asked to read."""
    blocks: int | None = None
    """Blocks of a ControlNet or adapter that have a weight each; None where they are as many as its family's."""
    bgr: bool = False
    """Whether it was trained on maps with red and blue exchanged; the loader exchanges them back."""
    inpaints: bool = False
    """Of a base: whether its network reads a mask and the picture below it too."""
    pools: bool = False
    """Whether its residuals are averaged over the whole picture; its config has it, a file of its tensors alone does not."""

    @property
    def size(self) -> int | None:
        """Bytes of all files, rounded; None where one of them is unknown."""
        sizes = [file.size for file in self.files]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    @property
    def size_words(self) -> str:
        """`size` as users read it; 'at least …' where some files' sizes are unknown."""
        return total_text(file.size for file in self.files)

    @property
    def page(self) -> str:
        """Where its files can be looked at; empty where they ship with the project."""
        return f"https://huggingface.co/{self.repo}/tree/{self.revision}" if self.repo else ""

    @property
    def use(self) -> str:
        """The permitted use, in one sentence."""
        return LICENCES[self.licence].use

    @property
    def gate(self) -> str:
        """What to do before the download of gated files, in one sentence; empty where they are open."""
        return GATE.format(page=f"https://huggingface.co/{self.repo}") if self.gated else ""

    @property
    def terms(self) -> str:
        """Link to the licence's text, else to the model's page."""
        return LICENCES[self.licence].link or self.page

    @property
    def non_commercial(self) -> bool:
        return self.commercial == "no"

    @property
    def commercial(self) -> Literal["yes", "no", "ask"]:
        return LICENCES[self.licence].commercial


def size_text(size: int | None) -> str:
    """'723 MB', '1.45 GB', 'size unknown'."""
    if size is None:
        return "size unknown"
    if size < 100_000:
        return "under 0.1 MB"
    return f"{size / 1e9:.2f} GB" if size >= 1e9 else f"{size / 1e6:.3g} MB"


def total_text(sizes: Iterable[int | None]) -> str:
    """'1.45 GB'; 'at least 40.9 GB' where only some sizes are known, 'size unknown' where none above zero is."""
    all_sizes = list(sizes)
    least = sum(filter(None, all_sizes))
    if None not in all_sizes:
        return size_text(least)
    return f"at least {size_text(least)}" if least else size_text(None)


def text_files(*names: str) -> tuple[File, ...]:
    """Configs and vocabularies: a few kB to a MB, counted as nothing."""
    return tuple(File(name, 0) for name in names)


def network_file(stem: str, size: int | None = None) -> File:
    """Tensors of a diffusers or transformers network: fp16 where there is a choice, a pickle last of all."""
    pickle = stem.replace("/model", "/pytorch_model")
    return File(f"{stem}.fp16.safetensors", size, others=(f"{stem}.safetensors", f"{pickle}.bin"))


def network_files(mb: int | None = None) -> tuple[File, ...]:
    """Config and tensors of one diffusers network in a repository of its own; size in MB."""
    return (File("config.json", 0), network_file("diffusion_pytorch_model", mb and mb * MB))


def shipped(files: Iterable[File]) -> tuple[File, ...]:
    """The same files as this project's own writer names them: no variants."""
    return tuple(
        File(next(name for name in reversed(file.names) if not name.endswith((".bin", ".model")))) for file in files
    )


def folder_files(components: Iterable[str], sizes: Mapping[str, int] | None = None) -> tuple[File, ...]:
    """Files of a base model in diffusers folder format that has these components."""
    files = [File("model_index.json", 0)]
    for part in components:
        if part.startswith("tokenizer"):
            one_file = (f"{part}/tokenizer.json", f"{part}/spiece.model")
            files += [File(f"{part}/{name}", 0, others=one_file) for name in ("vocab.json", "merges.txt")]
            files += text_files(f"{part}/tokenizer_config.json")
        elif part == "scheduler":
            files += text_files("scheduler/scheduler_config.json")
        else:
            stem = f"{part}/model" if part.startswith("text_encoder") else f"{part}/diffusion_pytorch_model"
            files += [File(f"{part}/config.json", 0), network_file(stem, (sizes or {}).get(part))]
    return tuple(files)


def shard_index(file: File) -> File:
    """Return the index of the files that a network's tensors may be cut into; without it, the file of all serves."""
    whole = file.names[-2 if file.names[-1].endswith(".bin") else -1]
    return File(f"{whole}.index.json", 0, others=file.names)


def sharded_files(folder: str, stem: str, shards: int, mb: int | None = None) -> tuple[File, ...]:
    """Config and tensors of a network that is cut into files of about equal size; size of all in MB, None if unknown."""
    names = (f"{folder}/{stem}-{number:05}-of-{shards:05}.safetensors" for number in range(1, shards + 1))
    small = text_files(f"{folder}/config.json", f"{folder}/{stem}.safetensors.index.json")
    return (*small, *(File(name, mb and mb * MB // shards) for name in names))


COMPONENTS = ("unet", "vae", "text_encoder", "tokenizer", "scheduler")
"""Parts of a base model with one text encoder."""
COMPONENTS_XL = (*COMPONENTS, "text_encoder_2", "tokenizer_2")
ALL_COMPONENTS = ("transformer", *COMPONENTS_XL, "text_encoder_3", "tokenizer_3")
"""Parts of a base model of any family."""
TEXT_ENCODERS = tuple(part for part in ALL_COMPONENTS if part.startswith("text_encoder"))
