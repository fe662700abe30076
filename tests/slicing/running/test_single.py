"""One sample alone at a width: what the network does with it, or an error, never the branch of larger batches."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn

from tests.networks import LAW, assert_same
from tests.traps import Network
from widthwise._shared import TraceError
from widthwise.elastic import Elastic

Function = Callable[[Any, Tensor], Tensor]


def _one(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).relu()
    return s.o(y * 10 if x.shape[0] == 1 else y)


def _more_than_one(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).relu()
    return s.o(y * 10 if x.shape[0] > 1 else y)


def _fewer_than_three(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).relu()
    return s.o(y * 10 if x.shape[0] < 3 else y)


def _alike(s: Any, x: Tensor) -> Tensor:
    return s.o(s.a(x).squeeze().relu())


def _not_alone(s: Any, x: Tensor) -> Tensor:
    if x.shape[0] < 2:
        raise ValueError("two samples at least")
    return s.o(s.a(x).relu())


def make(function: Function, batch: int) -> Elastic:
    torch.manual_seed(0)
    net = Network(function, a=nn.Linear(5, 6), d=nn.Dropout(0.5), o=nn.Linear(6, 3)).eval()
    return Elastic(net, (torch.randn(batch, 5),), law=LAW).eval()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("function", [_one, _more_than_one])
def test_another_branch_for_one_sample_is_an_error_at_widths(function: Function, batch: int, training: bool) -> None:
    model = make(function, batch).train(training)
    with model.at(0.5), pytest.raises(TraceError) as caught:
        model(torch.randn(1, 5))
    assert str(caught.value) == (
        "the network was traced with two samples or more, but it does something else for one sample alone; give two "
        "samples at once, or write it without a branch on x.shape[0]"
    )
    with model.at(0.5):
        assert model(torch.randn(2, 5)).shape == (2, 3)


@pytest.mark.parametrize("function", [_alike, _not_alone])
def test_what_is_traced_for_one_sample_may_be_run_on_one(function: Function) -> None:
    model, x = make(function, 2), torch.randn(2, 5)
    with torch.no_grad(), model.at(0.5):
        assert_same(model(x[:1]), model(x)[:1])


@pytest.mark.parametrize("batch", [1, 2])
def test_the_own_class_still_takes_its_branch(batch: int) -> None:
    model, x = make(_one, batch), torch.randn(1, 5)
    small = model.extract(0.5)
    assert type(small) is Network
    with torch.no_grad():
        assert_same(small(x), small.o(small.a(x).relu() * 10))


@pytest.mark.parametrize(("function", "smallest"), [(_one, 2), (_fewer_than_three, 3)])
def test_the_graph_form_refuses_batches_for_which_it_does_not_hold(function: Function, smallest: int) -> None:
    model = make(function, 4)
    small = model.extract(0.5, form="graph")
    assert isinstance(small, fx.GraphModule)
    with pytest.raises(AssertionError, match=f"the batch must hold {smallest} samples or more, since the network does"):
        small(torch.randn(smallest - 1, 5))
    x = torch.randn(smallest, 5)
    with torch.no_grad(), model.at(0.5):
        assert_same(small(x), model(x))
    assert (
        len(list(make(_alike, 4).extract(0.5, form="graph").graph.find_nodes(op="call_function", target=torch._assert)))
        == 0
    )


def test_a_network_without_numbers_is_taken_at_its_word() -> None:
    with torch.device("meta"):
        model = make(_alike, 3)
    small = model.extract(0.5)
    assert all(parameter.is_meta for parameter in small.parameters())
