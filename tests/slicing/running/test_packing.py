import pytest
import torch

from tests.networks import assert_same, make_generator
from widthwise.graph import Atom, Frozen, Product, Sum
from widthwise.slicing.running.cut import MOST_HELD, cut
from widthwise.slicing.running.packing import Packing

TERMS = (
    Atom(0, 6),
    Product((Frozen(3, "qkv"), Atom(1, 4))),
    Frozen(2, "classes"),
    Sum((Atom(0, 6), Atom(1, 4))),
    Atom(1, 4),
)
SIZES = [6, 12, 2, 10, 4]
VALUES = torch.randn(sum(SIZES), generator=make_generator(0))


@pytest.mark.parametrize(
    "kept", [{}, {0: 3}, {0: 1, 1: 2}, {0: 6, 1: 4}, {0: torch.tensor([5, 0, 2])}, {0: torch.tensor([1]), 1: 3}]
)
def test_every_part_is_what_it_is_alone(kept: dict[int, int | torch.Tensor]) -> None:
    packing = Packing(TERMS)
    # The second time it is held.
    for _ in range(2):
        found = packing.cut(VALUES, kept)
        for part, term, values in zip(found, TERMS, VALUES.split(SIZES), strict=True):
            assert_same(part, cut(values, (term,), kept))


def test_gradients_reach_what_is_kept_alone() -> None:
    values = VALUES.clone().requires_grad_()
    sum(part.sum() for part in Packing(TERMS).cut(values, {0: 2, 1: 1})).backward()  # pyright: ignore[reportAttributeAccessIssue]
    assert values.grad is not None
    assert values.grad.split(SIZES)[0].tolist() == [1, 1, 0, 0, 0, 0]
    assert values.grad.split(SIZES)[1].tolist() == [1, 0, 0, 0] * 3
    assert values.grad.split(SIZES)[2].tolist() == [1, 1]


def test_as_many_kept_sets_are_held_as_a_server_has() -> None:
    packing = Packing((Atom(0, 4 * MOST_HELD),))
    values = torch.arange(4 * MOST_HELD)
    for units in range(1, 2 * MOST_HELD):
        (part,) = packing.cut(values, {0: units})
        assert part.tolist() == list(range(units))
    assert len(packing._sizes) == MOST_HELD  # pyright: ignore[reportPrivateUsage]
