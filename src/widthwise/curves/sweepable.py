"""What a curve asks of a model: to be taken at widths, and to tell what it costs there."""

from collections.abc import Iterable
from typing import Protocol

from torch import Tensor, nn

from widthwise.curves.grid import HasWidths, Width

__all__ = ["HasRange", "Sweepable"]


class HasRange(Protocol):
    """What is asked of a law here: which widths were trained."""

    @property
    def lowest(self) -> float:
        """The smallest fraction drawn in training."""
        ...

    @property
    def runs_full(self) -> bool:
        """Whether training ran the full width time and again, so that batch norm remembers its statistics."""
        ...


class Sweepable(HasWidths, Protocol):
    """What a curve asks of a model; `Elastic` is one."""

    @property
    def law(self) -> HasRange:
        """The law it was trained with."""
        ...

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""
        ...

    def extract(self, width: Width, /, *, calibrate: Iterable[object] | None = None) -> nn.Module:
        """Return the plain network at a width."""
        ...

    def macs(self, width: Width, /) -> int:
        """Return the MACs of one sample at a width."""
        ...

    def memory_bytes(self, width: Width, /) -> int:
        """Return the most bytes that the values of one pass of one sample take at a time, at a width."""
        ...

    def example_batch(self, size: int, /) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return example inputs with a batch of that size."""
        ...

    def state_dict(self) -> dict[str, Tensor]:
        """Return the weights."""
        ...

    def elastic_state(self) -> dict[str, Tensor]:
        """Return the tensors that the model keeps beside the weights."""
        ...
