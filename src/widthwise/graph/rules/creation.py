"""Tensors made out of nothing but a shape, every entry alike: their axes follow whatever they meet.

Tables whose entries differ (aranges, identities) have no rule here: those that are data are constants of the trace, and
the others stay frozen.
"""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule

__all__: list[str] = []


@rule(
    "zeros", "ones", "full", "empty.memory_format", "rand", "randn",
    "new_zeros", "new_ones", "new_full", "new_empty",
)  # fmt: skip
def create(call: Call) -> Outcome:
    """Make every axis anew; the requested sizes become kept counts."""
    axes = call.fresh_output()
    return Outcome(outputs=(axes,), sizes={"size": axes})
