"""One small rule per operator: which input axes must agree, and what the output axes are.

A file of rules is loaded by being named here.
"""

from importlib import import_module

from widthwise.graph.rules.registry import Rule, find_rule, rule

__all__ = ["Rule", "find_rule", "rule"]

for _family in (
    "convolution", "creation", "join", "linear", "lookup", "normalization", "padding", "part", "pointwise", "pooling",
    "reduction", "reshape",
):  # fmt: skip
    import_module(f"widthwise.graph.rules.{_family}")
