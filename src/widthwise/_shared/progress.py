"""A progress bar on stderr that keeps out of the way: none for short work, none where nobody looks."""

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TYPE_CHECKING, Generic, TypeVar, final

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.live import Live
    from rich.progress import Progress, TaskID

__all__ = ["Tracker", "track"]

# A bar for work shorter than this is a flicker.
_PATIENCE_SECONDS = 1.0

_Item = TypeVar("_Item")


def track(
    iterable: Iterable[_Item], description: str, *, total: int | None = None, show: bool | None = None
) -> "Tracker[_Item]":
    """Return an iterable over the same items that draws a bar on stderr while it is consumed.

    Args:
        iterable: What to go through. It is consumed as it comes, not collected.
        description: The words before the bar.
        total: Number of items, where `len(iterable)` does not say; with neither the bar pulses.
        show: True draws it from the first item on (in a log its last state alone); False never; None where
            stderr is a terminal and the work takes over a second.

    Example:
        >>> sum(track(range(4), "adding", show=False))
        6
    """
    if total is None and isinstance(iterable, Sized):
        total = len(iterable)
    return Tracker(iterable, description, total=total, show=show)


@final
class Tracker(Generic[_Item]):
    """The iterable that `track` returns; `note` puts a few words, such as the last score, below the bar."""

    def __init__(self, iterable: Iterable[_Item], description: str, *, total: int | None, show: bool | None) -> None:
        """Hold what to go through; nothing is consumed or drawn before iteration begins."""
        self._iterable = iterable
        self._description = description
        self._total = total
        self._patience = 0.0 if show else _PATIENCE_SECONDS
        self._is_wanted = sys.stderr.isatty() if show is None else show
        self._note = ""
        self._bar: Progress | None = None
        self._live: Live | None = None
        self._task: TaskID | None = None

    def __iter__(self) -> Iterator[_Item]:
        """Iterate over the items, drawing the bar where one is wanted, and taking it down in every case."""
        if not self._is_wanted:
            yield from self._iterable
            return
        began = time.monotonic()
        try:
            for num_done, item in enumerate(self._iterable):
                if self._bar is None and time.monotonic() - began >= self._patience:
                    self._start(num_done)
                yield item
                self._advance(num_done + 1)
        finally:
            self._stop()

    def note(self, text: str) -> None:
        """Show `text` below the bar from now on."""
        self._note = text

    def _start(self, num_done: int) -> None:
        # rich is imported by the first bar that is drawn, so that `import widthwise` stays light.
        from rich.console import Console
        from rich.live import Live
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        console = Console(stderr=True)
        self._bar = Progress(*columns, console=console)
        self._task = self._bar.add_task(self._description, total=self._total, completed=num_done)
        # A terminal gets its lines back; a log keeps the last state of the bar.
        self._live = Live(get_renderable=self._draw, console=console, transient=console.is_terminal)
        self._live.start()

    def _draw(self) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        assert self._bar is not None
        # In a line of its own: beside the bar it would leave no room for it on a terminal of 80 columns.
        return Group(self._bar, Text(self._note)) if self._note else self._bar

    def _advance(self, num_done: int) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=num_done)

    def _stop(self) -> None:
        if self._live is not None:
            self._live.stop()
        self._bar = self._live = None
        self._task = None
