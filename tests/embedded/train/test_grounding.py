"""Words are looked at where their things are: the masks, the words and the loss of the attention between them."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from annotators.maps.encoders import encode_segmentation
from cnet_app.embedded.train.networks import create_unet
from cnet_app.embedded.train.stages.grounding import SIDE, RecordedAttention, grounding_loss, shape_masks, shape_words
from cnet_app.embedded.train.text import create_tokenizer, token_ids
from cnet_app.embedded.world import create_scene
from cnet_app.embedded.world.words import SHAPES

CAPTIONS = ["a red ball and a blue cone", "a red ball", ""]


@pytest.fixture(scope="module")
def words() -> Tensor:
    tokenizer = create_tokenizer(CAPTIONS)
    return shape_words(tokenizer, token_ids(tokenizer, CAPTIONS))


@pytest.fixture
def masks() -> Tensor:
    """A ball in the left half of every picture, a cone in the right."""
    masks = torch.zeros(len(CAPTIONS), len(SHAPES), SIDE, SIDE)
    masks[:, SHAPES.index("ball"), :, : SIDE // 2] = 1
    masks[:, SHAPES.index("cone"), :, SIDE // 2 :] = 1
    return masks


def test_a_things_words_are_its_noun_and_the_colour_before_it(words: Tensor) -> None:
    places = {shape: words[0, SHAPES.index(shape)].nonzero().flatten().tolist() for shape in SHAPES}
    assert places == {"ball": [2, 3], "cone": [6, 7], "box": [], "cylinder": [], "person": []}
    assert words[2].sum() == 0


@pytest.mark.slow
def test_masks_are_the_scenes_things() -> None:
    scene = next(s for s in map(create_scene, range(50)) if {t.shape for t in s.things} == {"ball", "person"})
    assert scene.segmentation is not None
    masks = shape_masks(encode_segmentation(scene.segmentation)[None])
    assert masks.shape == (1, len(SHAPES), SIDE, SIDE)
    assert {shape for shape, mask in zip(SHAPES, masks[0], strict=True) if mask.any()} == {"ball", "person"}
    assert scene.instances is not None
    assert masks.sum() / SIDE**2 == pytest.approx((scene.instances > 0).mean(), rel=0.02)


@pytest.mark.slow
def test_the_loss_teaches_where_to_look(words: Tensor, masks: Tensor) -> None:
    torch.manual_seed(0)
    unet = create_unet().train()
    optimizer = torch.optim.AdamW(unet.parameters(), lr=1e-3)
    picture = torch.randn(len(CAPTIONS), 16, SIDE, SIDE) + masks[:, :1]
    text = torch.randn(len(CAPTIONS), words.shape[2], 128)
    losses = []
    for _ in range(12):
        unet(picture, 500, text)
        loss = grounding_loss(unet, words, masks)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] == pytest.approx(np.log(2), abs=0.1)
    assert losses[-1] < 0.5 * losses[0]


def test_captions_of_one_thing_or_none_cost_nothing(words: Tensor, masks: Tensor) -> None:
    unet = create_unet().train()
    unet(torch.randn(2, 16, SIDE, SIDE), 500, torch.randn(2, words.shape[2], 128))
    assert grounding_loss(unet, words[1:], masks[1:]).item() == 0


def recorded(network: nn.Module) -> list[bool]:
    processors = (getattr(module, "processor", None) for module in network.modules())
    return [p.probabilities is not None for p in processors if isinstance(p, RecordedAttention)]


@pytest.mark.slow
@pytest.mark.parametrize("training", [True, False])
def test_attention_is_recorded_while_training_and_never_copied(training: bool) -> None:
    unet = create_unet().train(training)
    unet(torch.randn(1, 16, 8, 8), 500, torch.randn(1, 32, 128))
    assert recorded(unet)
    assert set(recorded(unet)) == {training}
    assert set(recorded(copy.deepcopy(unet))) == {False}
