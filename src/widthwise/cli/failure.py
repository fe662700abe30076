"""How a command ends: the exit code and the one line on stderr that goes with each error."""

import sys
import traceback
from typing import Final, Protocol, final

import typer
from rich.console import Console

from widthwise._shared import NoPointError, RecipeError, WidthError, WidthwiseError

__all__ = [
    "BAD_USAGE",
    "FAILURE",
    "INTERRUPTED",
    "NO_ANSWER",
    "Interruption",
    "Usage",
    "exit_code",
    "report",
    "report_note",
    "report_usage",
]

FAILURE: Final = 1
BAD_USAGE: Final = 2
NO_ANSWER: Final = 3
INTERRUPTED: Final = 130


@final
class Interruption(Exception):  # noqa: N818
    """Raised in place of KeyboardInterrupt, which typer would turn into an exit without a word."""


def exit_code(error: Exception) -> int:
    """Return 2 on bad usage, 3 where nothing lies under the limits, 130 on interrupt, 1 on any other failure."""
    if isinstance(error, Interruption):
        return INTERRUPTED
    if isinstance(error, NoPointError):
        return NO_ANSWER
    return BAD_USAGE if isinstance(error, RecipeError | WidthError) else FAILURE


def report(error: Exception, *, debug: bool) -> None:
    """Write the error to stderr as one line, after its trace where `debug` asks for it."""
    if debug:
        sys.stderr.write("".join(traceback.format_exception(error)))
    _write_line(_describe(error))


class Usage(Protocol):
    """What is asked of a usage error of typer, whose class has no public name."""

    ctx: typer.Context | None

    def format_message(self) -> str:
        """Return what is wrong."""
        ...


def report_usage(error: Usage) -> None:
    """Write a usage error of typer to stderr as one line, with the command whose help tells the usage."""
    verb = f"{error.ctx.command_path} " if error.ctx is not None else "widthwise "
    _write_line(f"{error.format_message().rstrip('.')}; see {verb}--help")


def report_note(text: str) -> None:
    """Write to stderr, as one line, what is good to know and no error."""
    _write_line(f"note: {text}")


def _describe(error: Exception) -> str:
    if isinstance(error, WidthwiseError | Interruption):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
    return f"unexpected {type(error).__name__}: {error}; --debug shows the trace"


def _write_line(text: str) -> None:
    line = " ".join(text.split())
    # A path or a list in the message is not markup, and one line is one line on a narrow terminal too.
    Console(stderr=True).print(f"widthwise: {line}", markup=False, highlight=False, soft_wrap=True)
