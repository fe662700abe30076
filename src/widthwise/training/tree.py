"""Nested state as one JSON value and one table of tensors, and back: an optimiser's state saved without pickle.

JSON keeps neither tuples nor integer keys nor tensors; each becomes a table with one reserved key. Floats come back
bit-equal, since Python writes the shortest text that reads back to the same number.
"""

from collections.abc import Mapping
from typing import cast

from torch import Tensor

__all__ = ["join_tensors", "split_tensors"]

_TENSOR, _TUPLE, _TABLE = "__tensor__", "__tuple__", "__table__"


def split_tensors(tree: object, prefix: str) -> tuple[object, dict[str, Tensor]]:
    """Return `tree` as JSON values with names in place of tensors, and the tensors by name (copies on the CPU).

    Args:
        tree: Mappings, lists and tuples of tensors, numbers, text, truth values and None, to any depth.
        prefix: The first part of every name.

    Raises:
        TypeError: Where something else is found.
    """
    if isinstance(tree, Tensor):
        return {_TENSOR: prefix}, {prefix: tree.detach().cpu().clone().contiguous()}
    if tree is None or isinstance(tree, bool | int | float | str):
        return tree, {}
    tensors: dict[str, Tensor] = {}
    if isinstance(tree, Mapping):
        pairs: list[list[object]] = []
        for index, (key, value) in enumerate(cast("Mapping[str | int, object]", tree).items()):
            # The place and not the key: the keys "a.b" and "a" then "b" would make one name, and so would 1 and "1".
            content, found = split_tensors(value, f"{prefix}.{index}")
            pairs.append([key, content])
            tensors.update(found)
        return {_TABLE: pairs}, tensors
    if isinstance(tree, list | tuple):
        items: list[object] = []
        for index, value in enumerate(cast("list[object]", tree)):
            content, found = split_tensors(value, f"{prefix}.{index}")
            items.append(content)
            tensors.update(found)
        return (items if isinstance(tree, list) else {_TUPLE: items}), tensors
    raise TypeError(
        f"expected tensors, numbers, text, lists and tables at {prefix}, got {type(tree).__name__}; it cannot be saved"
    )


def join_tensors(content: object, tensors: Mapping[str, Tensor]) -> object:
    """Return the tree that `split_tensors` took apart.

    Raises:
        KeyError: Where a tensor is missing.
    """
    if isinstance(content, list):
        return [join_tensors(item, tensors) for item in cast("list[object]", content)]
    if not isinstance(content, dict):
        return content
    table = cast("dict[str, object]", content)
    if _TENSOR in table:
        return tensors[str(table[_TENSOR])]
    if _TUPLE in table:
        return tuple(join_tensors(item, tensors) for item in cast("list[object]", table[_TUPLE]))
    return {key: join_tensors(value, tensors) for key, value in cast("list[tuple[str | int, object]]", table[_TABLE])}
