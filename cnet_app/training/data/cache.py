"""Encoded pairs on the disk: each is read and encoded once, and memory-mapped while training.

cache/files.json                the sha256 of the data's files
cache/KEY/index.json             buckets, prompts, and the sha256 of every shard: written last
cache/KEY/shards.json            the sha256 of the shards that are whole: what is not in it is encoded again
cache/KEY/pairs-00000.safetensors    SHARD pairs: `moments.INDEX.VARIANT`, `hint.INDEX.VARIANT` (uint8, or latents)
cache/KEY/prompts-00000.safetensors  prompts: `NAME.INDEX`; the empty one is the first
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from annotators.base import Image
from annotators.maps.kinds import MapKind
from annotators.people.poses import Pose
from cnet_app.registry.conditions import condition
from cnet_app.request.training import TrainingPlan
from cnet_app.training.data.file_sums import FileSums
from cnet_app.training.data.framing import Framing, bucket_of, can_mirror, frame_control, frame_image
from cnet_app.training.data.pairs import Pair, image_size, read_control, read_control_data, read_image
from cnet_app.training.examples import Encoded
from cnet_app.training.trainable.base import Trainable
from models.downloads.disk import disk_reason
from models.downloads.whole import sweep_unfinished, unfinished, write_whole
from models.errors import DamagedError, SaveError, TrainingError
from models.files import sha256_of

INDEX, SUMS = "index.json", "shards.json"
PAIRS, PROMPTS = "pairs", "prompts"
"""Kinds of shards."""
SHARD = 64
"""Pairs or prompts in one file."""
CROPS = 4
"""Random crops of a pair; more are not cached."""
MOST_OPEN = 256
"""Shards that are memory-mapped at once."""
Value = TypeVar("Value")
Note = Callable[[str], None]
Done = Callable[[int, int], None]
"""Gets the pairs that are encoded, and how many there are."""


def nothing(*_: object) -> None:
    """Take no notice of the progress."""


class OpenShards:
    """The shards that this process reads, memory-mapped; the one that was not read for longest is closed."""

    def __init__(self) -> None:
        self._files: OrderedDict[Path, tuple[Any, Mapping[int, list[str]]]] = OrderedDict()

    def tensor(self, path: Path, name: str) -> Tensor:
        """Return a tensor of a shard; DamagedError where the file or the tensor is gone."""
        return _guarded(path, lambda: self._open(path)[0].get_tensor(name))

    def names(self, path: Path, prompt: int) -> list[str]:
        """Return the names of a prompt's tensors in a shard; DamagedError as of `tensor`."""
        return _guarded(path, lambda: self._open(path)[1][prompt])

    def _open(self, path: Path) -> tuple[Any, Mapping[int, list[str]]]:
        if path not in self._files:
            file: Any = safe_open(path, "pt")
            names: dict[int, list[str]] = {}
            for key in sorted(file.keys()):
                name, _, number = key.partition(".")
                names.setdefault(int(number.partition(".")[0]), []).append(name)
            self._files[path] = (file, names)
            if len(self._files) > MOST_OPEN:
                self._files.popitem(last=False)
        self._files.move_to_end(path)
        return self._files[path]


def _guarded(path: Path, read: Callable[[], Value]) -> Value:
    try:
        return read()
    except (OSError, SafetensorError, LookupError, ValueError) as error:
        text = f"{path.parent} has lost a part ({error}); delete the folder, and resume the training."
        raise DamagedError(text) from error


