"""Scaled dot-product attention.

Heads are a batch axis of the operator, so whole heads may go; values may be narrower than queries and keys. Where
queries and keys are cut, the scale stays that of the full width: it is written out, since the operator would work it
out of the width that it finds.
"""

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Term, quotient, size_of

__all__: list[str] = []


@rule("scaled_dot_product_attention")
def attention(call: Call) -> Outcome:
    """Query (..., L, E), key (..., S, E), value (..., S, V): (..., L, V)."""
    query, key, value = (call.axes(name) for name in ("query", "key", "value"))
    call.freeze([query[-2], key[-2], value[-2]], " attends along this axis")
    call.contract(query[-1], key[-1])
    call.note(query[-1], "query")
    call.note(value[-1], "value")
    batch = _tie_batches(call, query[:-2], key[:-2], value[:-2])
    if call.has("attn_mask"):
        scores = (*batch, query[-2], key[-2])
        call.broadcast([scores, call.axes("attn_mask")])
    for term in batch:
        call.note(term, "heads")
    full = size_of(query[-1])
    scale = {"scale": full**-0.5} if call.arguments["scale"] is None and isinstance(full, int) else {}
    return Outcome(outputs=((*batch, query[-2], value[-1]),), written=scale)


def _tie_batches(call: Call, query: Axes, key: Axes, value: Axes) -> Axes:
    if not call.arguments["enable_gqa"]:
        return call.broadcast([query, key, value])
    call.unify(key[-1], value[-1])
    heads = _tie_grouped_heads(call, query[-1], key[-1])
    return (*call.broadcast([query[:-1], key[:-1], value[:-1]]), heads)


def _tie_grouped_heads(call: Call, queries: Term, keys: Term) -> Term:
    """Return the heads of the queries, which are those of the keys times a number of queries that share one."""
    shared = quotient(size_of(queries), size_of(keys))
    assert shared is not None
    outer, inner = call.solver.split(queries, (size_of(keys), shared), f"heads of {call.name}")
    call.unify(outer, keys)
    call.note(inner, "shared")
    return call.solver.resolve(queries)
