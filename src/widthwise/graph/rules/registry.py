"""Where rules are kept, by ATen operator.

A rule takes a `Call`, unifies and freezes axes through it, and returns an `Outcome`. Add one for an operator of your
own with

    @rule("mylib::scale_channels")
    def scale_channels(call):
        x = call.axes("x")
        call.unify(x[1], call.axes("gain")[0])
        return Outcome(outputs=(x,))
"""

from collections.abc import Callable
from typing import Any

import torch

from widthwise.graph.call import Call, Outcome
from widthwise.graph.overload import overload_name

__all__ = ["Rule", "find_rule", "rule"]

Rule = Callable[[Call], Outcome]

_RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators.

    Args:
        operators: Each "namespace::name" (every overload) or "namespace::name.overload"; "aten::" may be left out.
    """

    def register(function: Rule) -> Rule:
        for operator in operators:
            _RULES[operator if "::" in operator else f"aten::{operator}"] = function
        return function

    return register


def find_rule(target: Any) -> Rule | None:
    """Return the rule of an operator: of its overload, else of all its overloads, else of its being point-wise."""
    name = overload_name(target)
    found = _RULES.get(name) or _RULES.get(name.partition(".")[0])
    if found is None and torch.Tag.pointwise in getattr(target, "tags", ()):
        return _RULES["aten::pointwise"]
    return found
