"""Where rules are kept, by ATen operator.

A rule takes a `Call`, unifies and freezes axes through it, and returns an `Outcome`. Add one for an operator of your own with

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

__all__ = ["Rule", "find_rule", "rule"]

Rule = Callable[[Call], Outcome]

_RULES: dict[str, Rule] = {}


def rule(*operators: str) -> Callable[[Rule], Rule]:
    """Register a rule for operators, each named "namespace::name" (every overload) or "namespace::name.overload"; aten is assumed."""

    def register(function: Rule) -> Rule:
        for operator in operators:
            _RULES[operator if "::" in operator else f"aten::{operator}"] = function
        return function

    return register


def find_rule(target: Any) -> Rule | None:
    """Return the rule of an operator: of its overload, else of all its overloads, else the common one of point-wise operators."""
    if not isinstance(target, torch._ops.OpOverload):
        return None
    name = target._schema.name
    found = _RULES.get(f"{name}.{target._overloadname}") or _RULES.get(name)
    if found is None and torch.Tag.pointwise in target.tags:
        return _RULES["aten::pointwise"]
    return found
