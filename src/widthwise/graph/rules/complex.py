"""Complex numbers: a pair of real ones is an axis of size 2 that comes and goes."""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen

__all__: list[str] = []


@rule("view_as_complex", "view_as_complex_copy")
def view_as_complex(call: Call) -> Outcome:
    """The last axis, of size 2, goes."""
    axes = call.axes("self")
    call.freeze(axes[-1:], " takes this axis for real and imaginary parts")
    return Outcome(outputs=(axes[:-1],))


@rule("view_as_real", "view_as_real_copy")
def view_as_real(call: Call) -> Outcome:
    """A last axis of size 2 comes."""
    return Outcome(outputs=((*call.axes("self"), Frozen(2, call.name)),))


@rule("complex", "polar", "real", "imag", "_conj", "_conj_physical", "conj", "resolve_conj", "_neg_view", "resolve_neg")
def combine(call: Call) -> Outcome:
    """Parts broadcast, entry by entry."""
    return Outcome(outputs=(call.broadcast([call.axes(node) for node in call.tensors()]),))
