"""Rows of cells as lines of text."""

from collections.abc import Mapping, Sequence

__all__ = ["align_cells", "join_cells"]


def align_cells(cells: Sequence[Sequence[str]]) -> str:
    r"""Return the cells as lines of text, columns two spaces apart and flush right.

    Example:
        >>> align_cells([["width", "MACs"], ["0.5", "12"]])
        'width  MACs\n  0.5    12'
    """
    sizes = [max(len(cell) for cell in column) for column in zip(*cells, strict=True)]
    return "\n".join("  ".join(cell.rjust(size) for cell, size in zip(row, sizes, strict=True)) for row in cells)


def join_cells(tables: Mapping[str, Sequence[Sequence[str]]]) -> list[list[str]]:
    """Return one table of several, with a first column that names each and the columns that all of them have.

    Args:
        tables: Rows of text by name, the first row of each its header.

    Example:
        >>> join_cells({"a": [["width", "kB"], ["1", "8.0"]], "b": [["width"], ["1"]]})
        [['run', 'width'], ['a', '1'], ['b', '1']]
    """
    first, *others = (rows[0] for rows in tables.values())
    shared = [name for name in first if all(name in header for header in others)]
    joined = [["run", *shared]]
    for run, (header, *rows) in tables.items():
        places = [list(header).index(name) for name in shared]
        joined += [[run, *(row[place] for place in places)] for row in rows]
    return joined
