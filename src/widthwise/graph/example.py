"""Inputs of one call of a network, as given to trace it and to run it."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError

__all__ = ["Example", "as_example", "match_call", "name_leaves"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """Inputs for one call of a network, as positional and keyword arguments."""

    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def leaves(self) -> list[Any]:
        """Return every leaf of the inputs, in the order in which a traced graph takes them."""
        return pytree.tree_leaves((self.args, self.kwargs))


def as_example(example_inputs: tuple[Any, ...] | dict[str, Any] | torch.Tensor) -> Example:
    """Return example inputs as an `Example`: a tuple holds positional, a dict keyword inputs, a tensor is the only one.

    Raises:
        TraceError: The inputs are of another type.

    Example:
        >>> as_example({"x": 1}).kwargs
        {'x': 1}
    """
    if isinstance(example_inputs, torch.Tensor):
        return Example(args=(example_inputs,), kwargs={})
    if isinstance(example_inputs, Mapping):
        return Example(args=(), kwargs=dict(example_inputs))
    if isinstance(example_inputs, tuple | list):
        return Example(args=tuple(example_inputs), kwargs={})
    raise TraceError(
        "example_inputs must be a tuple of positional or a dict of keyword inputs, got "
        f"{type(example_inputs).__name__}; for one input x pass (x,)"
    )


def match_call(net: nn.Module, example: Example, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Example:
    """Return a call's inputs with each given by position or by keyword just as the example has it.

    Raises:
        TraceError: The call gives other inputs than the example.
    """
    if len(args) == len(example.args) and list(kwargs) == list(example.kwargs):
        return Example(args=args, kwargs=kwargs)
    signature = inspect.signature(net.forward)
    try:
        given = _by_name(signature, args, kwargs)
    except TypeError as error:
        raise TraceError(
            f"the inputs must fit forward{signature} of {type(net).__name__}, got {_describe(args, kwargs)} ({error}); "
            "call the model as you would call the network"
        ) from error
    wanted = _by_name(signature, example.args, example.kwargs)
    if given.keys() != wanted.keys():
        raise TraceError(
            f"expected the inputs of example_inputs ({_describe(example.args, example.kwargs)}), got "
            f"{_describe(args, kwargs)}; wrap the network again with an example that has these inputs"
        )
    positional = [name for name in wanted if name not in example.kwargs]
    return Example(
        args=tuple(given[name] for name in positional), kwargs={name: given[name] for name in example.kwargs}
    )


def name_leaves(net: nn.Module, example: Example) -> list[str]:
    """Return, for each leaf of the inputs, the name of the network's parameter that it is part of."""
    named = _by_name(inspect.signature(net.forward), example.args, example.kwargs)
    positional = [name for name in named if name not in example.kwargs]
    values = [*zip(positional, example.args, strict=True), *example.kwargs.items()]
    return [name for name, value in values for _ in pytree.tree_leaves(value)]


def _by_name(signature: inspect.Signature, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return a call's inputs by name, in the order of the signature; those of *args are numbered."""
    named: dict[str, Any] = {}
    for name, value in signature.bind(*args, **kwargs).arguments.items():
        kind = signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_POSITIONAL:
            named.update({f"{name}[{i}]": each for i, each in enumerate(value)})
        elif kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def _describe(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> str:
    return f"{len(args)} positional and keywords {sorted(kwargs)}"
