from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.graph.rules.node import Node, randn
from widthwise.graph import Atom, Frozen, Product, atoms_of, count

aten = torch.ops.aten
SIZES = st.integers(2, 5)


@given(SIZES, SIZES, st.sampled_from([(), (2,), (2, 3)]))
def test_batch_norm_carries_everything_and_ties_its_channels(rows: int, channels: int, image: tuple[int, ...]) -> None:
    statistics = [randn(channels, seed=i).abs() + 0.1 for i in range(4)]
    node = Node(
        aten._native_batch_norm_legit_no_training.default, randn(rows, channels, *image), *statistics, 0.1, 1e-5
    )
    assert all(axes == (node.inputs[0][1],) for axes in node.inputs[1:])
    assert node.outputs[0] == node.inputs[0]
    assert node.check() == "L"


@given(SIZES, SIZES)
def test_batch_norm_in_training_returns_statistics_of_its_channels(rows: int, channels: int) -> None:
    statistics = [randn(channels, seed=i).abs() + 0.1 for i in range(4)]
    node = Node(
        aten._native_batch_norm_legit_functional.default, randn(rows, channels, 3), *statistics, True, 0.1, 1e-5
    )
    assert node.outputs[1:] == [(node.inputs[0][1],)] * 4
    assert node.check() == "C"
    node.solver.freeze(node.inputs[0][0], "samples")
    node.solver.freeze(node.inputs[0][2], "positions")
    assert node.check() == "L"


def test_batch_norm_takes_what_is_missing() -> None:
    x = randn(4, 3)
    node = Node(aten._native_batch_norm_legit.no_stats, x, None, None, True, 0.1, 1e-5)
    assert node.outputs[0] == node.inputs[0]
    assert (
        Node(aten.batch_norm.default, x, None, None, randn(3), randn(3).abs(), False, 0.1, 1e-5, False).check() == "L"
    )


@given(SIZES, SIZES)
def test_batch_norm_in_evaluation_returns_no_statistics(rows: int, channels: int) -> None:
    statistics = [randn(channels, seed=i).abs() + 0.1 for i in range(4)]
    node = Node(aten.native_batch_norm.default, randn(rows, channels, 3), *statistics, False, 0.1, 1e-5)
    assert all(axes == (node.inputs[0][1],) for axes in node.inputs[1:])
    assert node.outputs == [node.inputs[0], (Frozen(0, "empty"),), (Frozen(0, "empty"),)]
    assert node.check() == "L"


@given(SIZES, st.integers(2, 4))
def test_instance_norm_ties_its_channels_and_keeps_positions(rows: int, channels: int) -> None:
    node = Node(
        aten.instance_norm.default, randn(rows, channels, 3, 4), randn(channels), randn(channels), None, None, True,
        0.1, 1e-5, False,
    )  # fmt: skip
    assert node.inputs[1] == node.inputs[2] == (node.inputs[0][1],)
    assert node.reason(0, 2).endswith(" normalises along this axis")
    assert node.reason(0, 3).endswith(" normalises along this axis")
    assert node.check() == "L"


@pytest.mark.parametrize("target", [aten.layer_norm.default, aten.rms_norm.default])
@settings(max_examples=20)
@given(SIZES, SIZES, SIZES)
def test_the_last_axes_are_normalised_over_what_is_kept(target: Any, rows: int, units: int, more: int) -> None:
    gains = [randn(units, more), randn(units, more)][: 1 if target is aten.rms_norm.default else 2]
    node = Node(target, randn(rows, units, more), [units, more], *gains)
    assert all(axes == node.inputs[0][1:] for axes in node.inputs[1:])
    assert node.outputs == [node.inputs[0]]
    assert node.check() == "C"
    kept = {node.inputs[0][1].key: units - 1}
    assert node.run_cut(kept)[0].shape == (rows, units - 1, more)
    assert Node(target, randn(rows, units, more), [more]).check() == "C"


