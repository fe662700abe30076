"""The command line as a whole: every verb, and the entry point."""

from typing import Annotated, NoReturn

import typer

from widthwise._shared import VERSION
from widthwise.cli import curve, demo, export, groups, info, pick, recipes, search, train
from widthwise.cli.group import Verbs
from widthwise.cli.output import say

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Verbs,
    name="widthwise",
    add_completion=False,
    invoke_without_command=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

_VERBS = (
    (demo.demo, demo.EXAMPLE),
    (recipes.recipes, recipes.EXAMPLE),
    (train.train, train.EXAMPLE),
    (groups.groups, groups.EXAMPLE),
    (curve.curve, curve.EXAMPLE),
    (pick.pick, pick.EXAMPLE),
    (search.search, search.EXAMPLE),
    (export.export, export.EXAMPLE),
    (info.info, info.EXAMPLE),
)

for _verb, _example in _VERBS:
    app.command(epilog=f"Example: {_example}")(_verb)


@app.callback()
def widthwise(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    debug: Annotated[  # noqa: ARG001  # told here, taken off the line by Verbs, which needs it wherever it stands
        bool, typer.Option("--debug", help="Show the trace of an error; may follow a verb too.")
    ] = False,
) -> None:
    """Train a network once, get a usable network at every width, take home the plain dense one that fits.

    Begin with: widthwise demo
    """
    if version:
        say(VERSION)
    elif context.invoked_subcommand is None:
        say(context.get_help())


def main() -> NoReturn:
    """Run the command line and exit: 0 on success, 1 failure, 2 bad usage, 3 no answer, 130 interrupt."""
    app()
    raise SystemExit(0)
