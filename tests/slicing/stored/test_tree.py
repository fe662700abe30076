import json
from collections import OrderedDict
from typing import Any

import pytest

from widthwise._shared import ExportError
from widthwise.slicing.stored.tree import read_tree, write_tree


@pytest.mark.parametrize("tree", [0, (0,), [0, (1, 2)], {"x": 0, "more": ([1], {})}, ()])
def test_a_structure_that_is_read_is_the_one_that_was_written(tree: Any) -> None:
    assert read_tree(json.loads(json.dumps(write_tree(tree)))) == tree


@pytest.mark.parametrize("tree", [OrderedDict(x=0), {"a b": 0}, {1: 0}, "x"])
def test_what_has_no_plain_form_is_an_error(tree: Any) -> None:
    with pytest.raises(ExportError) as caught:
        write_tree(tree)
    assert str(caught.value) == (
        "expected a network that takes and returns tensors in tuples, lists and dicts with names, got "
        f"{type(tree).__name__}; let forward return a tuple"
    )


@pytest.mark.parametrize("data", [["set", 1], [], "x", {"a'b": 1}, None])
def test_what_is_no_structure_is_not_read(data: Any) -> None:
    with pytest.raises(ValueError, match=r"^expected (names|a nested structure)"):
        read_tree(data)
