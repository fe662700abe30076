import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils import checkpoint

from tests.networks import assert_same
from tests.traps import Network
from widthwise.elastic import Elastic
from widthwise.graph.checkpoint import plain_checkpoints


def _make(*, reentrant: bool) -> Network:
    torch.manual_seed(0)

    def forward(s: Any, x: Tensor) -> Tensor:
        y = checkpoint.checkpoint(lambda z: s.b(z).tanh(), s.a(x), use_reentrant=reentrant)
        return s.o(y)

    return Network(forward, a=nn.Linear(5, 6), b=nn.Linear(6, 8), o=nn.Linear(8, 3)).double()


@pytest.mark.parametrize("reentrant", [False, True])
def test_a_checkpointed_network_has_the_gradients_of_the_plain_one(reentrant: bool) -> None:
    net, x = _make(reentrant=reentrant), torch.randn(4, 5, dtype=torch.float64)
    plain, model = copy.deepcopy(net), Elastic(net, (x,)).train()
    assert model.groups.sizes == {"a": 6, "b": 8}
    with model.at(1.0):
        model(x).square().sum().backward()
    plain(x).square().sum().backward()
    for one, other in zip(net.parameters(), plain.parameters(), strict=True):
        assert one.grad is not None
        assert other.grad is not None
        assert_same(one.grad, other.grad)


def test_checkpoints_are_themselves_again_afterwards() -> None:
    function = checkpoint.CheckpointFunction

    def fail() -> None:
        with plain_checkpoints():
            assert checkpoint.CheckpointFunction is not function
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert checkpoint.CheckpointFunction is function
