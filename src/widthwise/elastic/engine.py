"""What an elastic model needs of its network: the width groups, and ways to run it and to take it at widths."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from widthwise.elastic.octave import OctaveAffine
from widthwise.graph import Example
from widthwise.groups import Groups
from widthwise.slicing import Form, Verification

__all__ = ["Draw", "Engine"]

Draw = Mapping[str, int]


class Engine(ABC):
    """A network with its width groups, to be run at any widths.

    Attributes:
        net: The network itself.
        affine: What its outputs go through at each width, or None.
    """

    net: nn.Module
    affine: OctaveAffine | None = None

    @property
    @abstractmethod
    def groups(self) -> Groups:
        """The width groups."""

    @property
    @abstractmethod
    def example(self) -> Example:
        """What a call of the network looks like, on the device and in the dtype that the network has now."""

    @property
    @abstractmethod
    def input_batch_axes(self) -> tuple[int | None, ...]:
        """The batch axis of each input leaf, None for leaves without one."""

    @property
    @abstractmethod
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""

    @abstractmethod
    def make_affine(self, num_octaves: int) -> OctaveAffine:
        """Return gains and biases that fit the outputs.

        Raises:
            GroupError: The network has no last layer that they could be folded into.
        """

    @abstractmethod
    def run_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the network itself, hooks and all.

        Raises:
            TraceError: It fails, on inputs that are not of the example's shapes.
        """

    @abstractmethod
    def run_at(self, widths: Draw, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run at one set of widths; full width in training mode updates buffers."""

    @abstractmethod
    def run_drawn(
        self,
        draws: list[dict[str, int]],
        generator: torch.Generator,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        *,
        only_one: bool,
    ) -> Any:
        """Run each chunk of the batch at one of the drawn widths and join the outputs.

        Args:
            draws: The widths of each chunk.
            generator: Chooses among them where the batch is too small for all.
            args: Positional inputs of the network.
            kwargs: Keyword inputs of the network.
            only_one: Whether the law draws one chunk; that one then updates buffers whatever its width.
        """

    @abstractmethod
    def extract(
        self,
        widths: Draw,
        *,
        calibrate: Iterable[Any] | None,
        refit: Iterable[Any] | None,
        form: Form | None,
    ) -> nn.Module:
        """Return the small plain network, in evaluation mode; `Elastic.extract` tells the rest."""

    @abstractmethod
    def count_macs(self, widths: Draw) -> int:
        """Return the multiply-accumulates of one sample."""

    @abstractmethod
    def verify(self, *, num_widths: int, seed: int) -> Verification:
        """Check the width groups on the network; those that fail are frozen from then on."""
