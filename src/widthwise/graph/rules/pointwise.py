"""Operators that treat every entry alike: inputs broadcast, axes pass through.

The rule named "pointwise" also serves every ATen operator that carries PyTorch's own `pointwise` tag.
"""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import size_of

__all__: list[str] = []


@rule(
    "pointwise", "hardswish", "hardsigmoid", "log_sigmoid", "rrelu", "where.self", "where.Scalar",
    "where.ScalarSelf", "where.ScalarOther", "masked_fill", "fill", "copy", "detach", "alias", "contiguous",
    "_to_copy", "to", "type_as", "lift_fresh_copy", "dropout", "alpha_dropout", "feature_dropout",
    "feature_alpha_dropout", "native_dropout", "bernoulli.default", "bernoulli.p", "zeros_like", "ones_like",
    "full_like", "empty_like", "rand_like", "randn_like",
)  # fmt: skip
def pointwise(call: Call) -> Outcome:
    """All tensor arguments broadcast, wherever they stand."""
    axes = call.broadcast([call.axes(node) for node in call.tensors()])
    return Outcome(outputs=tuple(axes for _ in call.output_shapes()))


@rule("prelu")
def prelu(call: Call) -> Outcome:
    """One slope for all entries, or one for each position of axis 1."""
    x, slope = call.axes("self"), call.axes("weight")
    if any(size_of(term) != 1 for term in slope):
        call.unify(x[min(1, len(x) - 1)], slope[-1])
    return Outcome(outputs=(call.axes("self"),))
