"""`widthwise groups`: which units of a network live or die together, and which must stay, and why."""

from pathlib import Path
from typing import Annotated

import typer

from widthwise._shared import GroupError
from widthwise.cli.model import open_model
from widthwise.cli.options import AsJson
from widthwise.cli.output import say, say_json
from widthwise.report import check_ending, draw_map

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
Graph = Annotated[
    Path | None,
    typer.Option(
        "--graph",
        metavar="FILE",
        help="Draw which module produces and which reads each group, as .svg, .png or .pdf; needs widthwise[plot].",
        show_default=False,
    ),
]


def groups(model: Model, graph: Graph = None, as_json: AsJson = False) -> None:
    """Show the width groups of a network: name, size, members; what is frozen, why, and what would unfreeze it."""
    if graph is not None:
        _check_graph(graph)
    opened = open_model(model)
    if graph is not None:
        draw_map(opened.groups, opened.net, graph)
    if as_json:
        say_json(opened.groups.to_dict())
        return
    say(str(opened.groups))
    if graph is not None:
        say(f"\nwritten: {graph}")


def _check_graph(path: Path) -> None:
    # Before the network is traced, which may take minutes.
    try:
        check_ending(path, GroupError)
    except GroupError as cause:
        raise typer.BadParameter(str(cause)) from cause
