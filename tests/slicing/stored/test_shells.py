import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise.graph import Atom, Axes, Frozen, Product, Sum, Term, size_of
from widthwise.slicing.running.cut import cut
from widthwise.slicing.stored.shells import axis_levels, count_by_level, pack, position_levels, unpack

ATOMS = [Atom(0, 3), Atom(1, 4), Atom(2, 2)]
BIRTHS = {0: torch.tensor([0, 1, 4]), 1: torch.tensor([0, 0, 2, 3])}

terms: st.SearchStrategy[Term] = st.recursive(
    st.sampled_from([*ATOMS, Frozen(1, ""), Frozen(2, "")]),
    lambda children: st.one_of(
        st.lists(children, min_size=2, max_size=2).map(lambda some: Product(tuple(some))),
        st.lists(children, min_size=2, max_size=2).map(lambda some: Sum(tuple(some))),
    ),
    max_leaves=3,
)
axes_of_tensors = st.lists(terms, max_size=3).map(tuple)


def numbered(axes: Axes) -> torch.Tensor:
    shape = [int(size_of(term)) for term in axes]
    return torch.arange(int(torch.tensor(shape).prod()) if shape else 1).reshape(shape)


@given(axes_of_tensors, st.integers(1, 3), st.integers(1, 4))
def test_the_first_levels_are_what_a_cut_keeps(axes: Axes, some: int, others: int) -> None:
    tensor, levels = numbered(axes), position_levels(axes, BIRTHS)
    kept = {0: some, 1: others}
    part = unpack(pack(tensor, levels), levels, axes, kept)
    assert torch.equal(part, cut(tensor, axes, kept))
    assert part.is_contiguous()


@given(axes_of_tensors)
def test_levels_hold_every_number_once_and_in_order(axes: Axes) -> None:
    tensor, levels = numbered(axes), position_levels(axes, BIRTHS)
    counts = count_by_level(levels, 5)
    assert sum(counts) == tensor.numel()
    birth = torch.zeros(())
    for each in levels:
        birth = torch.maximum(birth[..., None], each)
    assert counts == torch.bincount(birth.reshape(-1).long(), minlength=5).tolist()
    assert torch.equal(pack(birth, levels), birth.reshape(-1).sort().values)


def test_no_more_is_needed_than_the_levels_of_what_is_kept() -> None:
    axes = (ATOMS[0], ATOMS[1])
    tensor, levels = numbered(axes), position_levels(axes, BIRTHS)
    stored = pack(tensor, levels)[: sum(count_by_level(levels, 5)[:3])]
    assert torch.equal(unpack(stored, levels, axes, {0: 2, 1: 3}), tensor[:2, :3])


def test_units_of_no_group_are_there_from_the_start() -> None:
    assert axis_levels(ATOMS[2], BIRTHS).tolist() == [0, 0]
    assert axis_levels(Atom(1, 3), BIRTHS).tolist() == [0, 0, 2]


def test_a_matrix_is_stored_by_angles() -> None:
    levels = [torch.arange(3), torch.arange(3)]
    assert pack(torch.tensor([[1, 2, 5], [3, 4, 6], [7, 8, 9]]), levels).tolist() == [*range(1, 10)]
