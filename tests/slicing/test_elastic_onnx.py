import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.slicing.stored.test_shells import ATOMS, axes_of_tensors, numbered
from widthwise.graph import Axes, count
from widthwise.slicing.cut import cut
from widthwise.slicing.elastic_onnx import _count, _cut


@given(axes_of_tensors, st.integers(1, 3), st.integers(1, 4))
def test_what_is_cut_for_a_runtime_is_the_plain_cut(axes: Axes, some: int, others: int) -> None:
    tensor, kept = numbered(axes), {ATOMS[0].key: some, ATOMS[1].key: others}
    assert torch.equal(_cut(tensor, axes, kept), cut(tensor, axes, kept))
    assert [_count(term, kept) for term in axes] == [count(term, kept) for term in axes]
