"""One small rule per operator: which input axes must agree, and what the output axes are.

A file of rules is loaded by being named here.
"""

from importlib import import_module

from widthwise.graph.rules.registry import Rule, find_rule, rule

__all__ = ["Rule", "find_rule", "rule"]

for _family in (
    "attention", "complex", "convolution", "creation", "distance", "einsum", "join", "linear", "lookup",
    "normalization", "order", "padding", "part", "pointwise", "pooling", "recurrent", "reduction", "reshape", "shuffle",
    "view",
):  # fmt: skip
    import_module(f"widthwise.graph.rules.{_family}")
