"""What the units of a group are, as operators use them: heads of an attention, the residual stream, or just units."""

from collections.abc import Iterable, Iterator, Mapping, Set
from typing import Literal

from torch import fx

from widthwise.graph import Atom, Axes, Inference, Product, Sum, Term, atoms_of, overload_name

__all__ = ["Kind", "find_inner", "find_kinds", "find_normalized", "has_attention"]

# heads of an attention; width of its queries and keys, of its values; queries that share one key; a residual stream.
Kind = Literal["units", "heads", "query", "value", "shared", "stream"]

_ATTENTION = "aten::scaled_dot_product_attention"
_SOFTMAX = ("aten::softmax", "aten::_softmax")
_PRODUCTS = ("aten::matmul", "aten::bmm", "aten::baddbmm", "aten::einsum")
_NORMS = ("aten::layer_norm", "aten::rms_norm", "aten::mean")
_SUMS = ("aten::add", "aten::sub")


def find_kinds(inference: Inference, atoms: Iterable[Atom], inner: Set[Atom]) -> dict[Atom, Kind]:
    """Return what the units of each atom are.

    Args:
        inference: The traced network.
        atoms: Those asked for.
        inner: Those that share an axis with one that is cut instead of them.
    """
    noted = {word: inference.solver.noted(word) for word in ("query", "heads", "shared", "value", "dot", "mixed")}
    stream = _find_stream(inference)

    def name(atom: Atom) -> Kind:
        if atom in noted["query"] or (atom in noted["dot"] and atom in inner):
            return "query"
        if atom in noted["shared"]:
            return "shared"
        if atom in noted["heads"] and atom not in inner:
            return "heads"
        if atom in noted["value"] or (atom in noted["mixed"] and atom in inner):
            return "value"
        return "stream" if atom in stream else "units"

    return {atom: name(atom) for atom in atoms}


def find_inner(inference: Inference) -> set[Atom]:
    """Return the atoms of which a common fraction should cut another one instead: to cut both is to cut twice.

    Where an axis is first made of several factors, the heads of an attention are cut, else the largest factor.
    """
    heads = inference.solver.noted("heads")
    chosen: dict[Atom, Atom] = {}
    for node in inference.outcomes:
        for output in range(len(inference.axes[node])):
            for segment in (each for term in inference.axes_of(node, output) for each in _segments(term)):
                found = list(dict.fromkeys(atoms_of(segment)))
                for atom in found:
                    if atom not in chosen:
                        chosen[atom] = next((a for a in found if a in heads), max(found, key=lambda a: a.size))
    return {atom for atom, first in chosen.items() if atom != first}


def has_attention(inference: Inference) -> bool:
    """Return whether a network attends: by the operator, or by a softmax and products of what it computes."""
    names = {_name(node) for node in inference.outcomes}
    return _ATTENTION in names or bool(names.intersection(_SOFTMAX) and _multiplies_activations(inference))


def _multiplies_activations(inference: Inference) -> bool:
    return any(
        _name(node) in _PRODUCTS and all(source.op != "placeholder" for source in node.all_input_nodes)
        for node in inference.outcomes
    )


def _find_stream(inference: Inference) -> set[Atom]:
    """Return the atoms that a residual sum carries: one of its terms is computed from the other, as in `x + f(x)`."""
    ancestors = _find_ancestors(inference)
    carried: set[Atom] = set()
    for node in inference.outcomes:
        sources = [source for source in node.all_input_nodes if source.op != "placeholder"]
        is_known = node.graph is inference.trace.graph
        if is_known and _name(node) in _SUMS and len(sources) == 2 and _is_ancestor(sources[0], sources[1], ancestors):
            carried.update(_atoms(inference.axes_of(node)))
    return carried


def find_normalized(inference: Inference) -> set[Atom]:
    """Return the atoms along which the network takes means over positions of one sample."""
    found: set[Atom] = set()
    for node, outcome in inference.outcomes.items():
        if _name(node) in _NORMS:
            terms = outcome.sizes.get("normalized_shape", inference.reads[node])
            found.update(_atoms(tuple(inference.solver.resolve(term) for term in terms)))
    return found


def _find_ancestors(inference: Inference) -> Mapping[fx.Node, tuple[int, int]]:
    """Return each node's bit, and the bits of all nodes it is computed from."""
    found: dict[fx.Node, tuple[int, int]] = {}
    for position, node in enumerate(inference.trace.graph.nodes):
        above = 0
        if node.op != "placeholder":
            for source in node.all_input_nodes:
                bit, more = found[source]
                above |= bit | more
        # Parameters and inputs have no bit: everything comes from them.
        found[node] = (0 if node.op == "placeholder" else 1 << position, above)
    return found


def _is_ancestor(one: fx.Node, other: fx.Node, ancestors: Mapping[fx.Node, tuple[int, int]]) -> bool:
    return bool(ancestors[one][0] & ancestors[other][1] or ancestors[other][0] & ancestors[one][1])


def _name(node: fx.Node) -> str:
    return overload_name(node.target).partition(".")[0]


def _atoms(axes: Axes) -> Iterator[Atom]:
    for term in axes:
        yield from atoms_of(term)


def _segments(term: Term) -> list[Term]:
    """Return the parts of an axis that lie side by side, those inside a product too."""
    if isinstance(term, Sum):
        return [each for part in term.parts for each in _segments(part)]
    if isinstance(term, Product) and isinstance(term.factors[-1], Sum):
        return [Product((*term.factors[:-1], part)) for part in term.factors[-1].parts]
    return [term]
