"""The metrics of a run as TensorBoard reads them: one scalar per number and epoch, in a folder of event files.

What counts is metrics.jsonl. The folder is made anew from it whenever a training begins or goes on, so that it holds
every finished epoch once, wherever a process was killed, and whether or not events were wanted from the start.
"""

import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from widthwise._shared import require

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["check_events", "open_events"]

_Line = Mapping[str, object]


def check_events() -> None:
    """Raise a MissingExtraError where TensorBoard is not installed."""
    # Asked for by its own name: torch.utils.tensorboard fails in words that name no package to install.
    require("tensorboard", "tensorboard")


@contextmanager
def open_events(folder: Path, lines: Sequence[_Line], *, until: float) -> Generator[Callable[[_Line], None]]:
    """Write the epochs so far and give what writes one more, which is on disk when the call returns.

    Args:
        folder: Of the event files; what is there is replaced.
        lines: The metrics of each finished epoch, in order.
        until: When the last of them ended, in seconds since 1970. Others are placed before it by their own seconds, so
            that a pause between two parts of a training leaves no gap.

    Raises:
        MissingExtraError: Where TensorBoard is not installed.
    """
    check_events()
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)
    with SummaryWriter(str(folder)) as writer:
        ends = [until]
        for line in reversed(lines[1:]):
            ends.append(ends[-1] - float(str(line["seconds"])))
        for line, end in zip(lines, reversed(ends), strict=False):
            _write(writer, line, end)
        writer.flush()

        def add(line: _Line) -> None:
            _write(writer, line)
            writer.flush()

        yield add


def _write(writer: "SummaryWriter", line: _Line, time: float | None = None) -> None:
    epoch = int(str(line["epoch"]))
    for name, value in line.items():
        if name != "epoch":
            writer.add_scalar(name, float(str(value)), epoch, walltime=time)
