"""What an elastic model costs at each width, without a network being made."""

from abc import abstractmethod

from torch import nn

from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.laws.law import Law
from widthwise.elastic.step import mean_macs
from widthwise.elastic.widths import Width
from widthwise.groups.width import check_count

__all__ = ["CostsByWidth"]


class CostsByWidth(nn.Module):
    """A model that tells what it costs at each width.

    Attributes:
        law: From which training draws widths.
    """

    law: Law
    _engine: Engine

    @abstractmethod
    def widths(self, width: Width) -> dict[str, int]:
        """Return the units of every group at a width."""

    def macs(self, width: Width = 1.0) -> int:
        """Return the multiply-accumulates of one sample at a width."""
        return self._engine.count_macs(self.widths(width))

    def memory_bytes(self, width: Width = 1.0, *, batch: int = 1) -> int:
        """Return the most bytes that inputs, outputs and values between operators take at a time in a forward pass.

        Weights are left out, and so is what operators need inside of themselves. Of a traced network it is exact at any
        width without a run, for runtimes that free a value after its last use and fuse nothing; of another it is seen
        on a call of the extracted network.

        Args:
            width: As for `widths`.
            batch: The number of samples.

        Raises:
            WidthError: The width is out of range, or `batch` is no positive whole number.

        Example:
            >>> import torch, widthwise as ww
            >>> net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
            >>> model = ww.Elastic(net, (torch.zeros(2, 8),))
            >>> model.memory_bytes(), model.memory_bytes(0.25)
            (544, 160)
        """
        check_count("batch", batch, "use 1 for one sample")
        return self._engine.count_memory(self.widths(width), batch)

    def outline(self, width: Width = 1.0) -> nn.Module:
        """Return the tensors of `extract(width)` under their names, empty (on the meta device), to count them."""
        return self._engine.outline(self.widths(width))

    def training_macs(self, *, num_draws: int = 256) -> float:
        """Return the mean forward multiply-accumulates per sample under the law, from a generator of its own."""
        return mean_macs(self._engine, self.law, num_draws)
