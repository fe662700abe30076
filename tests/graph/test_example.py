from typing import Any

import pytest
import torch
from torch import Tensor, nn

from widthwise._shared import TraceError
from widthwise.graph import Example, as_example, match_call

X, Y = torch.zeros(2, 3), torch.ones(2, 3)


class Two(nn.Module):
    def forward(self, x: Tensor, y: Tensor | None = None, *, scale: float = 1.0) -> Tensor:
        return x * scale if y is None else x + y


def test_a_tuple_is_positional_a_dict_keyword_and_a_tensor_the_only_input() -> None:
    assert as_example((X, Y)) == Example(args=(X, Y), kwargs={})
    assert as_example([X]).args == (X,)
    assert as_example(X).args == (X,)
    assert as_example({"x": X}) == Example(args=(), kwargs={"x": X})


@pytest.mark.parametrize("given", [3, "x", None])
def test_anything_else_is_an_error(given: Any) -> None:
    with pytest.raises(TraceError) as caught:
        as_example(given)
    assert str(caught.value) == (
        "example_inputs must be a tuple of positional or a dict of keyword inputs, got "
        f"{type(given).__name__}; for one input x pass (x,)"
    )


def test_leaves_come_as_a_graph_takes_them() -> None:
    example = Example(args=({"b": X, "a": 1}, [Y]), kwargs={"z": 2})
    assert [leaf if isinstance(leaf, int) else id(leaf) for leaf in example.leaves()] == [id(X), 1, id(Y), 2]


def test_inputs_are_given_by_position_or_by_keyword_as_in_the_example() -> None:
    positional, keyword = Example(args=(X, Y), kwargs={}), Example(args=(X,), kwargs={"y": Y})
    for args, kwargs in (((X, Y), {}), ((X,), {"y": Y}), ((), {"y": Y, "x": X})):
        for example in (positional, keyword):
            found = match_call(Two(), example, args, kwargs)
            assert [id(leaf) for leaf in found.leaves()] == [id(X), id(Y)]
            assert len(found.args) == len(example.args)
            assert list(found.kwargs) == list(example.kwargs)


def test_other_inputs_than_the_examples_are_an_error() -> None:
    with pytest.raises(TraceError) as caught:
        match_call(Two(), Example(args=(X, Y), kwargs={}), (X,), {"scale": 2.0})
    assert str(caught.value) == (
        "expected the inputs of example_inputs (2 positional and keywords []), got 1 positional and keywords "
        "['scale']; wrap the network again with an example that has these inputs"
    )


def test_a_keyword_input_is_never_taken_for_a_missing_positional_one() -> None:
    class Three(nn.Module):
        def forward(self, x: Tensor, mask: Tensor | None = None, place: Tensor | None = None) -> Tensor:
            return sum((each for each in (mask, place) if each is not None), x)

    with pytest.raises(TraceError, match="wrap the network again with an example that has these inputs"):
        match_call(Three(), Example(args=(X, Y), kwargs={}), (X,), {"place": Y})


def test_any_number_of_positional_inputs_is_matched_one_by_one() -> None:
    class Many(nn.Module):
        def forward(self, *xs: Tensor, **more: Tensor) -> Tensor:
            return sum(xs, more["z"])

    example = Example(args=(X, Y), kwargs={"z": X, "a": Y})
    assert match_call(Many(), example, (X, Y), {"a": X, "z": Y}) == Example(args=(X, Y), kwargs={"z": Y, "a": X})
    with pytest.raises(TraceError, match="got 1 positional"):
        match_call(Many(), example, (X,), {"a": X, "z": Y})


def test_inputs_that_the_network_does_not_take_are_an_error() -> None:
    with pytest.raises(TraceError) as caught:
        match_call(Two(), Example(args=(X, Y), kwargs={}), (X,), {"z": 1})
    message = str(caught.value)
    assert message.startswith("the inputs must fit forward(x: torch.Tensor, ")
    assert message.endswith(
        " of Two, got 1 positional and keywords ['z'] (got an unexpected keyword argument 'z'); call the model as you "
        "would call the network"
    )