def test_rows_are_carried_through_a_norm_of_units() -> None:
    node = Node(aten.layer_norm.default, randn(4, 3), [3])
    node.solver.freeze(node.inputs[0][1], "units")
    assert node.check() == "L"


@settings(max_examples=15)
@given(SIZES, st.integers(2, 3), st.integers(2, 3))
def test_group_norm_keeps_its_groups_and_counts_the_channels_in_them(rows: int, groups: int, channels: int) -> None:
    total = groups * channels
    node = Node(aten.group_norm.default, randn(rows, total, 3), groups, randn(total), randn(total))
    outer, inner = node.inputs[0][1].factors
    assert isinstance(outer, Frozen)
    assert outer.reason.endswith(" counts its groups along this axis")
    assert isinstance(inner, Atom)
    assert node.inputs[1] == node.inputs[2] == (node.inputs[0][1],)
    kept = {inner.key: channels - 1}
    by_hand = randn(rows, total, 3).reshape(rows, groups, channels, 3)[:, :, : channels - 1].reshape(rows, -1, 3)
    gain, bias = (each.reshape(groups, channels)[:, : channels - 1].reshape(-1) for each in (randn(total),) * 2)
    torch.testing.assert_close(node.run_cut(kept)[0], torch.group_norm(by_hand, groups, gain, bias))


@pytest.mark.parametrize("groups", [2, 4, 8])
def test_whole_groups_may_go_where_another_operator_told_them_apart(groups: int) -> None:
    """A grouped convolution made 2 x 2 x 2 channels: with 4 groups the second factor is part of their number."""
    factors = (Atom(101, 2), Atom(102, 2), Atom(103, 2))
    node = Node(aten.group_norm.default, randn(3, 8, 2), groups, randn(8), randn(8), ties={(0, 1): Product(factors)})
    assert node.inputs[0][1] == Product(factors)
    left = {2: 1, 4: 2, 8: 3}[groups]
    node.solver.freeze(node.inputs[0][2], "positions")
    assert node.check() == ("L" if groups == 8 else "C")
    for factor in factors[left:]:
        node.solver.freeze(factor, "channels of a group")
    # Groups do not meet, so what is left of them is as it was.
    assert node.check() == "L"
    assert all(count(node.outcome.sizes["num_groups"], {factor.key: 1}) == groups // 2 for factor in factors[:left])


@pytest.mark.parametrize(("groups", "sizes", "left"), [(4, (2, 4), [2]), (6, (3, 4), [3]), (2, (4, 2), [])])
def test_what_only_this_operator_tells_apart_stays_in_number(
    groups: int, sizes: tuple[int, int], left: list[int]
) -> None:
    outer, inner = Atom(101, sizes[0]), Atom(102, sizes[1])
    node = Node(
        aten.group_norm.default, randn(3, sizes[0] * sizes[1], 2), groups, ties={(0, 1): Product((outer, inner))}
    )
    (cut,) = (factor for factor in node.inputs[0][1].factors if isinstance(factor, Frozen))
    assert cut.reason.endswith(" counts its groups along this axis")
    assert cut.size == 2
    assert [atom.size for atom in atoms_of(node.outcome.sizes["num_groups"])] == left
    node.solver.freeze(node.inputs[0][2], "positions")
    assert node.check() == "C"


@given(SIZES, SIZES)
def test_channels_that_are_groups_of_their_own_do_not_meet(rows: int, channels: int) -> None:
    node = Node(aten.group_norm.default, randn(rows, channels, 3), channels, randn(channels), randn(channels))
    assert node.inputs[1] == node.inputs[2] == (node.inputs[0][1],)
    assert isinstance(node.inputs[0][1], Atom)
    assert node.outcome.sizes == {"num_groups": node.inputs[0][1]}
    assert node.reason(0, 2).endswith(" normalises along this axis")
    assert node.check() == "L"
