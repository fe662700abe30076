import json

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from widthwise.training.tree import join_tensors, split_tensors

leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
with_tensors = leaves | st.lists(st.floats(-1, 1), max_size=3).map(torch.tensor)


def nest(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    lists = st.lists(inner, max_size=3)
    keys = st.integers() | st.text()
    return lists | lists.map(tuple) | st.dictionaries(keys, inner, max_size=3)


trees = st.recursive(with_tensors, nest, max_leaves=12)


def assert_same(found: object, expected: object) -> None:
    assert type(found) is type(expected)
    if isinstance(expected, Tensor):
        assert isinstance(found, Tensor)
        assert found.dtype == expected.dtype
        assert torch.equal(found, expected)
    elif isinstance(expected, dict):
        assert isinstance(found, dict)
        assert list(found) == list(expected)
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert isinstance(found, list | tuple)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_same(one, other)
    else:
        assert found == expected


@given(trees)
def test_a_tree_survives_json_and_a_table_of_tensors(tree: object) -> None:
    content, tensors = split_tensors(tree, "state")
    assert_same(join_tensors(json.loads(json.dumps(content)), tensors), tree)


def test_the_tensors_are_copies() -> None:
    weight = torch.zeros(3)
    _, tensors = split_tensors({"w": weight}, "state")
    weight += 1
    assert torch.equal(tensors["state.0"], torch.zeros(3))


def test_the_names_of_tensors_tell_keys_apart_that_look_alike() -> None:
    tree = {1: torch.ones(1), "1": torch.zeros(1), "a.b": torch.ones(2), "a": {"b": torch.zeros(2)}}
    _, tensors = split_tensors(tree, "state")
    assert len(tensors) == 4


def test_what_cannot_be_saved_is_refused_with_its_place() -> None:
    with pytest.raises(
        TypeError, match=r"expected tensors, numbers, text, lists and tables at state\.0\.1, got object; it"
    ):
        split_tensors({"a": [1, object()]}, "state")


def test_a_missing_tensor_is_an_error() -> None:
    content, _ = split_tensors(torch.ones(1), "state")
    with pytest.raises(KeyError):
        join_tensors(content, {})
