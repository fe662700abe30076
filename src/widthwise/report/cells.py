"""Which module of a network has an axis in which width group, and what it does there: the cells of a map."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Literal

from torch import nn

from widthwise.groups import Groups

__all__ = ["Cell", "Row", "make_rows", "shorten"]

# produces: units that a weight gives; reads: those it sums over; carries: one number per unit, as in a bias or the gain
# of a norm.
Role = Literal["produces", "reads", "carries", "kernel"]

_CONVOLUTIONS = (
    nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d,
)  # fmt: skip
# Their tables hold what they read along the first axis, and what they give along the second.
_EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A mark: what a module does in a column.

    Attributes:
        column: The position of the group; None for axes that are frozen.
        role: What the module does there.
    """

    column: int | None
    role: Role


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A module that owns parameters.

    Attributes:
        path: Its name in the network.
        label: The part of its path that the row above does not have.
        depth: How many names the row above has in common with it.
        cells: Its marks.
    """

    path: str
    label: str
    depth: int
    cells: frozenset[Cell]


def make_rows(groups: Groups, net: nn.Module) -> list[Row]:
    """Return a row for each module that owns parameters, in the order of the network.

    Args:
        groups: The width groups of the network.
        net: The network.
    """
    columns = _find_columns(groups)
    rows: list[Row] = []
    above: list[str] = []
    for path, module in net.named_modules(remove_duplicate=False):
        cells = frozenset(_find_cells(path, module, columns, groups.summed))
        if not cells and not any(True for _ in module.parameters(recurse=False)):
            continue
        names = path.split(".") if path else []
        # A module below the one of the row above stands under it; the last name is always written.
        common = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(above, names, strict=False)))
        depth = min(common, max(len(names) - 1, 0))
        label = ".".join(names[depth:]) or type(net).__name__
        rows.append(Row(path=path, label=label, depth=depth, cells=cells))
        above = names
    return rows


def shorten(name: str, most: int) -> str:
    """Return a name of at most `most` letters, its middle left out where it is longer.

    Example:
        >>> shorten("encoder.layers.11.linear1", 16)
        'encoder….linear1'
    """
    if len(name) <= most:
        return name
    # The end tells one module from its neighbours.
    tail = most // 2
    return f"{name[: most - tail - 1]}…{name[-tail:]}"


def _find_columns(groups: Groups) -> Mapping[tuple[str, int], Sequence[int | None]]:
    """Return the columns of each axis of a parameter: those of its groups, or None where it is frozen."""
    found: dict[tuple[str, int], list[int | None]] = {}
    for column, group in enumerate(groups):
        for member in group.members:
            found.setdefault((member.target, member.axis), []).append(column)
    for axis in groups.frozen:
        found.setdefault((axis.target, axis.axis), []).append(None)
    return found


def _find_cells(
    path: str,
    module: nn.Module,
    columns: Mapping[tuple[str, int], Sequence[int | None]],
    summed: Mapping[str, int],
) -> Iterator[Cell]:
    found = {
        Cell(column=column, role=_find_role(module, parameter, axis, summed.get(target)))
        for target, parameter in module.named_parameters(prefix=path, recurse=False, remove_duplicate=False)
        for axis in range(parameter.dim())
        for column in columns.get((target, axis), ())
    }
    told = {cell.column for cell in found if cell.role != "carries"}
    # A bias says no more than the weight that it stands beside.
    yield from (cell for cell in found if cell.role != "carries" or cell.column not in told)


def _find_role(module: nn.Module, parameter: nn.Parameter, axis: int, summed: int | None) -> Role:
    if isinstance(module, _CONVOLUTIONS) and axis > 1:
        return "kernel"
    # A token of its own, (1, 1, units), is a vector too; a matrix of one row is none.
    if parameter.dim() != 2 and not isinstance(module, _CONVOLUTIONS) and parameter.numel() == parameter.shape[-1]:
        return "carries"
    if parameter.dim() == 1:
        return "carries"
    if summed is not None:
        return "reads" if axis == summed else "produces"
    # Where operators do not tell, as for weights of several names: rows are what a weight gives.
    return "produces" if axis == (1 if isinstance(module, _EMBEDDINGS) else 0) else "reads"