@dataclass(frozen=True)
class StoredExamples:
    """Examples, from the files of a cache."""

    key: str
    buckets: tuple[tuple[int, int], ...]
    variants: int
    folder: Path
    prompts: tuple[int, ...]
    """Of each pair the number of its prompt."""
    pairs_key: str = ""
    shards: OpenShards = field(default_factory=OpenShards, repr=False, compare=False)

    def read(self, indices: Sequence[int], variants: Sequence[int], emptied: Sequence[bool]) -> Encoded:
        """Return pairs of one bucket; DamagedError where a file of the cache is gone."""
        moments, hints = (
            [self._of_pair(part, *both) for both in zip(indices, variants, strict=True)] for part in ("moments", "hint")
        )
        chosen = [0 if empty else self.prompts[index] for index, empty in zip(indices, emptied, strict=True)]
        names = self.shards.names(self._shard(PROMPTS, chosen[0]), chosen[0])
        prompts = {name: torch.stack([self._of_prompt(name, one) for one in chosen]).float() for name in names}
        return Encoded(torch.stack(moments).float(), torch.stack([whole(hint) for hint in hints]), prompts)

    def _of_pair(self, part: str, index: int, variant: int) -> Tensor:
        return self.shards.tensor(self._shard(PAIRS, index), f"{part}.{index}.{variant}")

    def _of_prompt(self, name: str, number: int) -> Tensor:
        return self.shards.tensor(self._shard(PROMPTS, number), f"{name}.{number}")

    def _shard(self, kind: str, index: int) -> Path:
        return shard_path(self.folder, kind, index // SHARD)


def shard_path(folder: Path, kind: str, number: int) -> Path:
    """Return the path of a shard."""
    return folder / f"{kind}-{number:05d}.safetensors"


def whole(hint: Tensor) -> Tensor:
    """uint8 of one or three channels to (3, H, W) float32 in [0, 1]; latents as they are."""
    return hint.expand(3, -1, -1).float() / 255 if hint.dtype == torch.uint8 else hint


def encode_examples(
    pairs: Sequence[Pair],
    plan: TrainingPlan,
    trainable: Trainable,
    folder: Path,
    done: Done = nothing,
    note: Note = nothing,
) -> StoredExamples:
    """Encode the pairs that the cache below `folder` lacks, and return all of them.

    `note` gets a sentence about what of the data is not used. Raises InputError for a pair that cannot be read,
    TrainingError where the autoencoder overflows, and SaveError.
    """
    sums_of_files = FileSums(folder)
    work = _Work(pairs, plan, trainable, sums_of_files)
    place = folder / work.key
    for text in filter(None, (work.too_long(), work.not_mirrored())):
        note(text)
    try:
        sums_of_files.write()
        place.mkdir(parents=True, exist_ok=True)
        sweep_unfinished(place)
        sums = _sums_of_whole_shards(place)
        for name, tensors in work.shards(sums):
            sums[name] = _write(place / name, tensors)
            write_whole(place / SUMS, json.dumps(sums).encode())
            done(min(sum(one.startswith(PAIRS) for one in sums) * SHARD, len(pairs)), len(pairs))
        index = {"buckets": work.buckets, "prompts": work.prompt_numbers, "sha256": sums}
        write_whole(place / INDEX, json.dumps(index).encode())
    except OSError as error:
        raise SaveError(
            f"The encoded pictures could not be written to {place} ({error.strerror}); make room, and resume the training."
        ) from error
    return StoredExamples(work.key, work.buckets, work.variants, place, work.prompt_numbers, work.pairs_key)


def _sums_of_whole_shards(folder: Path) -> dict[str, str]:
    """Return the shards that are as they were written; the others are encoded again."""
    try:
        noted = dict(json.loads((folder / SUMS).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}
    return {name: sum for name, sum in noted.items() if (folder / name).is_file() and sha256_of(folder / name) == sum}


def _write(path: Path, tensors: Mapping[str, Tensor]) -> str:
    try:
        with unfinished(path) as part:
            save_file(dict(tensors), part)
            sum = sha256_of(part)
    except SafetensorError as error:
        raise OSError(28, disk_reason(error)) from error
    return sum


class _Work:
    """What is to be encoded, and how."""

    def __init__(self, pairs: Sequence[Pair], plan: TrainingPlan, trainable: Trainable, sums: FileSums) -> None:
        self._pairs, self._plan, self._trainable = pairs, plan, trainable
        self._kind: MapKind = condition(plan.condition).kind
        self._poses = [_pose_of(pair, self._kind) for pair in pairs]
        self._flips = plan.flip and all(can_mirror(self._kind, pose) for pose in self._poses)
        self._crops = CROPS if plan.crop else 1
        self.variants = self._crops * (2 if self._flips else 1)
        self.buckets = tuple(self._bucket(pair) for pair in pairs)
        texts = [pair.caption or plan.caption for pair in pairs]
        self._texts = list(dict.fromkeys(["", *texts]))
        places = {text: number for number, text in enumerate(self._texts)}
        self.prompt_numbers = tuple(places[text] for text in texts)
        self.pairs_key = self._pairs_key(sums)
        self.key = self._key(sums)

    def _bucket(self, pair: Pair) -> tuple[int, int]:
        return bucket_of(*image_size(pair), self._plan.size, self._plan.buckets)

    def too_long(self) -> str:
        """Return a sentence about prompts of which a text encoder does not read the end; empty where all are read."""
        found = dict[str, int]()
        for tokenizer, most in self._trainable.readers:
            candidates = [text for text in self._texts if len(text) > most - 2]  # a token has a character at least
            ids: list[list[int]] = tokenizer(candidates, verbose=False).input_ids if candidates else []
            found |= {text: most for text, tokens in zip(candidates, ids, strict=True) if len(tokens) > most}
        if not found:
            return ""
        most, first = min(found.values()), next(iter(found))
        return (
            f"{len(found)} of {len(self._texts)} prompts are longer than the {most} tokens that the text encoder reads; their ends are not used, "
            f"as in '{first[:60]}…'."
        )

    def not_mirrored(self) -> str:
        """Return a sentence about `flip` where it has no effect; empty where it has, or is off."""
        if not self._plan.flip or self._flips:
            return ""
        bare = sum(not can_mirror(self._kind, pose) for pose in self._poses)
        return (
            f"flip has no effect, so no pair is mirrored: {bare} of {len(self._poses)} maps have no JSON of their people, and a "
            "drawn pose alone does not show left and right; make the maps by data build, which writes it, or switch flip off."
        )

    def _pairs_key(self, sums: FileSums) -> str:
        """By the content of the data and how they are framed, whatever encodes them."""
        digest = hashlib.sha256(repr((self._settings(), self.buckets)).encode())
        for pair, number in zip(self._pairs, self.prompt_numbers, strict=True):
            digest.update(repr((pair.name, self._texts[number], *_contents(pair, sums))).encode())
        return digest.hexdigest()[:16]

    def _settings(self) -> tuple[object, ...]:
        plan = self._plan
        return plan.condition, plan.size, plan.buckets, self._crops, self._flips, plan.seed if plan.crop else 0

    def _key(self, sums: FileSums) -> str:
        """By all that the encoded tensors depend on: of the data it is the content, so that a copy has the same."""
        digest = hashlib.sha256()
        digest.update(repr((self._settings(), self._trainable.base.dtype)).encode())
        digest.update(self._trainable.hint_key.encode())
        for network in (self._trainable.base.vae, *self._trainable.base.text_encoders):
            _digest_weights(digest, network)
        for pair, number in zip(self._pairs, self.prompt_numbers, strict=True):
            digest.update(repr((pair.name, self._texts[number], *_contents(pair, sums))).encode())
        return digest.hexdigest()[:16]

    def shards(self, known: Mapping[str, str]) -> Iterator[tuple[str, dict[str, Tensor]]]:
        """Yield name and tensors of each shard that is not known."""
        for start in range(0, len(self._texts), SHARD):
            name = shard_path(Path(), PROMPTS, start // SHARD).name
            if name not in known:
                yield name, self._encoded_prompts(start)
        for start in range(0, len(self._pairs), SHARD):
            name = shard_path(Path(), PAIRS, start // SHARD).name
            if name not in known:
                yield name, self._encoded_pairs(start)

    def _encoded_prompts(self, start: int) -> dict[str, Tensor]:
        texts = self._texts[start : start + SHARD]
        dtype = self._trainable.base.dtype
        return {
            f"{name}.{start + row}": tensor[row].to(dtype).contiguous()
            for name, tensor in self._trainable.encode_prompts(texts).items()
            for row in range(len(texts))
        }

    def _encoded_pairs(self, start: int) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for index in range(start, min(start + SHARD, len(self._pairs))):
            image, control = read_image(self._pairs[index]), read_control(self._pairs[index], self._kind)
            for number, framing in enumerate(self._framings(index)):
                found[f"moments.{index}.{number}"] = self._moments(frame_image(image, framing), index)
                framed = frame_control(control, framing, self._kind, self._poses[index])
                found[f"hint.{index}.{number}"] = self._trainable.encode_hint(_compact(framed)).contiguous()
        return found

    def _framings(self, index: int) -> Iterator[Framing]:
        width, height = self.buckets[index]
        rng = np.random.default_rng((self._plan.seed, index))
        for _ in range(self._crops):
            left, top = rng.random(2) if self._plan.crop else (0.5, 0.5)
            for mirrored in (False, True)[: 2 if self._flips else 1]:
                yield Framing(width, height, float(left), float(top), mirrored)

    def _moments(self, image: Image, index: int) -> Tensor:
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1
        found = self._trainable.encode_moments(pixels)[0]
        if not bool(found.isfinite().all()):
            raise TrainingError(
                f"The autoencoder gave no valid numbers for {self._pairs[index].image.title} in {self._trainable.base.vae.dtype}; "
                "choose float32 as precision, or another vae that works in half precision."
            )
        return found.contiguous()


def _pose_of(pair: Pair, kind: MapKind) -> Pose | None:
    data: Any = read_control_data(pair) if kind.id == "pose" else None
    return Pose.from_json(data, pair.name) if data is not None else None


def _compact(control: Image) -> Tensor:
    """(H, W, 3) to (1, H, W) where it is grey, else (3, H, W); uint8."""
    tensor = torch.from_numpy(control).permute(2, 0, 1)
    grey = bool((tensor[0] == tensor[1]).all() and (tensor[1] == tensor[2]).all())
    return (tensor[:1] if grey else tensor).contiguous()


def _digest_weights(digest: Any, network: nn.Module) -> None:
    for name, value in network.state_dict().items():
        digest.update(name.encode())
        digest.update(str(float(value.double().sum())).encode())


def _contents(pair: Pair, sums: FileSums) -> Iterator[tuple[str, int, int | None]]:
    for source in (pair.image, pair.control, pair.control_data):
        if source is not None:
            yield sums.of(source), source.offset, source.size
