"""What the modules of a network see of widths: the terms that a whole number in a module may stand for.

A module sees the sizes that its operators take, and the axes of what they read and return; so do its parents. Of an
axis that is a product or a concatenation it also sees the parts: heads, width of a head, both together.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from torch import fx, nn

from widthwise.graph import Atom, Frozen, KeptSet, Product, Sum, Term, count, join_segments, multiply_factors, size_of
from widthwise.slicing.running.program import Program

__all__ = ["Meaning", "Vocabulary"]

Seen = dict[Term, None]
# Of a concatenation of more segments than a fused query, key and value, twice, no number is a part.
_MOST_PARTS = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """A term that a number may stand for: what it keeps, and whether an operator of the module takes it as a size."""

    term: Term
    kept: int
    is_taken: bool

    @property
    def complexity(self) -> int:
        """0 for an axis of its own, more for a product of some, most for a concatenation."""
        return _complexity(self.term)


class Vocabulary:
    """Knows what each module of a network sees at a kept set.

    Args:
        net: The network.
        program: It, traced.
        kept: The kept set of each atom.
    """

    def __init__(self, net: nn.Module, program: Program, kept: Mapping[int, KeptSet]) -> None:
        self._kept = kept
        self._taken: dict[str, Seen] = {}
        self._touched: dict[str, Seen] = {}
        self._meanings: dict[str, dict[int, list[Meaning]]] = {}
        names = {id(module): path for path, module in net.named_modules()}
        for node, outcome in program.inference.outcomes.items():
            path = _find_path(net, node, names)
            if path is not None:
                for size in outcome.sizes.values():
                    _see(self._taken.setdefault(path, {}), _resolve(program, size))
                for other in (*node.all_input_nodes, node):
                    if program.inference.axes.get(other):
                        _see(self._touched.setdefault(path, {}), program.inference.axes_of(other))

    def meanings(self, path: str, number: int) -> list[Meaning]:
        """Return what a number in a module may stand for, the likeliest first.

        Args:
            path: The module.
            number: The number at full width.
        """
        if path not in self._meanings:
            self._meanings[path] = self._collect(path)
        return self._meanings[path].get(number, [])

    def _collect(self, path: str) -> dict[int, list[Meaning]]:
        """What its own operators take comes first, then what they touch, then what those of its children do."""
        inside = [each for each in self._touched if not path or each == path or each.startswith(f"{path}.")]
        own = self._taken.get(path, {})
        below = {term: None for each in inside for term in (*self._taken.get(each, {}), *self._touched[each])}
        found: dict[int, dict[Term, bool]] = {}
        for terms in (own, self._touched.get(path, {}), below):
            for term in sorted(terms, key=_complexity):
                found.setdefault(int(size_of(term)), {}).setdefault(term, term in own)
        return {
            number: [Meaning(term=term, kept=count(term, self._kept), is_taken=taken) for term, taken in terms.items()]
            for number, terms in found.items()
        }


def _find_path(net: nn.Module, node: fx.Node, names: Mapping[int, str]) -> str | None:
    """The module that calls an operator, under its first name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    try:
        # A module that is called again is traced as "path@1".
        return names.get(id(net.get_submodule(stack[-1][0].partition("@")[0]))) if stack else None
    except AttributeError:
        return None


def _resolve(program: Program, size: object) -> Iterator[Term]:
    for each in size if isinstance(size, tuple) else (size,):
        if isinstance(each, Atom | Frozen | Product | Sum):
            yield program.inference.solver.resolve(each)


def _see(seen: Seen, terms: Iterable[Term]) -> None:
    for term in terms:
        if term not in seen:
            seen.update(dict.fromkeys(part for part in _parts(term) if isinstance(size_of(part), int)))


def _parts(term: Term) -> Iterator[Term]:
    """Yield a term and every run of its factors or segments."""
    yield term
    children = term.factors if isinstance(term, Product) else term.parts if isinstance(term, Sum) else ()
    for child in children:
        yield from _parts(child)
    if len(children) <= _MOST_PARTS:
        join = multiply_factors if isinstance(term, Product) else join_segments
        for start in range(len(children)):
            for stop in range(start + 2, len(children) + 1):
                yield join(children[start:stop])


def _complexity(term: Term) -> int:
    return (Atom, Frozen, Product, Sum).index(type(term))
