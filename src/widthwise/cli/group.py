"""The group of all verbs: it parses, runs one verb, and turns whatever goes wrong into one line and an exit code."""

import sys
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn, cast, final

import typer
from typer.core import TyperGroup

from widthwise.cli.failure import BAD_USAGE, Interruption, Usage, exit_code, report, report_note, report_usage

__all__ = ["Verbs"]

# The base of all usage errors of typer, which exports only this one of them.
_UsageError = cast("type[Exception]", typer.BadParameter.__mro__[1])


@final
class Verbs(TyperGroup):
    """A typer group whose errors are one line. `--debug` may stand anywhere on the line."""

    def main(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: object
    ) -> NoReturn:
        """Run the command line and exit with its code."""
        words = list(sys.argv[1:] if args is None else args)
        is_debug = "--debug" in words
        words = [word for word in words if word != "--debug"]
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            sys.exit(self._run(words, prog_name or "widthwise", is_debug, extra))

    def invoke(self, ctx: Any) -> object:  # noqa: ANN401  # a context of the parser inside typer, which has no public name
        """Run the verb, with an interrupt as an error like the others."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as cause:
            raise Interruption(str(cause) or "interrupted") from cause

    def _run(self, words: list[str], prog_name: str, is_debug: bool, extra: Mapping[str, object]) -> int:
        try:
            code = super().main(words, prog_name, **cast("dict[str, Any]", {**extra, "standalone_mode": False}))
        except _UsageError as error:
            report_usage(cast("Usage", error))
            return BAD_USAGE
        except Exception as error:  # noqa: BLE001
            report(error, debug=is_debug)
            return exit_code(error)
        return code or 0


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    report_note(str(message))
