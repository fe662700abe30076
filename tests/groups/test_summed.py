import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations

from widthwise.elastic import Elastic


class Turned(nn.Module):
    """A layer that keeps its weight as (in, out), one that multiplies from the left, and experts of both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.left = nn.Parameter(torch.randn(5, 8)), nn.Parameter(torch.randn(6, 8))
        self.square, self.experts = nn.Parameter(torch.randn(6, 6)), nn.Parameter(torch.randn(2, 6, 4))
        self.turned, self.bias = nn.Parameter(torch.randn(4, 3)), nn.Parameter(torch.randn(3))

    def forward(self, x: Tensor) -> Tensor:
        y = torch.addmm(torch.zeros(8), x, self.first).relu()
        y = (self.left @ y.t()).t().relu()
        y = (y + y @ self.square).relu()
        y = torch.bmm(y.expand(2, -1, -1), self.experts).relu().sum(0)
        return nn.functional.linear(y, self.turned.t(), self.bias)


def summed(net: nn.Module, *inputs: Tensor) -> dict[str, int]:
    return dict(Elastic(net, inputs).groups.summed)


def test_a_weight_is_summed_over_along_the_axis_that_its_operator_contracts() -> None:
    expected = {"first": 0, "left": 1, "square": 0, "experts": 1, "turned": 0}
    assert summed(Turned(), torch.randn(7, 5)) == expected


def test_layers_tell_their_own_axis_also_of_a_weight_that_is_divided() -> None:
    layers = [nn.Conv1d(3, 6, 1), nn.ConvTranspose1d(6, 4, 2), parametrizations.weight_norm(nn.Conv1d(4, 2, 1))]
    weights = {"0.weight": 1, "1.weight": 0}
    assert weights.items() <= summed(nn.Sequential(*layers), torch.randn(2, 3, 9)).items()


def test_what_is_read_in_several_ways_is_left_out() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.table = nn.Parameter(torch.randn(8, 5)), nn.Embedding(5, 8)

        def forward(self, x: Tensor) -> Tensor:
            y = nn.functional.linear(x, self.weight).relu() @ self.weight
            return y + nn.functional.linear(self.table(x.argmax(1)), self.table.weight)

    assert summed(Tied(), torch.randn(3, 5)) == {}
