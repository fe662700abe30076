"""What would let a frozen axis shrink, told by the reason that it is frozen for.

Reasons are written by the rules of `widthwise.graph`; an axis whose reason is not known here gets no advice.
"""

import re

__all__ = ["find_remedy"]

_POSITIONS = "nothing: these are positions, not units"
_TOLD_APART = "nothing: each position counts by itself"
_ALIGN = "split or join only whole axes there, each in one way"
_USE = "let the output depend on it"

# The first words that stand in a reason decide.
_REMEDIES = (
    ("input of the model", "nothing: it is what the network takes"),
    ("output of the model", "nothing: it is what the network gives"),
    ("unknown operator ", "add a rule: widthwise.graph.rule"),
    (" does not fit this call", "replace the rule: widthwise.graph.rule"),
    ("named by no group", "name it in groups="),
    ("unsound, ", "report the operator, or replace its rule: widthwise.graph.rule"),
    ("freeze=", "leave out freeze="),
    ("matches none of only=", "add it to only="),
    ("also used outside of ", "use it inside alone, or copy it"),
    ("never written: ", _USE),
    ("never read: ", _USE),
    # Buffers and constants of floats have axes of their own in `graph/infer.py`; those of whole numbers are frozen.
    ("table made by ", "register the table as a buffer of floats"),
    ("table of whole numbers, ", "let the table hold floats, where it is no index"),
    ("table that numbers positions", _TOLD_APART),
    (" addresses its vocabulary by number", "nothing: tokens are told apart by number"),
    (" has a kernel of this size", "nothing: a kernel is no width"),
    (" divides by the number of positions less one", "use correction=0"),
    (" meet at ", _ALIGN),
    (" cannot be aligned at ", _ALIGN),
    (" is cut between them: ", _ALIGN),
    (" would contain itself at ", _ALIGN),
    (" segments that are read as rows", _ALIGN),
    (" slides along this axis", _POSITIONS),
    (" steps along this axis", _POSITIONS),
    (" attends along this axis", _POSITIONS),
    (" normalises along this axis", _POSITIONS),
    (" changes the number of positions along this axis", _POSITIONS),
    (" reads along this axis where its grid says", _POSITIONS),
    (" makes positions of this factor", _POSITIONS),
    (" works along this axis", _TOLD_APART),
    (" tells the positions of this axis apart", _TOLD_APART),
    (" addresses this axis by number", _TOLD_APART),
    (" selects along this axis by a mask", _TOLD_APART),
    (" picks one position of this axis", _TOLD_APART),
    (" takes one position of each block of this size", _TOLD_APART),
    (" writes to one position of this axis", _TOLD_APART),
    (" takes this axis apart", _TOLD_APART),
    (" takes this axis for real and imaginary parts", _TOLD_APART),
)

# An operator that takes axes apart, alone and without a word of what it does: it found no way to.
_TAKES_APART = re.compile(r"aten\.(_unsafe_view|view|reshape|flatten|unflatten|split|split_with_sizes|chunk)( \(.*\))?")


def find_remedy(reason: str) -> str:
    """Return what would let an axis shrink that is frozen for a reason, or "nothing: " and why; "" where unknown.

    Example:
        >>> find_remedy("output of the model")
        'nothing: it is what the network gives'
    """
    if _TAKES_APART.fullmatch(reason):
        return _ALIGN
    return next((remedy for words, remedy in _REMEDIES if words in reason), "")
