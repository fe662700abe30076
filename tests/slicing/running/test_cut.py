from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from widthwise.graph import Atom, Axes, Frozen, Product, Sum
from widthwise.slicing.running.cut import Layout, _Prefixes, cut

A, B = Atom(1, 4), Atom(2, 3)
TERMS = {
    "prefix": (A, Frozen(3, "kernel")),
    "both axes": (A, B),
    "leading factor": (Product((A, Frozen(2, "inner"))), B),
    "inner factor": (Product((Frozen(2, "outer"), A)), B),
    "segments": (Sum((A, B)), Frozen(2, "kernel")),
    "nested": (Product((Frozen(2, "outer"), Sum((A, B)))), Product((B, Frozen(2, "inner")))),
}
SIZES = {"prefix": (4, 3), "both axes": (4, 3), "leading factor": (8, 3), "inner factor": (8, 3), "segments": (7, 2),
         "nested": (14, 6)}  # fmt: skip
names = pytest.mark.parametrize("name", TERMS)
KEPT = st.fixed_dictionaries({1: st.integers(1, 4), 2: st.integers(1, 3)})


def make_tensor(name: str, *, seed: int = 0) -> Tensor:
    return torch.randn(SIZES[name], generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def positions_by_hand(term: Any, kept: dict[int, list[int]]) -> list[int]:
    """The plain form: walk over every position of an axis and ask whether all its units are kept."""
    if isinstance(term, Frozen):
        return list(range(int(term.size)))
    if isinstance(term, Atom):
        return kept[term.key]
    children = [positions_by_hand(child, kept) for child in (term.factors if isinstance(term, Product) else term.parts)]
    sizes = [length(child) for child in (term.factors if isinstance(term, Product) else term.parts)]
    if isinstance(term, Sum):
        return [sum(sizes[:i]) + place for i, places in enumerate(children) for place in places]
    found = [0]
    for places, size in zip(children, sizes, strict=True):
        found = [outer * size + place for outer in found for place in places]
    return found


def length(term: Any) -> int:
    if isinstance(term, Atom | Frozen):
        return int(term.size)
    lengths = [length(child) for child in (term.factors if isinstance(term, Product) else term.parts)]
    return sum(lengths) if isinstance(term, Sum) else torch.Size(lengths).numel()


def gather(tensor: Tensor, axes: Axes, kept: dict[int, list[int]]) -> Tensor:
    for axis, term in enumerate(axes):
        tensor = tensor.index_select(axis, torch.tensor(positions_by_hand(term, kept)))
    return tensor


@names
@given(kept=KEPT)
def test_a_cut_at_prefixes_is_what_gathering_by_hand_gives(name: str, kept: dict[int, int]) -> None:
    tensor = make_tensor(name)
    by_hand = gather(tensor, TERMS[name], {key: list(range(number)) for key, number in kept.items()})

    assert torch.equal(cut(tensor, TERMS[name], kept), by_hand)
    assert torch.equal(Layout([TERMS[name]]).cut([tensor], kept)[0], by_hand)


@names
@given(first=st.lists(st.integers(0, 3), min_size=1, unique=True), other=st.integers(1, 3))
def test_a_cut_at_scattered_units_is_what_gathering_by_hand_gives(name: str, first: list[int], other: int) -> None:
    tensor = make_tensor(name)
    units = sorted(first)
    kept = {1: torch.tensor(units), 2: other}
    by_hand = gather(tensor, TERMS[name], {1: units, 2: list(range(other))})

    assert torch.equal(cut(tensor, TERMS[name], kept), by_hand)
    assert torch.equal(Layout([TERMS[name]]).cut([tensor], kept)[0], by_hand)
    rows = Layout([TERMS[name]]).cut_together([tensor.requires_grad_()], [kept, {1: 4, 2: 3}])
    assert torch.equal(rows[0][0], by_hand)
    assert torch.equal(rows[1][0], tensor)


@pytest.mark.parametrize("name", ["prefix", "both axes", "leading factor"])
def test_a_prefix_is_a_view(name: str) -> None:
    tensor = make_tensor(name)
    for part in (cut(tensor, TERMS[name], {1: 2, 2: 2}), Layout([TERMS[name]]).cut([tensor], {1: 2, 2: 2})[0]):
        assert part.untyped_storage().data_ptr() == tensor.untyped_storage().data_ptr()


def test_scattered_units_inside_an_axis_are_copied() -> None:
    tensor = make_tensor("segments")
    assert cut(tensor, TERMS["segments"], {1: 2, 2: 2}).untyped_storage().data_ptr() != tensor.data_ptr()


def test_a_whole_tensor_is_not_touched() -> None:
    layout = Layout([(Frozen(4, "input"),), (A,)])
    whole, units = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    rows = layout.cut_together([whole, units], [{1: 4}, {1: 2}])
    assert rows[0][0] is whole
    assert rows[1][0] is whole
    assert layout.cut([whole, units], {1: 4}) == [whole, units]


def test_a_layout_says_which_cuts_are_views() -> None:
    layout = Layout([(A, Frozen(3, "kernel")), (Sum((A, B)),)])
    assert layout.is_prefix(0, {1: 2, 2: 1})
    assert not layout.is_prefix(0, {1: torch.tensor([1])})
    assert not layout.is_prefix(1, {1: 2, 2: 1})


SHAPES = st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3)), min_size=2, max_size=4)


