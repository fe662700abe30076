import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen, Product, Term

aten = torch.ops.aten
SIZES = st.integers(2, 4)


def attend(
    *,
    heads: int = 3,
    keys: int | None = None,
    width: int = 4,
    values: int = 5,
    mask: tuple[int, ...] = (),
    **more: object,
) -> Node:
    """Attention of 6 positions to 7 in 2 samples."""
    shared = keys or heads
    inputs = (randn(2, heads, 6, width), randn(2, shared, 7, width, seed=1), randn(2, shared, 7, values, seed=2))
    extra = {"attn_mask": randn(*mask, seed=3)} if mask else {}
    return Node(aten.scaled_dot_product_attention.default, *inputs, enable_gqa=keys is not None, **extra, **more)


@given(SIZES, SIZES, SIZES, st.booleans())
def test_heads_are_carried_and_the_width_of_queries_is_summed_over(
    heads: int, width: int, values: int, is_causal: bool
) -> None:
    node = attend(heads=heads, width=width, values=values, is_causal=is_causal)
    query, key, value = node.inputs
    assert query[:2] == key[:2] == value[:2] == node.outputs[0][:2]
    assert query[3] == key[3]
    assert node.solver.read_atoms == {query[3]}
    assert node.outputs[0][2:] == (query[2], value[3])
    assert len(node.atoms) == 4
    assert node.check() == "Z"


def test_positions_that_are_attended_along_keep_their_number() -> None:
    node = attend()
    for tensor in range(3):
        assert node.reason(tensor, 2) == "aten.scaled_dot_product_attention attends along this axis"


@pytest.mark.parametrize(("given_scale", "written"), [(None, {"scale": 0.5}), (0.3, {})])
def test_the_scale_stays_that_of_the_full_width(given_scale: float | None, written: dict[str, float]) -> None:
    """Item 7: the operator would work it out of the width that it finds."""
    node = attend(width=4, scale=given_scale)
    assert node.outcome.written == written
    assert node.check() == "Z"


@pytest.mark.parametrize("mask", [(6, 7), (2, 1, 6, 7), (3, 6, 7), (2, 3, 6, 7), (1, 7)])
def test_a_mask_follows_the_samples_heads_and_positions_that_it_has(mask: tuple[int, ...]) -> None:
    node = attend(mask=mask)
    found = node.inputs[3]
    scores: tuple[Term, ...] = (*node.inputs[0][:3], node.inputs[1][2])
    assert all(
        mine == theirs for mine, theirs, size in zip(found[::-1], scores[::-1], mask[::-1], strict=False) if size > 1
    )
    assert isinstance(found[-1], Frozen)
    assert node.check() == "Z"


@given(SIZES, SIZES)
def test_queries_that_share_a_key_are_an_inner_factor_of_their_heads(keys: int, shared: int) -> None:
    node = attend(heads=keys * shared, keys=keys)
    query, key, value = node.inputs
    assert isinstance(query[1], Product)
    assert query[1].factors[0] == key[1] == value[1]
    assert node.solver.noted("shared") == {query[1].factors[1]}
    assert node.outputs[0][1] == query[1]
    assert node.check() == "Z"


def test_as_many_queries_as_keys_are_heads() -> None:
    node = attend(heads=3, keys=3)
    assert node.inputs[0][1] == node.inputs[1][1]
    assert node.check() == "Z"


def test_one_key_for_all_queries_leaves_their_heads_free() -> None:
    node = attend(heads=4, keys=1)
    assert isinstance(node.inputs[0][1], Atom)
    assert node.check() == "Z"


def test_axes_are_noted_for_what_they_are() -> None:
    node = attend()
    query, _, value = node.inputs
    assert node.solver.noted("query") == {query[3]}
    assert node.solver.noted("value") == {value[3]}
    # In a network the first axis is the batch; where heads are folded into it, they are its atoms.
    assert node.solver.noted("heads") == {query[0], query[1]}


def test_heads_may_be_folded_into_the_first_axis() -> None:
    node = Node(
        aten.scaled_dot_product_attention.default, randn(2, 6, 4), randn(2, 7, 4, seed=1), randn(2, 7, 5, seed=2)
    )
    assert node.solver.noted("heads") == {node.inputs[0][0]}
    assert node.check() == "Z"
