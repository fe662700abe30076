import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Frozen, Term

aten = torch.ops.aten
SIZES = st.integers(2, 4)
LENGTHS = {"b": 2, "i": 3, "j": 4, "k": 5, "B": 3}


def multiply(equation: str, *shapes: tuple[int, ...]) -> Node:
    return Node(aten.einsum.default, equation, [randn(*shape, seed=i) for i, shape in enumerate(shapes)])


@given(st.data(), st.lists(st.lists(st.sampled_from("bijkB"), max_size=3, unique=True), min_size=1, max_size=3))
def test_letters_agree_and_those_that_the_result_lacks_are_summed_over(
    data: st.DataObject, operands: list[list[str]]
) -> None:
    letters = sorted({letter for names in operands for letter in names})
    result = data.draw(st.lists(st.sampled_from(letters), unique=True)) if letters else []
    equation = ",".join("".join(names) for names in operands)
    node = multiply(f"{equation} -> {''.join(result)}", *(tuple(LENGTHS[each] for each in names) for names in operands))
    terms: dict[str, Term] = {}
    for names, axes in zip(operands, node.inputs, strict=True):
        terms.update(zip(names, axes, strict=True))
    for names, axes in zip(operands, node.inputs, strict=True):
        assert axes == tuple(terms[name] for name in names)
    assert node.outputs == [tuple(terms[name] for name in result)]
    assert node.solver.read_atoms == {terms[name] for name in letters if name not in result}
    assert node.check() in ("L", "Z")


def test_a_letter_that_stands_twice_is_a_diagonal() -> None:
    node = multiply("ii->i", (4, 4))
    assert node.inputs[0][0] == node.inputs[0][1] == node.outputs[0][0]
    assert node.check() == "L"
    assert multiply("ii->", (4, 4)).check() == "Z"


@pytest.mark.parametrize("equation", ["ij,jk", "ba", "Ba,aB", "ii", "i...,i"])
def test_a_result_that_is_not_written_has_the_letters_that_stand_once_in_order(equation: str) -> None:
    shapes = {"ij,jk": [(2, 3), (3, 4)], "ba": [(2, 3)], "Ba,aB": [(2, 3), (3, 2)], "ii": [(3, 3)],
              "i...,i": [(3, 2, 4), (3,)]}[equation]  # fmt: skip
    node = multiply(equation, *shapes)
    assert node.check() in ("L", "Z")
    if equation == "ba":
        assert node.outputs == [node.inputs[0][::-1]]
    if equation == "Ba,aB":
        assert node.outputs == [()]


@given(SIZES, SIZES, SIZES)
def test_axes_under_dots_align_from_the_right(rows: int, units: int, outputs: int) -> None:
    node = multiply("...i,oi->...o", (2, rows, units), (outputs, units))
    x, weight = node.inputs
    assert node.outputs == [(*x[:2], weight[0])]
    assert node.solver.read_atoms == {x[2]}
    assert node.check() == "Z"
    node = multiply("...i,...i->...i", (2, rows, units), (rows, units))
    assert node.inputs[1] == node.inputs[0][1:]
    assert node.check() == "L"


def test_axes_under_dots_that_the_result_lacks_are_summed_over() -> None:
    node = multiply("...i->i", (2, 3, 4))
    assert node.solver.read_atoms == set(node.inputs[0][:2])
    assert node.check() == "Z"


@pytest.mark.parametrize("shapes", [((1, 3), (4, 3)), ((4, 3), (1, 3))])
def test_single_positions_follow_longer_ones_of_their_letter(shapes: tuple[tuple[int, int], ...]) -> None:
    node = multiply("ij,ij->ij", *shapes)
    long = max(node.inputs, key=lambda axes: not isinstance(axes[0], Frozen))
    assert node.outputs == [long]
    assert node.check() == "L"


@given(SIZES, SIZES, SIZES, st.booleans())
def test_a_bilinear_layer_sums_over_both_inputs(left: int, right: int, outputs: int, bias: bool) -> None:
    more = [randn(outputs, seed=3)] if bias else []
    weight = randn(outputs, left, right, seed=2)
    node = Node(aten.bilinear.default, randn(2, left), randn(2, right, seed=1), weight, *more)
    one, other, table, *rest = node.inputs
    assert table[1:] == (one[1], other[1])
    assert node.solver.read_atoms == {one[1], other[1]}
    assert node.outputs == [(one[0], table[0])]
    assert all(axes == table[:1] for axes in rest)
    assert node.check() == "Z"
