from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from tests.graph.terms import factorings
from widthwise.graph import Atom, Frozen, Product, Sum, Term

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@given(SIZES, SIZES, SIZES, st.integers(-3, 2), st.integers(-3, 2))
def test_flattening_nests_the_axes_from_one_to_another(one: int, two: int, three: int, first: int, last: int) -> None:
    first, last = sorted((first % 3, last % 3))
    node = Node(aten.flatten.using_ints, randn(one, two, three), first - 3, last)
    (axes,), (made,) = node.inputs, node.outputs
    nested = (Product(axes[first : last + 1]),) if first < last else (axes[first],)
    assert made == (*axes[:first], *nested, *axes[last + 1 :])
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.flatten.using_ints, aten.ravel.default])
def test_without_more_being_said_all_axes_become_one(target: Any) -> None:
    node = Node(target, randn(3, 4, 2))
    assert node.outputs == [(Product(node.inputs[0]),)]
    assert node.check() == "L"
    assert Node(target, randn()).outputs == [(Frozen(1, "size 1"),)]


@given(st.data(), st.sampled_from([4, 8, 12]), SIZES, st.integers(-2, 1))
def test_unflattening_halves_an_axis(data: st.DataObject, size: int, other: int, dim: int) -> None:
    sizes = list(data.draw(factorings(size)))
    left_open = data.draw(st.integers(0, len(sizes) - 1))
    shape = [other, size] if dim % 2 else [size, other]
    node = Node(aten.unflatten.int, randn(*shape), dim, [*sizes[:left_open], -1, *sizes[left_open + 1 :]])
    axis, made = node.inputs[0][dim], node.outputs[0][dim % 2 : dim % 2 + len(sizes)]
    assert axis == (Product(made) if len(made) > 1 else made[0])
    assert node.outcome.sizes == {"sizes": made}
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.view_as.default, aten.reshape_as.default])
@given(st.data(), st.sampled_from([8, 12, 24]))
def test_a_reading_in_the_shape_of_another_tensor_ties_both(target: Any, data: st.DataObject, size: int) -> None:
    before, after = data.draw(factorings(size)), data.draw(factorings(size))
    node = Node(target, randn(*before), randn(*after, seed=1))
    assert node.outputs == [node.inputs[1]]
    assert node.check() == "L"


def test_a_reading_that_halves_an_axis_keeps_its_factors_free() -> None:
    node = Node(aten.view_as.default, randn(5, 12), randn(5, 3, 4))
    assert node.inputs[0] == (node.inputs[1][0], Product(node.inputs[1][1:]))
    assert len(node.atoms) == 3


def test_a_reading_that_cuts_across_units_keeps_those_of_both() -> None:
    node = Node(aten.reshape_as.default, randn(4, 3), randn(3, 4))
    assert node.atoms == {}
    assert node.reason(0, 0) == node.reason(1, 1) == "aten.reshape_as cuts across units"


@given(SIZES, SIZES)
def test_an_expansion_to_another_tensor_has_its_axes(rows: int, units: int) -> None:
    for shape in ((rows, units), (1, units), (units,), (1, 1)):
        node = Node(aten.expand_as.default, randn(*shape), randn(rows, units, seed=1))
        assert node.outputs == [node.inputs[1]]
        if shape[-1] == units:
            assert node.inputs[0][-1] == node.inputs[1][1]
        assert len(node.atoms) == 2
        assert node.check() == "L"


MOVES = [([0], [2]), ([-1], [0]), ([0, 1], [-1, 0]), ([2, 0, 1], [0, 1, 2]), ([], [])]


@pytest.mark.parametrize("target", [aten.movedim.intlist, aten.moveaxis.intlist])
@pytest.mark.parametrize(("source", "destination"), MOVES)
def test_some_axes_are_put_elsewhere(target: Any, source: list[int], destination: list[int]) -> None:
    node = Node(target, randn(3, 4, 5), source, destination)
    order = torch.empty(3, 4, 5, device="meta").movedim(source, destination).shape
    assert [term.size for term in node.outputs[0] if isinstance(term, Atom)] == list(order)
    assert set(node.outputs[0]) == set(node.inputs[0])
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.movedim.int, aten.moveaxis.int])
def test_one_axis_is_put_elsewhere(target: Any) -> None:
    one, two, three = (node := Node(target, randn(3, 4, 5), 0, -1)).inputs[0]
    assert node.outputs == [(two, three, one)]
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.swapaxes.default, aten.swapdims.default])
@given(SIZES, SIZES, SIZES, st.integers(-3, 2), st.integers(-3, 2))
def test_two_axes_change_places(target: Any, one: int, two: int, three: int, dim: int, other: int) -> None:
    node = Node(target, randn(one, two, three), dim, other)
    assert node.outputs[0][dim] == node.inputs[0][other]
    assert node.outputs[0][other] == node.inputs[0][dim]
    assert node.check() == "L"
    assert Node(target, randn(), 0, -1).outputs == [()]


@pytest.mark.parametrize("target", [aten.mT.default, aten.mH.default, aten.adjoint.default, aten.matrix_H.default])
def test_the_last_two_axes_change_places(target: Any) -> None:
    shape = (4, 5) if target is aten.matrix_H.default else (2, 3, 4, 5)
    node = Node(target, randn(*shape))
    *before, one, two = node.inputs[0]
    assert node.outputs == [(*before, two, one)]
    assert node.check() == "L"


@given(SIZES, st.integers(4, 7), st.data())
def test_a_stretch_of_an_axis_is_a_segment_of_it(rows: int, units: int, data: st.DataObject) -> None:
    length = data.draw(st.integers(2, units - 1))
    start = data.draw(st.integers(0, units - length))
    for begin in {start, start - units}:
        node = Node(aten.narrow.default, randn(rows, units), 1, begin, length)
        axis, kept = node.inputs[0][1], node.outputs[0][1]
        assert isinstance(axis, Sum)
        assert kept in axis.parts
        assert node.outputs[0][0] == node.inputs[0][0]
        assert node.outcome.target is aten.slice.Tensor
        assert node.check() == "L"


def test_a_stretch_that_is_all_of_an_axis_passes_and_its_length_follows() -> None:
    node = Node(aten.narrow.default, randn(3, 4), -1, 0, 4)
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "L"


def test_a_stretch_from_a_place_that_is_computed_keeps_the_axis() -> None:
    node = Node(aten.narrow.Tensor, randn(3, 4), 1, torch.tensor(1), 2)
    assert node.reason(0, 1) == "aten.narrow takes a strided or dynamic part of this axis"
    assert len(node.atoms) == 1


@given(SIZES, SIZES, st.integers(1, 3), st.integers(1, 3))
def test_an_axis_with_copies_keeps_its_size_and_others_pass(rows: int, units: int, down: int, across: int) -> None:
    for times, numbers in (((down, across), [down, across]), ((1, across), [across]), ((1, 1), [])):
        node = Node(aten.tile.default, randn(rows, units), numbers)
        for term, made, number in zip(node.inputs[0], node.outputs[0], times, strict=True):
            expected: tuple[Term, Term] = (term, term)
            if number > 1:
                size = rows if term is node.inputs[0][0] else units
                expected = (Frozen(size, "aten.tile repeats this axis"), Frozen(size * number, "aten.tile"))
            assert (term, made) == expected
        assert node.check() == "L"


def test_copies_along_new_axes_keep_everything() -> None:
    node = Node(aten.tile.default, randn(3, 4), [2, 1, 1])
    assert node.atoms == {}
    assert node.reason(0, 1) == "aten.tile makes new axes"
