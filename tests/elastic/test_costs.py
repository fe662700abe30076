import pytest
import torch
from torch import nn

from tests.networks import shared_model
from widthwise._shared import WidthError
from widthwise.elastic import Elastic
from widthwise.measure import watch_peak_bytes


def test_memory_at_a_width_is_that_of_the_extracted_network() -> None:
    model = shared_model("mlp-norm").eval()
    for width, batch in ((1.0, 1), (0.5, 1), (0.5, 3)):
        args, kwargs = model.example_batch(batch)
        small = model.extract(width, form="graph")
        assert model.memory_bytes(width, batch=batch) == watch_peak_bytes(small, args, kwargs)


def test_a_network_that_is_not_traced_is_watched_on_a_call() -> None:
    net = nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 3))
    names = {"0.weight": "n _", "0.bias": "n", "2.weight": "_ n"}
    declared = Elastic(net, (torch.zeros(2, 4),), groups=[names])
    (name,) = declared.groups.sizes
    for units, batch in ((16, 1), (5, 2)):
        assert declared.memory_bytes({name: units}, batch=batch) == 4 * batch * (4 + 2 * units)


def test_a_network_of_which_a_part_is_traced_counts_as_a_whole() -> None:
    net = nn.Sequential(nn.Linear(4, 40), nn.Sequential(nn.Linear(40, 16), nn.ReLU(), nn.Linear(16, 3)))
    model = Elastic(net, (torch.zeros(2, 4),), submodule="1")
    (name,) = model.groups.sizes
    # The first layer's output is what the part begins with.
    assert model.memory_bytes({name: 8}, batch=1) >= 4 * (4 + 40 + 8)


@pytest.mark.parametrize("batch", [0, -1, 1.5, True])
def test_a_batch_that_is_none_is_refused(batch: int) -> None:
    with pytest.raises(WidthError) as caught:
        shared_model("mlp").memory_bytes(batch=batch)
    assert str(caught.value) == (f"batch must be a whole number, at least 1, got {batch!r}; use 1 for one sample")
