import pytest
import torch
from torch import Tensor, nn

from tests.networks import shared_model
from widthwise._shared import GroupError
from widthwise.elastic import Elastic, Law
from widthwise.slicing import find_head


def find(name: str) -> object:
    return find_head(shared_model(name)._engine.sliced.evaluation.program)


@pytest.mark.parametrize("name", ["mlp", "mlp-norm", "resnet", "conv", "join", "literal"])
def test_the_head_is_the_last_linear_layer(name: str) -> None:
    program = shared_model(name)._engine.sliced.evaluation.program
    head = find_head(program)
    assert (head.weight, head.bias) == ("head.weight", "head.bias")
    assert head.features in program.graph.nodes


@pytest.mark.parametrize("name", ["dict", "pair", "loss", "tokens"])
def test_another_end_is_an_error(name: str) -> None:
    with pytest.raises(GroupError) as caught:
        find(name)
    assert str(caught.value) == (
        "expected a network whose single output is made by a linear layer with a bias, got another end; leave out "
        "refit= and reach='head', which need that layer"
    )


def test_a_head_that_other_layers_share_is_an_error() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.fc, self.back = nn.Embedding(9, 4), nn.Linear(4, 6), nn.Linear(6, 4)
            self.bias = nn.Parameter(torch.zeros(9))

        def forward(self, tokens: Tensor) -> Tensor:
            hidden = self.back(torch.relu(self.fc(self.table(tokens))))
            return nn.functional.linear(hidden, self.table.weight, self.bias)

    tokens = torch.zeros(3, dtype=torch.int64)
    with pytest.raises(GroupError) as caught:
        Elastic(Tied(), (tokens,), law=Law(reach="head"))
    assert str(caught.value) == (
        "expected a head with parameters of its own, got table.weight, which other layers use too; leave out "
        "refit= and reach='head', which need it"
    )
    model = Elastic(Tied(), (tokens,))
    with pytest.raises(GroupError, match=r"^expected a head with parameters of its own, got table\.weight"):
        model.extract(0.5, refit=[(tokens, tokens)])
