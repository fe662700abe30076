"""What an elastic model saves and loads, by itself and inside another module."""

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same, make_model
from widthwise.elastic import Elastic, Law
from widthwise.zoo.models import MLP


def test_the_state_dict_is_that_of_the_network() -> None:
    model = make_model("mlp-norm")
    other = make_model("mlp-norm")
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.zero_()
    assert list(model.state_dict()) == list(model.net.state_dict())
    assert list(model.state_dict(prefix="a.")) == [f"a.{key}" for key in model.net.state_dict()]
    result = other.load_state_dict(model.state_dict())
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert_same(dict(other.state_dict()), dict(model.state_dict()))
    with pytest.raises(RuntimeError, match="Unexpected key"):
        other.load_state_dict({**model.state_dict(), "more": torch.zeros(1)})


@pytest.mark.parametrize("affine", [False, True])
def test_a_module_that_contains_a_model_saves_and_loads(affine: bool) -> None:
    class Parent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            net = nn.Sequential()
            net.add_module("net", MLP([4, 6, 3]))
            self.body, self.tail = Elastic(net, (torch.randn(2, 4),), law=Law(unit_affine=affine)), nn.Linear(3, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.tail(self.body(x))

    one, other = Parent().eval(), Parent().eval()
    state = one.state_dict()
    assert set(state) == {f"body.{key}" for key in one.body.net.state_dict()} | {"tail.weight", "tail.bias"}

    result = other.load_state_dict(state, strict=True)

    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    x = torch.randn(5, 4)
    assert_same(other(x), one(x))
    with pytest.raises(RuntimeError, match=r"Missing key.*body\.net\.net\.fc1\.weight"):
        other.load_state_dict({key: value for key, value in state.items() if key != "body.net.fc1.weight"})
    with pytest.raises(RuntimeError, match="Unexpected key"):
        other.load_state_dict({**state, "body.more": torch.zeros(1)})
