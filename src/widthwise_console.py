"""The console entry point, outside the package, whose import takes seconds: an interrupt in them is one line too."""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line and exit, as `widthwise.cli.main` does."""
    before = signal.getsignal(signal.SIGINT)
    # Where interrupts are ignored, as in a job in the background, they stay so.
    if before is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from widthwise.cli import main as run

    signal.signal(signal.SIGINT, before)
    run()


def _leave(signum: int, frame: FrameType | None) -> NoReturn:  # noqa: ARG001  # as a handler is called
    # No exception: extension modules that are being imported turn one into errors of their own. Nothing is begun yet.
    sys.stderr.write("widthwise: interrupted\n")
    sys.stderr.flush()
    os._exit(130)
