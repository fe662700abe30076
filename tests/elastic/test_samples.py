from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.elastic.parts import shared_pictures
from tests.networks import shared_model
from widthwise._shared import DataError
from widthwise.elastic.samples import read_inputs, read_pairs

ENGINE = shared_model("mlp")._engine


def pair(size: int) -> tuple[Tensor, Tensor]:
    return torch.randn(size, 6), torch.arange(size)


def test_parts_hold_each_sample_once_with_its_target() -> None:
    (x, y), (more, others) = pair(70), pair(5)
    parts = list(read_pairs(ENGINE, [(x, y), (more, others)]))
    assert [len(part.targets) for part in parts] == [24, 23, 23, 5]
    assert torch.equal(torch.cat([part.inputs.args[0] for part in parts]), torch.cat([x, more]))
    assert torch.equal(torch.cat([part.targets for part in parts]), torch.cat([y, others]))


def test_nested_targets_are_split_alike() -> None:
    x, y = pair(64)
    first, _ = read_pairs(ENGINE, [(x, {"a": y, "b": [y + 1]})])
    assert torch.equal(first.targets["a"] + 1, first.targets["b"][0])


@pytest.mark.parametrize("targets", [torch.arange(128), "cat", [torch.arange(64), torch.tensor(3)]])
def test_a_batch_whose_targets_tell_no_samples_apart_stays_whole(targets: Any) -> None:
    (part,) = read_pairs(ENGINE, [(torch.randn(64, 6), targets)])
    assert part.inputs.args[0].shape == (64, 6)


def test_a_loader_is_read_until_enough_samples_were_seen() -> None:
    loader = ((torch.zeros(1000, 6), torch.zeros(1000)) for _ in range(10))
    assert sum(len(batch.inputs.args[0]) for batch in read_inputs(ENGINE, loader)) == 3000
    assert len(list(loader)) == 7


def test_samples_of_a_network_with_a_part_are_those_of_the_network() -> None:
    x = torch.randn(5, 1, 6, 6)
    (batch,) = read_inputs(shared_pictures()._engine, [(x, torch.zeros(5))])
    assert torch.equal(batch.inputs.args[0], x)
    assert batch.targets is None


@pytest.mark.parametrize("read", [read_inputs, read_pairs])
def test_an_empty_loader_is_refused(read: Any) -> None:
    with pytest.raises(DataError, match=r"^sorting needs at least one batch, got an empty loader; pass training"):
        list(read(ENGINE, []))


def test_batches_without_targets_are_refused() -> None:
    with pytest.raises(DataError, match=r"^a criterion needs batches of \(inputs, targets\), got batches without"):
        list(read_pairs(ENGINE, [torch.randn(3, 6)]))


def test_the_device_is_that_of_the_network() -> None:
    assert next(nn.Linear(1, 1).parameters()).device == next(iter(read_inputs(ENGINE, [pair(2)]))).inputs.args[0].device
