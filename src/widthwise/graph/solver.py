"""What is known about atoms so far: unification of terms.

Two axes that must agree are unified. An atom takes the other side's term; products align factor by factor, splitting an
atom where sizes demand it; sums align segment by segment; what cannot align is frozen with its reason. Everything here
only ever adds knowledge (an atom is bound once and for all), so inference may run over a graph again and again until
nothing changes.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

from widthwise.graph.term import (
    Atom,
    Frozen,
    Product,
    Size,
    Sum,
    Term,
    atoms_of,
    join_segments,
    multiply_factors,
    quotient,
    size_of,
)

__all__ = ["Solver"]


@dataclass(frozen=True, slots=True)
class _Kind:
    """How products, or sums, are taken apart: children of a term, a leading piece of a list of them, joining them."""

    children: Callable[[Term], list[Term]]
    take: Callable[[list[Term], Size, str], Term | None]
    join: Callable[[tuple[Term, ...]], Term]


class Solver:
    """A growing set of equations between axes."""

    def __init__(self) -> None:
        self._bindings: dict[int, Term] = {}
        self._read: set[Atom] = set()
        self._notes: dict[str, set[Atom]] = {}
        self._made: dict[Hashable, Term] = {}
        self._num_atoms = 0
        self._products = _Kind(_factors, lambda terms, size, _: self._take_factors(terms, size), multiply_factors)
        self._sums = _Kind(_parts, self._take_parts, join_segments)

    @property
    def num_bindings(self) -> int:
        """How many atoms have been bound so far; unchanged after a pass over a graph means a fixpoint."""
        return len(self._bindings)

    @property
    def read_atoms(self) -> set[Atom]:
        """The atoms over which some operator sums or reduces, so that their units matter to somebody."""
        return {atom for read in self._read for atom in atoms_of(self.resolve(read))}

    def noted(self, word: str) -> set[Atom]:
        """Return the atoms of which some rule noted this word."""
        return {atom for each in self._notes.get(word, ()) for atom in atoms_of(self.resolve(each))}

    def fresh(self, size: Size, *, key: Hashable = None) -> Term:
        """Return a new axis of `size` positions: an atom, or frozen where the size is 0, 1 or dynamic.

        Args:
            size: The number of positions.
            key: The same key gives the same axis again; None gives a new one each time.
        """
        if not isinstance(size, int) or size <= 1:
            return Frozen(size, f"size {size}, which leaves no choice" if isinstance(size, int) else "dynamic size")
        if key in self._made:
            return self._made[key]
        self._num_atoms += 1
        atom = Atom(self._num_atoms, size)
        if key is not None:
            self._made[key] = atom
        return atom

    def resolve(self, term: Term) -> Term:
        """Return a term with everything substituted that is known about its atoms."""
        if isinstance(term, Atom):
            return self._resolve_atom(term)
        if isinstance(term, Product):
            return multiply_factors(tuple([self.resolve(factor) for factor in term.factors]))
        if isinstance(term, Sum):
            return join_segments(tuple([self.resolve(part) for part in term.parts]))
        return term

    def freeze(self, term: Term, reason: str) -> None:
        """Forbid every cut of an axis, for `reason`."""
        for atom in atoms_of(self.resolve(term)):
            if atom.key not in self._bindings:
                self._bindings[atom.key] = Frozen(atom.size, reason)

    def read(self, term: Term) -> None:
        """Note that an operator sums or reduces over this axis."""
        self._read.update(atoms_of(self.resolve(term)))

    def note(self, term: Term, word: str) -> None:
        """Note what the units of an axis are to some operator, such as the heads of an attention."""
        self._notes.setdefault(word, set()).update(atoms_of(self.resolve(term)))

    def unify(self, one: Term, other: Term, reason: str) -> None:
        """Demand that two axes keep the same positions; where they cannot be aligned, freeze both for `reason`."""
        one, other = self.resolve(one), self.resolve(other)
        if one == other:
            return
        if quotient(size_of(one), size_of(other)) != 1:
            self._freeze_both(one, other, f"axes of sizes {size_of(one)} and {size_of(other)} meet at {reason}")
        elif isinstance(one, Frozen):
            self.freeze(other, one.reason)
        elif isinstance(other, Frozen):
            self.freeze(one, other.reason)
        elif isinstance(one, Atom) and isinstance(other, Atom):
            # The older one stays: groups keep their atoms when another mode of the network is traced.
            self._bindings[max(one.key, other.key)] = min(one, other, key=lambda atom: atom.key)
        elif isinstance(one, Atom):
            self._bind(one, other, reason)
        elif isinstance(other, Atom):
            self._bind(other, one, reason)
        elif isinstance(one, Product) and isinstance(other, Product):
            why = f"two foldings of one axis cannot be aligned at {reason}"
            self._unify_children(_factors(one), _factors(other), self._products, why)
        else:
            why = f"two cuts of one axis cannot be aligned at {reason}"
            self._unify_children(_parts(one), _parts(other), self._sums, why)

    def split(self, term: Term, sizes: Sequence[Size], reason: str) -> tuple[Term, ...]:
        """Return an axis as nested factors of these sizes, outermost first; frozen for `reason` where none fit."""
        return self._take_apart(term, sizes, self._products, reason)

    def cut(self, term: Term, sizes: Sequence[Size], reason: str) -> tuple[Term, ...]:
        """Return an axis as segments of these sizes; frozen for `reason` where a cut falls inside a folded axis."""
        return self._take_apart(term, sizes, self._sums, reason)

    def _resolve_atom(self, atom: Atom) -> Term:
        """Follow the bindings of an atom, and let all atoms on the way point to the end: long chains stay cheap."""
        seen: list[int] = []
        term: Term = atom
        while isinstance(term, Atom) and term.key in self._bindings:
            seen.append(term.key)
            term = self._bindings[term.key]
        if not seen:
            return atom
        resolved = term if isinstance(term, Atom) else self.resolve(term)
        for key in seen:
            self._bindings[key] = resolved
        return resolved

    def _freeze_both(self, one: Term, other: Term, reason: str) -> None:
        self.freeze(one, reason)
        self.freeze(other, reason)

    def _bind(self, atom: Atom, term: Term, reason: str) -> None:
        if atom in atoms_of(term):
            self.freeze(term, f"an axis would contain itself at {reason}")
        else:
            self._bindings[atom.key] = term

    def _take_apart(self, term: Term, sizes: Sequence[Size], kind: _Kind, reason: str) -> tuple[Term, ...]:
        whole = self.resolve(term)
        remaining, pieces = kind.children(whole), list[Term]()
        for size in sizes:
            piece = kind.take(remaining, size, reason)
            if piece is None:
                break
            pieces.append(piece)
        if len(pieces) == len(sizes) and size_of(kind.join(tuple(remaining))) == size_of(kind.join(())):
            return tuple(pieces)
        if quotient(size_of(whole), size_of(kind.join(tuple(Frozen(size, reason) for size in sizes)))) != 1:
            self.freeze(term, reason)
            return tuple(Frozen(size, reason) for size in sizes)
        fresh = tuple(self.fresh(size) for size in sizes)
        self._unify_children(kind.children(self.resolve(whole)), list(fresh), kind, reason)
        return tuple(self.resolve(piece) for piece in fresh)

    def _unify_children(self, left: list[Term], right: list[Term], kind: _Kind, reason: str) -> None:
        """Unify piece by piece; where boundaries do not match, freeze both sides as far as that reaches."""
        while left and right:
            before = list(left), list(right)
            size, is_free = self._next_piece(left, right, kind)
            piece, counterpart = kind.take(left, size, reason), kind.take(right, size, reason)
            if piece is None or counterpart is None:
                left, right = self._freeze_to_boundary(*before, kind, reason)
            elif is_free:
                self.unify(piece, counterpart, reason)
            else:
                self._freeze_both(piece, counterpart, reason)

    def _next_piece(self, left: list[Term], right: list[Term], kind: _Kind) -> tuple[Size, bool]:
        """Return the size of the next piece of both sides, and whether it may stay free.

        Two nested boundaries agree where one divides the other. Of 4 and 6 the common factor 2 may stay free; from
        there up to 12, their common multiple, neither side has factors that the other one could follow.
        """
        one, other = size_of(left[0]), size_of(right[0])
        is_aligned = quotient(one, other) is not None or quotient(other, one) is not None
        if kind is self._sums or is_aligned or not isinstance(one, int) or not isinstance(other, int):
            return _smaller(one, other), True
        common = math.gcd(one, other)
        return (common, True) if common > 1 else (_common_multiple(left, right), False)

    def _freeze_to_boundary(
        self, left: list[Term], right: list[Term], kind: _Kind, reason: str
    ) -> tuple[list[Term], list[Term]]:
        """Freeze both lists up to the first place where both have a boundary; return what is left of them."""
        ends = [size_of(kind.join(tuple(right[:j]))) for j in range(len(right) + 1)]
        i, j = len(left), len(right)
        for first in range(len(left), 0, -1):
            end = size_of(kind.join(tuple(left[:first])))
            i, j = next(((first, second) for second in range(1, len(ends)) if quotient(end, ends[second]) == 1), (i, j))
        for term in (*left[:i], *right[:j]):
            self.freeze(term, reason)
        return left[i:], right[j:]

    def _take_factors(self, remaining: list[Term], size: Size) -> Term | None:
        """Take factors of total size `size` off the front of the list, splitting the last one where need be."""
        taken: list[Term] = []
        needed = size
        while needed != 1:
            if not remaining:
                return None
            head, *after = _factors(self.resolve(remaining.pop(0)))
            remaining[:0] = after
            rest = quotient(needed, size_of(head))
            if rest is None:
                inner = quotient(size_of(head), needed)
                if inner is None:
                    return None
                divided = (
                    self._stack_segments(head, needed, inner)
                    if isinstance(head, Sum)
                    else self._divide(head, (needed, inner), Product)
                )
                if divided is None:
                    return None
                head, tail = divided
                remaining.insert(0, tail)
                rest = 1
            taken.append(head)
            needed = rest
        return multiply_factors(tuple(taken))

    def _take_parts(self, remaining: list[Term], size: Size, reason: str) -> Term | None:
        """Take segments of total size `size` off the front of the list, cutting the last one where need be."""
        taken: list[Term] = []
        needed = size
        while needed != 0:
            if not remaining:
                return None
            head, *after = _parts(self.resolve(remaining.pop(0)))
            remaining[:0] = after
            length = size_of(head)
            if not isinstance(length, int) or not isinstance(needed, int):
                if length != needed:
                    return None
            elif length > needed:
                if isinstance(head, Product):
                    blocks = self._repeat_block(head, math.gcd(needed, length), reason)
                    if blocks is None:
                        return None
                    remaining[:0] = blocks
                    continue
                head, tail = self._divide(head, (needed, length - needed), Sum)
                remaining.insert(0, tail)
                length = needed
            taken.append(head)
            needed = needed - length
        return join_segments(tuple(taken))

    def _repeat_block(self, product: Product, length: int, reason: str) -> list[Term] | None:
        """Return a product as segments of one length, copies of one block; how many there are is no longer free.

        So a fused projection may be read as a product here and as segments there.
        """
        factors = _factors(product)
        copies = quotient(size_of(product), length)
        outer = self._take_factors(factors, copies) if isinstance(copies, int) else None
        if outer is None or not isinstance(copies, int):
            return None
        self.freeze(outer, f"an axis of {copies} equal blocks is cut between them: {reason}")
        return [multiply_factors(tuple(factors))] * copies

    def _stack_segments(self, head: Sum, number: Size, length: Size) -> tuple[Term, Term] | None:
        """Return a concatenation of equal stretches as (their number, one of them); from then on they are all alike.

        So a channel shuffle reads two branches side by side as the rows of a table.
        """
        remaining, rows = list(head.parts), list[Term]()
        reason = "segments that are read as rows"
        if not isinstance(number, int):
            return None
        for _ in range(number):
            row = self._take_parts(remaining, length, reason)
            if row is None:
                return None
            rows.append(row)
        for row in rows[1:]:
            self.unify(rows[0], row, reason)
        return Frozen(number, f"{number} {reason}"), self.resolve(rows[0])

    def _divide(self, head: Term, sizes: tuple[Size, Size], whole: type[Product] | type[Sum]) -> tuple[Term, Term]:
        """Divide a frozen axis or an atom in two; the atom is bound to a product or a sum of the pieces."""
        first, second = sizes
        if isinstance(head, Frozen):
            return Frozen(first, head.reason), Frozen(second, head.reason)
        assert isinstance(head, Atom)
        pieces = (self.fresh(first), self.fresh(second))
        self._bindings[head.key] = whole(pieces)
        return pieces


def _factors(term: Term) -> list[Term]:
    return list(term.factors) if isinstance(term, Product) else [term]


def _parts(term: Term) -> list[Term]:
    return list(term.parts) if isinstance(term, Sum) else [term]


def _common_multiple(left: list[Term], right: list[Term]) -> int:
    """Return the smallest product of leading factors that lies at or between boundaries of both sides."""
    end, before = math.lcm(int(size_of(left[0])), int(size_of(right[0]))), 0
    while end != before:
        before = end
        for side in (left, right):
            total = 1
            for term in side:
                total *= int(size_of(term)) if isinstance(size_of(term), int) else end
                if total % end == 0:
                    break
                end = math.lcm(end, total)
    return end


def _smaller(one: Size, other: Size) -> Size:
    if quotient(other, one) is not None:
        return one
    if quotient(one, other) is not None:
        return other
    return one if not isinstance(one, int) or not isinstance(other, int) else min(one, other)
