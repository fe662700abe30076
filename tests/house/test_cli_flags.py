from typing import Annotated

import typer

from tests.house.freeze import CLI_FLAGS, cli_flags, read_list, walk_command


def test_command_line_flags_are_the_frozen_ones() -> None:
    assert cli_flags() == read_list(CLI_FLAGS), "if this is meant: make freeze, and a line in CHANGELOG.md"


def test_arguments_options_and_their_negations_are_walked() -> None:
    app = typer.Typer(add_completion=False)

    @app.command()
    def bake(cake: str, heat: Annotated[int, typer.Option("--heat", "-h")] = 1, icing: bool = False) -> None:
        raise NotImplementedError

    @app.command()
    def eat() -> None:
        raise NotImplementedError

    lines = list(walk_command(typer.main.get_command(app), ""))
    assert lines == ["bake", "bake CAKE", "bake --heat", "bake -h", "bake --icing", "bake --no-icing", "eat"]
