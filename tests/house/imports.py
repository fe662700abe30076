"""Which file of a package imports which, read from the source, and what the floors forbid about it.

Every import counts: at the top, inside a function, under TYPE_CHECKING, and `import_module("...")` with a literal name.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Import:
    """One imported module of the package: where it is written and the dotted name of what it reaches."""

    file: Path
    line: int
    target: tuple[str, ...]


def find_violations(package: Path, floors: Mapping[str, int]) -> list[str]:
    """Return one line per import that does not go strictly down, and per room that has no floor.

    The face (`__init__.py` of the package itself) may import everything, and nobody may import the face.
    """
    violations = [
        f"{folder.name}: a room without a floor"
        for folder in sorted(package.iterdir())
        if folder.is_dir() and any(folder.rglob("*.py")) and folder.name not in floors
    ]
    for found in find_imports(package):
        place = found.file.relative_to(package)
        if place.parts == ("__init__.py",):
            continue
        room = place.parts[0]
        target = found.target[0] if found.target else ""
        problem = _problem(room, target, floors)
        if problem:
            violations.append(f"{place.as_posix()}:{found.line}: {problem}")
    return violations


def find_cycle(package: Path) -> list[str]:
    """Return the files of one import cycle, the first repeated at the end, or nothing where there is none."""
    graph: dict[str, set[str]] = {}
    for found in find_imports(package):
        target = _file_of(package, found.target)
        if target is not None:
            graph.setdefault(found.file.relative_to(package).as_posix(), set()).add(target)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def find_imports(package: Path) -> Iterator[Import]:
    """Yield every import of the package by itself, as dotted names below the package."""
    for file in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for target in _targets(node, package, file):
                yield Import(file=file, line=getattr(node, "lineno", 0), target=target)


def _problem(room: str, target: str, floors: Mapping[str, int]) -> str:
    if target == room and room in floors:
        return ""
    if target not in floors:
        return "imports the face of the package; import the room" if not target else f"imports {target}, not a room"
    if room not in floors:
        return ""
    if floors[target] >= floors[room]:
        return f"{room} (floor {floors[room]}) imports {target} (floor {floors[target]}); imports go strictly down"
    return ""


def _targets(node: ast.AST, package: Path, file: Path) -> Iterator[tuple[str, ...]]:
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield from _below(package, alias.name)
    elif isinstance(node, ast.ImportFrom):
        module = node.module or ""
        if node.level:
            above = file.relative_to(package.parent).parts[: -node.level]
            module = ".".join(above) + (f".{module}" if module else "")
        for base in _below(package, module):
            for alias in node.names:
                inner = (*base, alias.name)
                # `from package.room import name`: a module of that name where there is one, else something in the room
                yield inner if _file_of(package, inner) is not None else base
    elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"import_module", "__import__"}:
            yield from _below(package, str(node.args[0].value))


def _below(package: Path, dotted: str) -> Iterator[tuple[str, ...]]:
    first, *rest = dotted.split(".")
    if first == package.name:
        yield tuple(rest)


def _file_of(package: Path, target: tuple[str, ...]) -> str | None:
    base = package.joinpath(*target)
    for file in (base.with_suffix(".py"), base / "__init__.py"):
        if target and file.is_file():
            return file.relative_to(package).as_posix()
    return None
