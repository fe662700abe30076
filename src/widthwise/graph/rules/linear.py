"""Contractions: linear layers and matrix products."""

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule

__all__: list[str] = []


@rule("linear")
def linear(call: Call) -> Outcome:
    """Weight (out, in): contracts the last axis of the input."""
    x, weight = call.axes("input"), call.axes("weight")
    call.contract(x[-1], weight[-1])
    if call.has("bias") and len(weight) == 2:
        call.unify(weight[0], call.axes("bias")[0])
    return Outcome(outputs=((*x[:-1], *weight[:-1]),), contracted={"weight": len(weight) - 1})


@rule("mm", "bmm", "matmul", "mv", "dot")
def matmul(call: Call) -> Outcome:
    """Contract the last axis of the left with the second last (of a vector: only) axis of the right operand."""
    other = next(name for name in ("mat2", "other", "vec", "tensor") if name in call.arguments)
    right = call.axes(other)
    if all(node.op != "placeholder" for node in call.tensors()):
        _note_attention(call, call.axes("self"), right)
    outputs = (_product(call, call.axes("self"), right),)
    if call.arguments["self"].op == "placeholder" and call.arguments[other].op != "placeholder":
        return Outcome(outputs=outputs, contracted={"self": len(call.axes("self")) - 1})
    return Outcome(outputs=outputs, contracted={other: max(len(right) - 2, 0)})


@rule("addmm", "baddbmm")
def addmm(call: Call) -> Outcome:
    """Contract two matrices, or batches of them, and add a third that broadcasts."""
    left, right = ("mat1", "mat2") if "mat1" in call.arguments else ("batch1", "batch2")
    product = _product(call, call.axes(left), call.axes(right))
    outputs = (call.broadcast([product, call.axes("self")]),)
    return Outcome(outputs=outputs, contracted={right: len(call.axes(right)) - 2})


@rule("_grouped_mm", "transformers::grouped_mm_fallback")
def grouped_matmul(call: Call) -> Outcome:
    """Rows sorted by expert (rows, in) times one matrix per expert (experts, in, out)."""
    left, right = ("self", "mat2") if "self" in call.arguments else ("input", "weight")
    rows, matrices = call.axes(left), call.axes(right)
    if len(rows) != 2 or len(matrices) != 3:
        return call.freeze_everything(f"{call.name} groups another axis than that of its rows")
    call.freeze([rows[0], matrices[0], *call.axes("offs")], " tells the positions of this axis apart")
    call.contract(rows[1], matrices[1])
    return Outcome(outputs=((call.axes(left)[0], matrices[2]),), contracted={right: 1})


def _product(call: Call, left: Axes, right: Axes) -> Axes:
    """Return the axes of left @ right, for vectors, matrices and batches of them."""
    call.contract(left[-1], right[max(len(right) - 2, 0)])
    batch = call.broadcast([left[:-2], right[:-2]])
    rows = left[-2:-1]
    columns = right[-1:] if len(right) > 1 else ()
    return (*batch, *rows, *columns)


def _note_attention(call: Call, left: Axes, right: Axes) -> None:
    """Note what axes are where two computed tensors are multiplied, as an attention written by hand does."""
    for term in left[:-2]:
        call.note(term, "heads")
    call.note(left[-1], "dot")
    call.note(right[-1], "mixed")
