import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.slicing.stored.test_shells import ATOMS, axes_of_tensors, numbered
from widthwise.graph import Axes, count
from widthwise.slicing.running.cut import cut
from widthwise.slicing.symbolic import count_symbolically, cut_symbolically


@given(axes_of_tensors, st.integers(1, 3), st.integers(1, 4))
def test_what_is_cut_for_a_runtime_is_the_plain_cut(axes: Axes, some: int, others: int) -> None:
    tensor, kept = numbered(axes), {ATOMS[0].key: some, ATOMS[1].key: others}
    assert torch.equal(cut_symbolically(tensor, axes, kept), cut(tensor, axes, kept))
    assert [count_symbolically(term, kept) for term in axes] == [count(term, kept) for term in axes]
