"""Operators of a traced graph: what they are called, and their arguments by the names in their schema."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import fx

__all__ = ["arguments_by_name", "overload_name", "replace_arguments", "schema_arguments"]


def overload_name(target: Any) -> str:
    """Return the name of an operator with its overload, as "aten::add.Tensor"; "" for a plain Python function.

    Example:
        >>> import torch
        >>> overload_name(torch.ops.aten.relu.default)
        'aten::relu.default'
    """
    schema = getattr(target, "_schema", None)
    return "" if schema is None else f"{schema.name}.{schema.overload_name or 'default'}"


def schema_arguments(target: Any) -> list[Any]:
    """Return the arguments in an operator's schema; none for a plain Python function."""
    schema = getattr(target, "_schema", None)
    return [] if schema is None else list(schema.arguments)


def arguments_by_name(node: fx.Node) -> dict[str, Any]:
    """Return every argument of an operator call by its name in the schema and in its order, defaults filled in."""
    arguments = schema_arguments(node.target)
    given = {argument.name: value for argument, value in zip(arguments, node.args, strict=False)} | node.kwargs
    return {
        argument.name: given.get(argument.name, argument.default_value)
        for argument in arguments
        if argument.name in given or argument.has_default_value()
    }


def replace_arguments(
    target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], values: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of an operator call with some of them replaced, by their names in the schema."""
    names = [argument.name for argument in schema_arguments(target)][: len(args)]
    given = tuple(values.get(name, value) for name, value in zip(names, args, strict=True))
    return given, {**kwargs, **{name: value for name, value in values.items() if name not in names}}
