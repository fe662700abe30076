"""Constants that look as if they were a size of a group.

`y * y.size(-1) ** -0.5` is traced as a multiplication by a number. Whether it came from a size cannot be told from the
trace, so this is a list of coincidences to look at. `graph/provenance.py` knows which of them came from a size and
follow it; an elastic network is the traced program, so the others stay what they are at full width.
"""

import math
from collections.abc import Iterator, Mapping

from torch import fx

from widthwise.graph import (
    Atom,
    Axes,
    Call,
    Inference,
    Term,
    arguments_by_name,
    atoms_of,
    is_arithmetic,
    multiply_factors,
    size_of,
)
from widthwise.groups.group import SizedConstant

__all__ = ["find_sized_constants"]

_REACH = 3
_COMMON = {0.0, 0.5, 1.0, 2.0}


def find_sized_constants(
    inference: Inference, titles: Mapping[Atom, str], *, with_common: bool = False
) -> list[SizedConstant]:
    """Return the numbers in a network that equal a size of a group or of several axes, its inverse or a root of these.

    Args:
        inference: The traced network.
        titles: The name of each group by its atom.
        with_common: Whether 0.5, 1 and 2 are listed too, which are no sizes most of the time.
    """
    found: list[SizedConstant] = []
    for node in filter(is_arithmetic, inference.outcomes):
        for argument, value in arguments_by_name(node).items():
            if not _is_number(value) or argument == "alpha" or (abs(value) in _COMMON and not with_common):
                continue
            for size, names in _sizes_nearby(node, inference, titles):
                formula = _describe(abs(value), size)
                if formula is not None:
                    place = Call(node, inference.solver, inference.axes).name
                    constant = SizedConstant(
                        place=place,
                        value=float(value),
                        formula=formula,
                        groups=names,
                        node=node.name,
                        argument=argument,
                    )
                    found.append(constant)
                    break
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


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
            for term in _neighbours(inference.axes_of(each, output)):
                names = dict.fromkeys(titles[atom] for atom in atoms_of(term) if atom in titles)
                size = size_of(term)
                if names and isinstance(size, int):
                    yield size, tuple(names)


def _neighbours(axes: Axes) -> Iterator[Term]:
    """Yield axes, and then several that stand side by side as one: `weight.numel()`, channels x height x width."""
    for length in range(1, len(axes) + 1):
        for start in range(len(axes) - length + 1):
            yield multiply_factors(axes[start : start + length])


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
