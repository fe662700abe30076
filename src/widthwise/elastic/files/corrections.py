"""The corrections of octaves in a file of all widths: which ones a width takes, and how they are folded in."""

from collections.abc import Mapping, Sequence

from torch import Tensor

from widthwise.elastic.files.description import BIAS, DIFFERENCE
from widthwise.elastic.octaves.octave import share_octaves
from widthwise.elastic.widths import mean_fraction
from widthwise.graph import atoms_of
from widthwise.groups import Groups
from widthwise.slicing import Correction, UnitCorrection, WeightCorrection
from widthwise.slicing.stored import Stored

__all__ = ["Shares", "find_shares", "fold_in"]

Shares = Mapping[str, Sequence[tuple[int, float]]]


def find_shares(octaves: Sequence[Sequence[Stored]], groups: Groups, widths: Mapping[str, int]) -> Shares:
    """Return which octaves each correction takes at a width, with their shares, by the name of the correction.

    Args:
        octaves: The corrections of each octave as they are stored.
        groups: The width groups.
        widths: Units of each group.
    """
    if not octaves:
        return {}
    found: dict[str, Sequence[tuple[int, float]]] = {}
    for entry in octaves[0]:
        if entry.name.startswith(DIFFERENCE):
            # The first octave of a difference is as large as its weight.
            atoms = {atom.key for term in entry.axes for atom in atoms_of(term) if groups[atom.key].follows}
            fraction = max(widths[groups[key].name] / groups[key].size for key in atoms)
        else:
            fraction = mean_fraction(widths, groups)
        found[entry.name] = share_octaves(fraction, len(octaves))
    return {name: shares for name, shares in found.items() if shares}


def fold_in(
    values: dict[str, Tensor], shares: Shares, rows: Mapping[tuple[int, str], Tensor], units: Mapping[str, int]
) -> None:
    """Correct parameters that were cut to a width, in place.

    Args:
        values: The parameters by name.
        shares: What `find_shares` gave.
        rows: The correction of each octave that it names, cut to the same width.
        units: The axis of each parameter along which its units stand, where it has unit corrections.
    """
    for name, every in shares.items():
        target = name.removeprefix(BIAS).removeprefix(DIFFERENCE)
        correction = _make(name, every, rows, units.get(target, 0))
        values[target] = correction.apply(values[target])


def _make(
    name: str, shares: Sequence[tuple[int, float]], rows: Mapping[tuple[int, str], Tensor], axis: int
) -> Correction:
    if name.startswith(DIFFERENCE):
        return WeightCorrection(parts=tuple((share, rows[octave, name]) for octave, share in shares))
    parts = [rows[octave, name] * share if share != 1 else rows[octave, name] for octave, share in shares]
    return UnitCorrection(axis=axis, values=sum(parts[1:], parts[0]))
