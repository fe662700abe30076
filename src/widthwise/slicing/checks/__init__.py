"""Checks that width inference told the truth about a network, each independent of the others."""

from widthwise.slicing.checks.masked import check_masked
from widthwise.slicing.checks.order import check_order
from widthwise.slicing.checks.restriction import check_restriction
from widthwise.slicing.checks.shapes import check_shapes
from widthwise.slicing.checks.values import FullRun, NodeFailure

__all__ = ["FullRun", "NodeFailure", "check_masked", "check_order", "check_restriction", "check_shapes"]
