"""Nested tuples, lists and dicts of numbers as plain values, for JSON, which tells no tuple from a list."""

from typing import Any

from widthwise._shared import ExportError

__all__ = ["read_tree", "write_tree"]


def write_tree(tree: Any) -> Any:
    """Return a nested structure as plain values.

    Raises:
        ExportError: It holds something other than tuples, lists, dicts with names, and numbers.
    """
    if isinstance(tree, int):
        return tree
    if type(tree) in (tuple, list):
        return [type(tree).__name__, *map(write_tree, tree)]
    if type(tree) is dict and all(isinstance(name, str) and name.isidentifier() for name in tree):
        return {name: write_tree(each) for name, each in tree.items()}
    raise ExportError(
        "expected a network that takes and returns tensors in tuples, lists and dicts with names, got "
        f"{type(tree).__name__}; let forward return a tuple"
    )


def read_tree(data: Any) -> Any:
    """Return what `write_tree` wrote.

    Raises:
        ValueError: It did not write this.
    """
    if isinstance(data, dict):
        if not all(name.isidentifier() for name in data):
            raise ValueError("expected names")
        return {name: read_tree(each) for name, each in data.items()}
    if isinstance(data, list) and data and data[0] in ("tuple", "list"):
        children = [read_tree(each) for each in data[1:]]
        return tuple(children) if data[0] == "tuple" else children
    if isinstance(data, int):
        return data
    raise ValueError(f"expected a nested structure, got {data!r}")
