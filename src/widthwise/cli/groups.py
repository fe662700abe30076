"""`widthwise groups`: which units of a network live or die together, and which must stay, and why."""

from typing import Annotated

import typer

from widthwise.cli.model import open_model
from widthwise.cli.options import AsJson
from widthwise.cli.output import say, say_json

__all__ = ["EXAMPLE", "groups"]

EXAMPLE = "widthwise groups mnist-mlp   or   widthwise groups mypackage.nets:make_net"

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A recipe, a run directory, or module:factory; the factory returns (net, example_inputs).",
        show_default=False,
    ),
]


def groups(model: Model, as_json: AsJson = False) -> None:
    """Show the width groups of a network: name, size, members, and what is frozen and why."""
    found = open_model(model).groups
    if as_json:
        say_json(found.to_dict())
    else:
        say(str(found))
