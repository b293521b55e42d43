"""Keys of weights, and files that are written whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from cnet_app.embedded.train.checkpoints import save_whole, weights_key
from models.errors import SaveError


def test_the_key_of_weights_follows_their_values_and_names_and_not_the_object() -> None:
    torch.manual_seed(0)
    network, other = nn.Linear(3, 2), nn.Linear(3, 2)
    other.load_state_dict(network.state_dict())
    assert weights_key(network) == weights_key(other)
    assert weights_key(network) != weights_key(nn.Sequential(network))
    with torch.no_grad():
        other.bias[1] += 1e-6
    assert weights_key(network) != weights_key(other)
    assert weights_key(network, other) != weights_key(other, network)


def test_a_file_is_replaced_whole_and_leaves_no_other(tmp_path: Path) -> None:
    path = tmp_path / "new" / "file.txt"
    save_whole(path, lambda temporary: temporary.write_text("one"))
    save_whole(path, lambda temporary: temporary.write_text("two"))
    assert path.read_text() == "two"
    assert list(path.parent.iterdir()) == [path]


def test_a_failed_write_keeps_the_old_file_and_names_it(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")

    with pytest.raises(SaveError) as caught:
        save_whole(path, fail)
    assert str(caught.value) == (
        f"{path} could not be written (No space left on device); make room or choose another --work folder."
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
