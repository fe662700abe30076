"""The public names and command line flags as they are, and the lists of them that the tests compare with.

`make freeze` writes the lists anew; a change of theirs in a commit is a change of what users rely on.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator
from pathlib import Path

HERE = Path(__file__).parent
PUBLIC_NAMES = HERE / "public_names.txt"
CLI_FLAGS = HERE / "cli_flags.txt"


def public_names() -> list[str]:
    """Return the names in `__all__` of the face and of every room, each with the package it is imported from."""
    face = importlib.import_module("widthwise")
    rooms = [room.name for room in pkgutil.iter_modules(face.__path__) if room.ispkg and not room.name.startswith("_")]
    packages = [face, *(importlib.import_module(f"widthwise.{room}") for room in rooms)]
    return sorted(f"{package.__name__}.{name}" for package in packages for name in package.__all__)


def cli_flags() -> list[str]:
    """Return one line per argument and option of every verb, such as "train RECIPE" and "train --out"."""
    import typer

    from widthwise.cli import app

    return sorted(set(walk_command(typer.main.get_command(app), "")))


def walk_command(command: object, verb: str) -> Iterator[str]:
    """Yield the lines of a click command and of the commands below it."""
    for parameter in getattr(command, "params", []):
        if parameter.param_type_name == "argument":
            yield f"{verb} {parameter.metavar or parameter.name.upper()}".strip()
        else:
            yield from (f"{verb} {flag}".strip() for flag in (*parameter.opts, *parameter.secondary_opts))
    for name, below in getattr(command, "commands", {}).items():
        yield f"{verb} {name}".strip()
        yield from walk_command(below, f"{verb} {name}".strip())


def read_list(path: Path) -> list[str]:
    """Return the lines of a list, without comments and empty ones."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def write_list(path: Path, lines: Iterable[str]) -> None:
    """Write a list under the comments that it begins with."""
    old = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    comments = [line for line in old if line.startswith("#")]
    path.write_text("\n".join([*comments, *lines]) + "\n", encoding="utf-8")


def main() -> None:
    """Write both lists."""
    write_list(PUBLIC_NAMES, public_names())
    write_list(CLI_FLAGS, cli_flags())


if __name__ == "__main__":
    main()
