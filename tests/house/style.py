"""The rules of the house that a parser can check: each function takes a parsed file and returns one line per breach."""

import ast
from collections.abc import Iterator
from pathlib import Path

MAX_FILE_LINES = 350
MAX_FUNCTION_LINES = 40
NAMELESS = {"utils.py", "util.py", "helpers.py", "helper.py", "misc.py", "common.py"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef


def find_long_parts(text: str) -> list[str]:
    """Return the file and the functions that are too long; docstrings do not count for a function."""
    num_lines = len(text.splitlines())
    breaches = [f"{num_lines} lines, at most {MAX_FILE_LINES}"] if num_lines > MAX_FILE_LINES else []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, _Function):
            length = _length(node)
            if length > MAX_FUNCTION_LINES:
                breaches.append(f"{node.lineno}: {node.name} has {length} lines, at most {MAX_FUNCTION_LINES}")
    return breaches


def find_missing_docstrings(text: str) -> list[str]:
    """Return the public classes, functions and methods without a docstring, and the module itself where it has none."""
    module = ast.parse(text)
    breaches = [] if not module.body or ast.get_docstring(module) else ["1: module without a docstring"]
    for node, name in _public(module, ""):
        if not ast.get_docstring(node):
            breaches.append(f"{node.lineno}: {name} without a docstring")
    return breaches


def find_prints(text: str) -> list[str]:
    """Return the calls of the built-in print."""
    return [
        f"{node.lineno}: print"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]


def find_tests_without_assertion(text: str) -> list[str]:
    """Return the test functions that assert nothing: no assert, no pytest.raises or warns, no call of an assert_*."""
    return [
        f"{node.lineno}: {node.name} asserts nothing"
        for node in ast.walk(ast.parse(text))
        if isinstance(node, _Function) and node.name.startswith("test_") and not _asserts(node)
    ]


def is_nameless(file: Path) -> bool:
    """Return whether the file's name says nothing of what is in it."""
    return file.name in NAMELESS


def _length(function: _Function) -> int:
    end = function.end_lineno or function.lineno
    length = end - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function) is not None:
        length -= (first.end_lineno or first.lineno) - first.lineno + 1
    return length


def _public(node: ast.AST, prefix: str) -> Iterator[tuple[_Function | ast.ClassDef, str]]:
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, _Function | ast.ClassDef) or child.name.startswith("_") or _overloads(child):
            continue
        yield child, prefix + child.name
        if isinstance(child, ast.ClassDef):
            yield from _public(child, f"{prefix}{child.name}.")


def _overloads(node: _Function | ast.ClassDef) -> bool:
    return any(ast.unparse(decorator).split(".")[-1] in {"overload", "setter"} for decorator in node.decorator_list)


def _asserts(function: _Function) -> bool:
    for node in ast.walk(function):
        if isinstance(node, ast.Assert):
            return True
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).split(".")[-1]
            if name.startswith("assert_") or name in {"raises", "warns"}:
                return True
    return False
