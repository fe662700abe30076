"""Numbers that a line of source makes of attributes of its module and of literals, as in `self.width**-0.5`.

Such a number did not come from the shape of a tensor, whatever it equals. The line is read and the expression worked
out on the module; nothing of it is run.
"""

import ast
import linecache
import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import fx, nn

__all__ = ["find_written"]

_PLACE = re.compile(r'File "(?P<file>.+)", line (?P<line>\d+), in ')
_OPERATORS: Mapping[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Pow: operator.pow,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def find_written(node: fx.Node, module: nn.Module) -> Iterator[float]:
    """Yield the numbers that the line behind a node makes of attributes of `self`, with or without literals.

    Exponents are none of them: in `y.shape[-1] ** self.power` the number is the power of a size.

    Args:
        node: Of a traced graph, with the stack of calls that made it.
        module: What `self` is there.
    """
    places = list(_PLACE.finditer(node.meta.get("stack_trace") or ""))
    if not places:
        return
    line = linecache.getline(places[-1]["file"], int(places[-1]["line"])).strip()
    try:
        tree = ast.parse(line)
    except SyntaxError:
        # One line of several; what it makes is not known.
        return
    powers = [each.right for each in ast.walk(tree) if isinstance(each, ast.BinOp) and isinstance(each.op, ast.Pow)]
    exponents = {id(each) for power in powers for each in ast.walk(power)}
    for expression in ast.walk(tree):
        if isinstance(expression, ast.expr) and id(expression) not in exponents and _names_self(expression):
            value = _work_out(expression, module)
            if isinstance(value, int | float) and not isinstance(value, bool):
                yield float(value)


def _names_self(expression: ast.expr) -> bool:
    return any(isinstance(each, ast.Name) and each.id == "self" for each in ast.walk(expression))


def _work_out(expression: ast.AST, module: nn.Module) -> Any:
    """Return the value of an expression, None where it has anything else in it or cannot be worked out."""
    if isinstance(expression, ast.Constant):
        return expression.value
    if isinstance(expression, ast.Attribute):
        return _read(expression, module)
    if isinstance(expression, ast.UnaryOp):
        return _apply(type(expression.op), [_work_out(expression.operand, module)])
    if isinstance(expression, ast.BinOp):
        return _apply(type(expression.op), [_work_out(side, module) for side in (expression.left, expression.right)])
    is_root = isinstance(expression, ast.Call) and ast.unparse(expression.func) in ("math.sqrt", "sqrt")
    if isinstance(expression, ast.Call) and is_root and len(expression.args) == 1:
        value = _work_out(expression.args[0], module)
        return math.sqrt(value) if isinstance(value, int | float) and value >= 0 else None
    return None


def _read(expression: ast.Attribute, module: nn.Module) -> Any:
    """Return an attribute of the module, or of what that holds: only what is stored, no property is called."""
    names: list[str] = []
    inner: ast.expr = expression
    while isinstance(inner, ast.Attribute):
        names.append(inner.attr)
        inner = inner.value
    if not isinstance(inner, ast.Name) or inner.id != "self":
        return None
    value: Any = module
    for name in reversed(names):
        held = getattr(value, "__dict__", {})
        value = held.get("_modules", {}).get(name, held.get(name))
    return value if isinstance(value, int | float) else None


def _apply(kind: type[ast.AST], values: list[Any]) -> Any:
    if kind not in _OPERATORS or not all(isinstance(value, int | float) for value in values):
        return None
    try:
        return _OPERATORS[kind](*values)
    except ArithmeticError:
        return None
