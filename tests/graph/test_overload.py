import operator
from typing import Any

import pytest
import torch
from torch import fx

from widthwise.graph import arguments_by_name, overload_name, replace_arguments
from widthwise.graph.overload import schema_arguments

aten = torch.ops.aten


@pytest.mark.parametrize(
    ("target", "name"),
    [(aten.relu.default, "aten::relu.default"), (aten.add.Tensor, "aten::add.Tensor"), (operator.mul, ""), ("x", "")],
)
def test_an_operator_is_named_with_its_overload(target: Any, name: str) -> None:
    assert overload_name(target) == name


def call(target: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
    return arguments_by_name(fx.Graph().call_function(target, args, kwargs))


def test_arguments_have_the_names_and_the_order_of_the_schema() -> None:
    named = call(aten.linalg_vector_norm.default, "x", keepdim=True, dim=[1])
    assert named == {"self": "x", "ord": 2, "dim": [1], "keepdim": True, "dtype": None}
    assert next(iter(named)) == "self"


def test_what_is_missing_is_left_out_where_there_is_no_default() -> None:
    assert "other" not in call(aten.add.Tensor, "x")


def test_a_plain_function_has_no_named_arguments() -> None:
    assert call(operator.mul, 2, 3) == {}
    assert schema_arguments(operator.mul) == []


def test_arguments_are_replaced_where_they_stand() -> None:
    assert replace_arguments(aten.add.Tensor, (1, 2), {"alpha": 3}, {"other": 5, "alpha": 7}) == ((1, 5), {"alpha": 7})
    assert replace_arguments(aten.add.Tensor, (1, 2), {}, {"alpha": 7}) == ((1, 2), {"alpha": 7})