def plain(tensor: Tensor, shapes: list[tuple[int, int]]) -> list[Tensor]:
    return [tensor[:rows, :columns] for rows, columns in shapes]


def weigh(parts: Any, unused: set[int], generator: torch.Generator) -> Tensor:
    """A cubic function of all parts but the unused ones, each with weights of its own."""
    terms = []
    for i, part in enumerate(parts):
        weights = torch.randn(part.shape, generator=generator, dtype=part.dtype)
        if i not in unused:
            terms.append((weights * part**3).sum())
    return torch.stack(terms).sum()


@given(shapes=SHAPES, with_full=st.integers(0, 2), data=st.data(), owned=st.booleans())
def test_the_common_backward_is_that_of_plain_slices(
    shapes: list[tuple[int, int]], with_full: int, data: st.DataObject, owned: bool
) -> None:
    shapes = [(4, 3)] * with_full + shapes
    unused = data.draw(st.sets(st.integers(0, len(shapes) - 1), max_size=len(shapes) - 1))
    gradients = []
    for split in (lambda tensor: _Prefixes.apply(tensor, shapes, owned), lambda tensor: plain(tensor, shapes)):
        tensor = make_tensor("both axes").requires_grad_()
        weigh(split(tensor), unused, torch.Generator().manual_seed(1)).backward()
        gradients.append(tensor.grad)
    torch.testing.assert_close(*gradients, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("owned", [False, True])
@pytest.mark.parametrize("shapes", [[(4, 3), (2, 3)], [(4, 3), (4, 3), (1, 1)], [(2, 2), (3, 1)]])
def test_the_common_backward_passes_gradcheck_twice(shapes: list[tuple[int, int]], owned: bool) -> None:
    tensor = make_tensor("both axes").requires_grad_()

    def run(tensor: Tensor) -> tuple[Tensor, ...]:
        return tuple(part**2 for part in _Prefixes.apply(tensor, shapes, owned))

    assert torch.autograd.gradcheck(run, (tensor,))
    assert torch.autograd.gradgradcheck(run, (tensor,))


def test_a_gradient_that_others_hold_is_not_written_to() -> None:
    tensor, other = make_tensor("both axes").requires_grad_(), make_tensor("both axes").requires_grad_()
    # Made first, so that its backward runs last.
    scaled = 1.0 * other
    full, part = _Prefixes.apply(tensor, [(4, 3), (2, 2)], False)
    # Both addends get the same gradient tensor.
    ((full + scaled).square().sum() + part.sum()).backward()
    expected = 2 * (tensor + other).detach()
    torch.testing.assert_close(other.grad, expected, rtol=1e-12, atol=1e-12)
    expected[:2, :2] += 1
    torch.testing.assert_close(tensor.grad, expected, rtol=1e-12, atol=1e-12)


def test_parts_that_nobody_uses_give_no_gradient() -> None:
    tensor = make_tensor("both axes").requires_grad_()
    other = torch.ones(2, requires_grad=True)
    parts = _Prefixes.apply(tensor, [(4, 3), (2, 2)], False)
    (other.sum() + 0 * sum(part.detach().sum() for part in parts)).backward()
    assert tensor.grad is None


def test_several_cuts_share_one_node_of_the_backward() -> None:
    tensor = make_tensor("both axes").requires_grad_()
    rows = Layout([TERMS["both axes"]]).cut_together([tensor], [{1: 4, 2: 3}, {1: 2, 2: 1}])
    assert rows[0][0].grad_fn is rows[1][0].grad_fn
    assert type(rows[0][0].grad_fn).__name__ == "_PrefixesBackward"


def test_without_gradients_several_cuts_are_plain_views() -> None:
    tensor = make_tensor("both axes").requires_grad_()
    with torch.no_grad():
        rows = Layout([TERMS["both axes"]]).cut_together([tensor], [{1: 4, 2: 3}, {1: 2, 2: 1}])
    assert rows[0][0] is tensor
    assert rows[1][0].shape == (2, 1)
    assert rows[1][0].grad_fn is None
