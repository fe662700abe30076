"""One small rule per operator: which input axes must agree, and what the output axes are."""

from widthwise.graph.rules import (  # noqa: F401  (each file registers its rules)
    convolution,
    creation,
    join,
    linear,
    lookup,
    normalization,
    padding,
    part,
    pointwise,
    pooling,
    reduction,
    reshape,
)
from widthwise.graph.rules.registry import Rule, find_rule, rule

__all__ = ["Rule", "find_rule", "rule"]
