"""The shape of a parameter in which one width stands, as a person writes it: "(3 n 64) _".

One entry per axis: `_` keeps its size, a name is the width, and parentheses hold an axis that is made of several
factors, the outermost first, or of segments with `+` between them: "(3 n 64)" is 3 x heads x 64, "(n + 16)" a
concatenation. After einops [Rogozhnikov 2022], with one letter.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import final

from widthwise._shared import GroupError
from widthwise.graph import Atom, Frozen, Term, join_segments, multiply_factors

__all__ = ["AxisShape", "parse_shape"]

_TOKEN = re.compile(r"\(|\)|\+|\d+|[A-Za-z]\w*|_|\S")
_Factors = tuple[int | str, ...]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class AxisShape:
    """An axis as segments side by side, each a product of whole numbers and the width; no segments keep its size.

    Attributes:
        segments: Factors of each segment, the outermost first; a number, or the name of the width.
    """

    segments: tuple[_Factors, ...] = ()

    @property
    def names(self) -> set[str]:
        """The names of widths in it."""
        return {factor for segment in self.segments for factor in segment if isinstance(factor, str)}

    def solve(self, size: int) -> int | None:
        """Return the width at which the axis has this size; None where there is none."""
        with_width = [_number(segment) for segment in self.segments if _has_name(segment)]
        rest = size - sum(_number(segment) for segment in self.segments if not _has_name(segment))
        units, remainder = divmod(rest, sum(with_width))
        return units if units >= 1 and not remainder else None

    def to_term(self, size: int, atom: Atom | None, reason: str) -> Term:
        """Return the term of an axis.

        Args:
            size: Its full size.
            atom: What stands for the width; None keeps the size.
            reason: Why all else in it keeps its size.
        """
        if atom is None or not self.segments:
            return Frozen(size, reason)
        segments = [
            multiply_factors(tuple(atom if isinstance(factor, str) else Frozen(factor, reason) for factor in segment))
            for segment in self.segments
        ]
        return join_segments(tuple(segments))


def parse_shape(text: str | int, num_axes: int, where: str) -> tuple[AxisShape, ...]:
    """Return one entry per axis.

    Args:
        text: Such as "(3 n 64) _"; or the axis that is the width, all others being kept.
        num_axes: How many axes there must be.
        where: What has this shape, for errors.

    Raises:
        GroupError: It cannot be read, or has another number of axes.

    Example:
        >>> [axis.segments for axis in parse_shape("(3 n 64) _", 2, "qkv.weight")]
        [((3, 'n', 64),), ()]
    """
    if isinstance(text, int) and not isinstance(text, bool):
        if not -num_axes <= text < num_axes:
            raise GroupError(f"expected an axis of {where}, which has {num_axes}, got {text}; count from 0")
        return tuple(AxisShape(segments=(("n",),) if axis == text % num_axes else ()) for axis in range(num_axes))
    entries = _read(str(text), where)
    if len(entries) != num_axes:
        raise GroupError(
            f"expected {num_axes} axes for {where}, got {len(entries)} in {text!r}; write _ for an axis that stays, "
            "and parentheses around what one axis is made of"
        )
    return tuple(entries)


def _read(text: str, where: str) -> list[AxisShape]:
    entries: list[AxisShape] = []
    tokens: list[str] = _TOKEN.findall(text)
    while tokens:
        token = tokens.pop(0)
        inside = [token]
        if token == "(":
            if ")" not in tokens:
                raise _unreadable(text, where)
            end = tokens.index(")")
            inside, tokens = tokens[:end], tokens[end + 1 :]
        entries.append(AxisShape() if inside == ["_"] else AxisShape(segments=_split(inside, text, where)))
    return entries


def _split(tokens: Sequence[str], text: str, where: str) -> tuple[_Factors, ...]:
    segments: list[list[int | str]] = [[]]
    for token in tokens:
        if token == "+":
            segments.append([])
        elif token.isdigit():
            segments[-1].append(int(token))
        elif token[0].isalpha():
            segments[-1].append(token)
        else:
            raise _unreadable(text, where)
    names = [[factor for factor in segment if isinstance(factor, str)] for segment in segments]
    if not all(segments) or any(len(each) > 1 for each in names) or any(0 in segment for segment in segments):
        raise _unreadable(text, where)
    return tuple(tuple(segment) for segment in segments) if any(names) else ()


def _number(segment: _Factors) -> int:
    return prod(factor for factor in segment if isinstance(factor, int))


def _has_name(segment: _Factors) -> bool:
    return any(isinstance(factor, str) for factor in segment)


def _unreadable(text: str, where: str) -> GroupError:
    return GroupError(
        f"expected a shape such as 'n _' or '(3 n 64) _' for {where}, got {text!r}; write the width as one letter, "
        "numbers for factors, + between segments, _ for an axis that stays"
    )
