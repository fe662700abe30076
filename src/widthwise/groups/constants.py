"""Constants that look as if they were a size of a group: they stay as they are at every width.

`y * y.size(-1) ** -0.5` is traced as a multiplication by a number. An elastic network is the traced program, so the
number stays that of the full width; code that works the number out again would differ at another width. Whether a
constant came from a size cannot be told from the trace, so this is a list of coincidences to look at.
"""

import math
from collections.abc import Iterator, Mapping

from torch import fx

from widthwise.graph import Atom, Call, Inference, atoms_of, overload_name, size_of
from widthwise.groups.group import SizedConstant

__all__ = ["find_sized_constants"]

_OPERATORS = {"aten::mul", "aten::div", "aten::true_divide", "aten::add", "aten::sub", "aten::rsub"}
_REACH = 3
_COMMON = {0.0, 0.5, 1.0, 2.0}


def find_sized_constants(inference: Inference, titles: Mapping[Atom, str]) -> list[SizedConstant]:
    """Return the numbers in a network that equal a size of a group, its inverse or a root of these.

    Args:
        inference: The traced network.
        titles: The name of each group by its atom.
    """
    found: list[SizedConstant] = []
    for node in inference.outcomes:
        if overload_name(node.target).partition(".")[0] not in _OPERATORS:
            continue
        for value in node.args:
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) not in _COMMON:
                for size, names in _sizes_nearby(node, inference, titles):
                    formula = _describe(abs(value), size)
                    if formula is not None:
                        place = Call(node, inference.solver, inference.axes).name
                        found.append(SizedConstant(place=place, value=float(value), formula=formula, groups=names))
                        break
    return found


def _sizes_nearby(
    node: fx.Node, inference: Inference, titles: Mapping[Atom, str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yield the sizes of axes that hold units, with the groups they are of, of a node and of those just before it."""
    seen: dict[fx.Node, None] = {node: None}
    border = [node]
    for _ in range(_REACH):
        border = [source for each in border for source in each.all_input_nodes if source not in seen]
        seen.update(dict.fromkeys(border))
    for each in seen:
        for output in range(len(inference.axes.get(each, ()))):
            for term in inference.axes_of(each, output):
                names = dict.fromkeys(titles[atom] for atom in atoms_of(term) if atom in titles)
                size = size_of(term)
                if names and isinstance(size, int):
                    yield size, tuple(names)


def _describe(value: float, size: int) -> str | None:
    candidates = {
        f"{size}": size,
        f"1 / {size}": 1 / size,
        f"sqrt({size})": math.sqrt(size),
        f"1 / sqrt({size})": 1 / math.sqrt(size),
        f"{size} - 1": size - 1,
        f"1 / ({size} - 1)": 1 / (size - 1) if size > 1 else math.inf,
    }
    return next((text for text, each in candidates.items() if math.isclose(value, each, rel_tol=1e-6)), None)
