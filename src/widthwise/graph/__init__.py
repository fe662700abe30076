"""Floor 1: the traced program with a term on every axis."""

from widthwise.graph.autocast import find_protected_devices
from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.carried import let_carry
from widthwise.graph.example import Example, as_example, match_call
from widthwise.graph.export import FixedAxes, find_image_axes, silence
from widthwise.graph.formula import Formula
from widthwise.graph.infer import Inference, StateAxes, infer_axes, state_tensor
from widthwise.graph.nested import Nested
from widthwise.graph.overload import arguments_by_name, overload_name, replace_arguments
from widthwise.graph.provenance import Counts, find_counts, is_arithmetic
from widthwise.graph.rules import rule
from widthwise.graph.shape import fake_tensors, shape_of
from widthwise.graph.solver import Solver
from widthwise.graph.state import StateInput
from widthwise.graph.term import (
    Atom,
    Frozen,
    KeptSet,
    Product,
    Size,
    Sum,
    Term,
    atoms_of,
    count,
    indices,
    is_prefix,
    join_segments,
    multiply_factors,
    resize,
    size_of,
)
from widthwise.graph.trace import Trace, trace_network

__all__ = [
    "Atom", "Axes", "Call", "Counts", "Example", "FixedAxes", "Formula", "Frozen", "Inference", "KeptSet", "Nested",
    "Outcome", "Product", "Size", "Solver", "StateAxes", "StateInput", "Sum", "Term", "Trace", "arguments_by_name",
    "as_example", "atoms_of", "count", "fake_tensors", "find_counts", "find_image_axes", "find_protected_devices",
    "indices", "infer_axes", "is_arithmetic", "is_prefix", "join_segments", "let_carry", "match_call",
    "multiply_factors", "overload_name", "replace_arguments", "resize", "rule", "shape_of", "silence", "size_of",
    "state_tensor", "trace_network",
]  # fmt: skip
