"""`widthwise info`: where an exported file comes from."""

import json
from pathlib import Path
from typing import Annotated

import typer

from widthwise.cli.options import AsJson
from widthwise.cli.output import format_score, say, say_json
from widthwise.cli.points import describe_widths
from widthwise.slicing import read_facts

__all__ = ["EXAMPLE", "info"]

EXAMPLE = "widthwise info runs/mnist/exports/mnist-mlp-w0.25.onnx"

# Facts that are JSON in a file.
_STRUCTURED = ("widths", "scores")

File = Annotated[
    Path, typer.Argument(metavar="FILE", help="A file, or a folder, that export wrote.", show_default=False)
]


def info(file: File, as_json: AsJson = False) -> None:
    """Tell where an exported file comes from: run, widths, scores, versions."""
    facts = read_facts(file)
    found = {name: json.loads(fact) if name in _STRUCTURED else fact for name, fact in facts.items()}
    if as_json:
        say_json(found)
        return
    for name, fact in facts.items():
        say(f"{name:<10}{_describe(name, found[name], fact)}")


def _describe(name: str, value: object, fact: str) -> str:
    if not isinstance(value, dict):
        return fact
    if name == "widths":
        return describe_widths(value)
    return ", ".join(f"{key} {format_score(float(score), key)}" for key, score in value.items())
