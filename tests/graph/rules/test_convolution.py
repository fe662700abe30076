from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen, Product, size_of

aten = torch.ops.aten
PLAIN = [aten.conv1d.default, aten.conv2d.default, aten.conv3d.default]
TRANSPOSED = [aten.conv_transpose1d.default, aten.conv_transpose2d.input, aten.conv_transpose3d.input]


def convolve(rank: int, groups: int, inputs: int, outputs: int, *, transposed: bool = False, batch: int = 2) -> Node:
    """A convolution whose groups have that many inputs and outputs each; the picture is 4 positions wide."""
    target = (TRANSPOSED if transposed else PLAIN)[rank - 1]
    weight = (groups * inputs, outputs) if transposed else (groups * outputs, inputs)
    x = randn(*([batch] if batch else []), groups * inputs, *[4] * rank)
    kernel = randn(*weight, *[3] * rank)
    bias = randn(groups * outputs)
    return Node(target, x, kernel, bias, *([[1], [0], [0], groups] if transposed else [[1], [1], [1], groups]))


@pytest.mark.parametrize("transposed", [False, True])
@given(st.integers(1, 3), st.integers(2, 3), st.integers(2, 3))
def test_a_plain_convolution_carries_samples_and_outputs_and_sums_over_inputs(
    transposed: bool, rank: int, inputs: int, outputs: int
) -> None:
    node = convolve(rank, 1, inputs, outputs, transposed=transposed)
    x, weight, bias = node.inputs
    summed, made = (weight[0], weight[1]) if transposed else (weight[1], weight[0])
    assert x[1] == summed
    assert node.solver.read_atoms == {summed}
    assert node.outputs[0][:2] == (x[0], made)
    assert bias == (made,)
    assert node.outcome.contracted == {"weight": 0 if transposed else 1}
    assert node.check() == "Z"


@pytest.mark.parametrize("transposed", [False, True])
@given(st.integers(1, 2), st.integers(2, 3), st.integers(1, 3), st.integers(1, 3))
def test_groups_of_input_and_output_are_one_factor_that_may_shrink(
    transposed: bool, rank: int, groups: int, inputs: int, outputs: int
) -> None:
    node = convolve(rank, groups, inputs, outputs, transposed=transposed)
    x, made = node.inputs[0][1], node.outputs[0][1]
    factors = [term.factors[0] if isinstance(term, Product) else term for term in (x, made)]
    assert factors[0] == factors[1]
    assert size_of(factors[0]) == groups
    assert node.solver.resolve(node.outcome.sizes["groups"]) == factors[0]
    assert node.check() in ("L", "Z")


def test_a_depthwise_convolution_carries_its_channels() -> None:
    node = convolve(2, 4, 1, 1)
    assert node.inputs[0][1] == node.inputs[1][0] == node.outputs[0][1]
    assert node.solver.read_atoms == set()
    assert node.check() == "L"


def test_a_depthwise_convolution_with_a_multiplier_makes_nested_channels() -> None:
    node = convolve(2, 4, 1, 2)
    assert isinstance(node.outputs[0][1], Product)
    assert node.outputs[0][1].factors[0] == node.inputs[0][1]
    assert node.check() == "L"


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("batch", [0, 2])
def test_axes_along_which_the_kernel_slides_keep_their_size(transposed: bool, batch: int) -> None:
    node = convolve(2, 1, 3, 2, transposed=transposed, batch=batch)
    for axis in (-1, -2):
        assert node.reason(0, axis).endswith(" slides along this axis")
        assert node.reason(1, axis).endswith(" has a kernel of this size")
        assert isinstance(node.outputs[0][axis], Frozen)
    assert node.check() == "Z"


@given(st.integers(1, 3), st.booleans(), st.integers(1, 2))
def test_a_kernel_of_length_1_that_steps_by_1_passes_positions_on(rank: int, transposed: bool, groups: int) -> None:
    target = (TRANSPOSED if transposed else PLAIN)[rank - 1]
    node = Node(target, randn(2, 2 * groups, *[4] * rank), randn(2 * groups, 2, *[1] * rank), groups=groups)
    assert node.outputs[0][2:] == node.inputs[0][2:]
    assert len(node.atoms) == rank + (3 if groups == 1 else 4)
    assert node.check() == "Z"


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("extra", [{"stride": [1, 3]}, {"padding": [0, 1]}, {"kernel": [1, 3]}, {"stride": [3]}])
def test_every_axis_along_which_a_kernel_does_more_keeps_its_size(transposed: bool, extra: dict[str, Any]) -> None:
    target = (TRANSPOSED if transposed else PLAIN)[1]
    arguments = {name: value for name, value in extra.items() if name != "kernel"}
    node = Node(target, randn(2, 3, 5, 6), randn(3, 3, *extra.get("kernel", [1, 1])), **arguments)
    assert node.reason(0, 3).endswith(" slides along this axis")
    assert isinstance(node.outputs[0][2], Frozen) == (extra == {"stride": [3]})
    assert node.check() == "Z"


@pytest.mark.parametrize("padding", ["same", "valid"])
def test_padding_by_name_adds_nothing_around_a_kernel_of_length_1(padding: str) -> None:
    node = Node(aten.conv1d.padding, randn(2, 3, 6), randn(4, 3, 1), padding=padding)
    assert node.outputs[0][2] == node.inputs[0][2]
    assert node.check() == "Z"


def test_what_a_transposed_convolution_adds_at_the_end_is_no_unit() -> None:
    node = Node(aten.conv_transpose1d.default, randn(2, 3, 6), randn(3, 4, 1), stride=[2], output_padding=[1])
    assert node.reason(0, 2).endswith(" slides along this axis")
    assert node.check() == "Z"


def test_a_convolution_without_samples_has_its_channels_in_front() -> None:
    node = convolve(2, 1, 3, 2, batch=0)
    assert node.inputs[0][0] == node.inputs[1][1]
    assert node.outputs[0][0] == node.inputs[1][0]


@pytest.mark.parametrize("extra", [{"stride": [2, 1]}, {"padding": "same"}, {"dilation": [2, 2]}])
def test_stride_padding_and_dilation_change_nothing_about_channels(extra: dict[str, Any]) -> None:
    target = aten.conv2d.padding if "padding" in extra else aten.conv2d.default
    node = Node(target, randn(2, 3, 6, 7), randn(4, 3, 3, 3), **extra)
    assert node.outputs[0][1] == node.inputs[1][0]
    assert node.check() == "Z"
