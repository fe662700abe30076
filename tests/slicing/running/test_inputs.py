from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.networks import CASES, make_generator, shared_model
from widthwise._shared import TraceError
from widthwise.elastic import Elastic, Law
from widthwise.graph import Example


class Branching(nn.Module):
    """Takes another way for large batches, and for long sequences."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.head(torch.relu(self.fc(x)))
        if x.shape[0] >= 16:
            out = -out
        if x.shape[1] > 5:
            out = 2 * out
        return out


@pytest.fixture(scope="module")
def branching() -> Elastic:
    return Elastic(Branching(), (torch.randn(32, 3, 4),), law=Law(lowest=0.1))


def leaves_of(name: str, *args: Any, **kwargs: Any) -> list[Any]:
    return shared_model(name)._engine.sliced.evaluation.leaves_of(Example(args=args, kwargs=kwargs))


def sample(name: str, batch: int = 3) -> dict[str, Any]:
    return CASES[name].sample(batch, make_generator(0), torch.float64)[1]


def test_leaves_come_in_the_order_of_the_trace() -> None:
    inputs = sample("dict")
    assert leaves_of("dict", **inputs) == [inputs["x"], inputs["mask"]]


def test_any_batch_size_is_taken() -> None:
    for batch in (1, 2, 7):
        assert leaves_of("mlp", torch.zeros(batch, 6))[0].shape[0] == batch


@pytest.mark.parametrize("shape", [(3, 7), (3, 6, 1), (6,)])
def test_another_shape_is_an_error(shape: tuple[int, ...]) -> None:
    shown = "(" + ", ".join(map(str, shape)) + ("," if len(shape) == 1 else "") + ")"
    with pytest.raises(TraceError) as caught:
        leaves_of("mlp", torch.zeros(shape))
    assert str(caught.value) == (
        f"input x_bi must have shape (batch, 6) as in example_inputs, got {shown}; give inputs of that shape, or wrap "
        "the network with an example of the new one"
    )


def test_what_is_no_tensor_is_an_error() -> None:
    with pytest.raises(TraceError, match=r"^input x_bi must have shape \(batch, 6\) as in example_inputs, got None; "):
        leaves_of("mlp", None)


def test_inputs_of_different_batches_are_an_error() -> None:
    with pytest.raises(TraceError, match=r"^input mask must have shape \(3, 2\) as in example_inputs, got \(1, 2\); "):
        leaves_of("dict", x=torch.zeros(3, 4), mask=torch.zeros(1, 2))


def test_another_structure_is_an_error() -> None:
    with pytest.raises(TraceError) as caught:
        leaves_of("dict", x=[torch.zeros(3, 4), torch.zeros(3, 4)], mask=torch.zeros(3, 2))
    assert str(caught.value) == (
        "inputs must be nested as in example_inputs (2 leaves), got 3 leaves nested in another way; give such inputs, "
        "or wrap the network with an example of the new kind"
    )


def test_another_value_of_an_input_that_is_no_tensor_is_an_error() -> None:
    net = CASES["dict"].make().double().eval()
    model = Elastic(net, {**sample("dict"), "scale": 3.0})
    inputs = sample("dict")
    with model.at(0.5):
        assert model(**inputs, scale=3.0)["more"][2] == 3.0
        for other in (2.0, None, torch.tensor(3.0)):
            with pytest.raises(TraceError) as caught:
                model(**inputs, scale=other)
    assert str(caught.value) == (
        "input scale must be 3.0 as in example_inputs, since the network was traced for that value, got (); give that, "
        "or wrap the network with another example"
    )


def test_a_batch_for_which_the_traced_branch_does_not_hold_is_an_error(branching: Elastic) -> None:
    with branching.eval().at(0.5):
        assert branching(torch.zeros(16, 3, 4)).shape == (16, 3, 2)
        with pytest.raises(TraceError) as caught:
            branching(torch.zeros(15, 3, 4))
    assert str(caught.value) == (
        "the network was traced along a branch that holds for 16 to inf samples at once, got 15; give such a batch (in "
        "training the chunks of a batch run one by one, see Law.chunks), or wrap the network with an example of that "
        "batch size"
    )
    assert branching(torch.zeros(15, 3, 4)).shape == (15, 3, 2)


def test_a_chunk_for_which_the_traced_branch_does_not_hold_is_an_error(branching: Elastic) -> None:
    branching.train()
    assert branching(torch.zeros(64, 3, 4)).shape == (64, 3, 2)
    with pytest.raises(TraceError, match=r"^the network was traced along a branch that holds for 16 to inf .* got 8; "):
        branching(torch.zeros(32, 3, 4))


def test_a_length_for_which_the_traced_branch_does_not_hold_is_an_error(branching: Elastic) -> None:
    with branching.eval().at(0.5):
        assert branching(torch.zeros(16, 5, 4)).shape == (16, 5, 2)
        with pytest.raises(TraceError) as caught:
            branching(torch.zeros(16, 6, 4))
    assert str(caught.value) == (
        "the network was traced along branches that do not hold for inputs of these sizes (batch 16); give inputs of "
        "the sizes of example_inputs, or wrap the network with an example of the new ones"
    )


def test_an_empty_batch_is_an_error() -> None:
    model = shared_model("mlp").eval()
    with model.at(0.5), pytest.raises(TraceError, match=r"holds for 1 to inf samples at once, got 0; "):
        model(torch.zeros(0, 6, dtype=torch.float64))
    model.train()
    with pytest.raises(TraceError, match=r"holds for 1 to inf samples at once, got 0; "):
        model(torch.zeros(0, 6, dtype=torch.float64))
    model.eval()
