"""Einstein sums, and the products that PyTorch keeps whole beside them: one axis per letter."""

from collections.abc import Sequence

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Term, size_of

__all__: list[str] = []


@rule("einsum")
def einsum(call: Call) -> Outcome:
    """Equal letters agree; letters that the result lacks are summed over."""
    every = [call.axes(node) for node in call.arguments["tensors"]]
    inputs, result = _parse(call.arguments["equation"], [len(axes) for axes in every])
    letters: dict[str, Term] = {}
    for names, axes in zip(inputs, every, strict=True):
        for name, term in zip(names, axes, strict=True):
            known = letters.get(name)
            if known is None or size_of(known) == 1:
                letters[name] = term
            elif size_of(term) != 1:
                call.unify(known, term)
    is_computed = all(node.op != "placeholder" for node in call.tensors())
    for name, term in letters.items():
        if name not in result:
            call.read(term)
            if is_computed:
                call.note(term, "dot")
        elif is_computed:
            call.note(term, "heads" if all(name in names for names in inputs) else "mixed")
    return Outcome(outputs=(tuple(call.solver.resolve(letters[name]) for name in result),))


@rule("bilinear")
def bilinear(call: Call) -> Outcome:
    """Weight (out, in1, in2): contracts the last axes of both inputs."""
    left, right, weight = (call.axes(name) for name in ("input1", "input2", "weight"))
    call.contract(left[-1], weight[1])
    call.contract(right[-1], weight[2])
    if call.has("bias"):
        call.unify(weight[0], call.axes("bias")[0])
    return Outcome(outputs=((*call.broadcast([left[:-1], right[:-1]]), weight[0]),))


def _parse(equation: str, ranks: Sequence[int]) -> tuple[list[list[str]], list[str]]:
    """Return a name for each axis of each operand and of the result; those under "..." are numbered from the right."""
    sources, arrow, target = equation.replace(" ", "").partition("->")
    inputs = [_name_axes(source, rank) for source, rank in zip(sources.split(","), ranks, strict=True)]
    rest = max((sum(1 for name in names if name.startswith("...")) for names in inputs), default=0)
    if arrow:
        letters = target.replace("...", "")
        return inputs, _name_axes(target, len(letters) + (rest if "..." in target else 0))
    counts = [name for names in inputs for name in names]
    dots = [f"...{i}" for i in reversed(range(rest))]
    return inputs, dots + sorted(name for name in set(counts) if counts.count(name) == 1 and name not in dots)


def _name_axes(term: str, rank: int) -> list[str]:
    before, dots, after = term.partition("...")
    covered = [f"...{i}" for i in reversed(range(rank - len(before) - len(after)))] if dots else []
    return [*before, *covered, *after]
