"""Terms and formulas as plain values, for JSON: what an axis is made of, written down and read again."""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import sympy
from torch.utils._sympy import functions

from widthwise._shared import ExportError
from widthwise.graph import Atom, Formula, Frozen, Product, Sum, Term

__all__ = ["read_size", "read_term", "write_size", "write_term"]

# All that an expression of sizes may be made of: what stands in a file is looked up here, and never evaluated.
_OPERATIONS: Mapping[str, Callable[..., Any]] = {
    **{each.__name__: each for each in (sympy.Add, sympy.Mul, sympy.Pow, sympy.Max, sympy.Min, sympy.floor, sympy.Mod)},
    **{
        name: getattr(functions, name)
        for name in (
            "CeilToInt", "CleanDiv", "FloatPow", "FloatTrueDiv", "FloorDiv", "FloorToInt", "IntTrueDiv",
            "OpaqueUnaryFn_sqrt", "PowByNatural", "PythonMod", "ToFloat", "TruncToInt",
        )
    },
}  # fmt: skip


def write_term(term: Term, keys: Mapping[int, int]) -> Any:
    """Return a term as plain values; units of no group are a size.

    Args:
        term: Without dynamic sizes.
        keys: The position of each group by the key of its atom.
    """
    if isinstance(term, Atom):
        return ["units", keys[term.key], term.size] if term.key in keys else term.size
    if isinstance(term, Frozen):
        return int(term.size)
    if isinstance(term, Product):
        return ["product", *(write_term(factor, keys) for factor in term.factors)]
    return ["sum", *(write_term(part, keys) for part in term.parts)]


def read_term(data: Any) -> Term:
    """Return the term that `write_term` wrote; its atoms have the positions of the groups as their keys.

    Raises:
        TypeError: It did not write this.
    """
    if isinstance(data, int):
        return Frozen(data, "stored")
    kind, *rest = data
    if kind == "units":
        return Atom(operator.index(rest[0]), operator.index(rest[1]))
    if kind not in ("product", "sum"):
        raise TypeError(f"expected a term, got {data!r}")
    children = tuple(map(read_term, rest))
    return Product(children) if kind == "product" else Sum(children)


def write_size(size: Term | Formula, keys: Mapping[int, int]) -> Any:
    """Return an entry of a table of sizes as plain values.

    Raises:
        ExportError: A formula holds an operation that cannot be written down.
    """
    if not isinstance(size, Formula):
        return {"term": write_term(size, keys)}
    return {
        "formula": _write_expression(size.expression),
        "symbols": [[str(symbol), write_term(term, keys)] for symbol, term in size.terms],
        "full": size.full,
    }


def read_size(data: Mapping[str, Any]) -> Term | Formula:
    """Return what `write_size` wrote.

    Raises:
        TypeError: It did not write this.
    """
    if "term" in data:
        return read_term(data["term"])
    terms = {str(name): read_term(term) for name, term in data["symbols"]}
    symbols = {name: sympy.Symbol(name, integer=True, positive=True) for name in terms}
    full = data["full"]
    if not isinstance(full, int | float):
        raise TypeError(f"expected a number, got {full!r}")
    return Formula(
        expression=_read_expression(data["formula"], symbols),
        terms=tuple((symbols[name], term) for name, term in terms.items()),
        full=full,
    )


def _write_expression(expression: sympy.Basic) -> Any:
    if isinstance(expression, sympy.Integer):
        return int(expression)
    if isinstance(expression, sympy.Rational):
        return ["Rational", int(expression.p), int(expression.q)]
    if isinstance(expression, sympy.Float):
        return float(expression)
    if isinstance(expression, sympy.Symbol):
        return str(expression)
    name = type(expression).__name__
    if name not in _OPERATIONS:
        raise ExportError(
            f"expected numbers that follow from widths by plain arithmetic, got {name} in {expression}; extract the "
            "widths that you need one by one"
        )
    return [name, *(_write_expression(each) for each in expression.args)]


def _read_expression(data: Any, symbols: Mapping[str, sympy.Symbol]) -> Any:
    if isinstance(data, int):
        return sympy.Integer(data)
    if isinstance(data, float):
        return sympy.Float(data)
    if isinstance(data, str):
        return symbols[data]
    name, *arguments = data
    if name == "Rational":
        return sympy.Rational(*map(operator.index, arguments))
    if name not in _OPERATIONS:
        raise TypeError(f"expected an operation on sizes, got {name!r}")
    return _OPERATIONS[name](*(_read_expression(each, symbols) for each in arguments))
