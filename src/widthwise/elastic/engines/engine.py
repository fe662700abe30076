"""What an elastic model needs of its network: the width groups, and ways to run it and to take it at widths."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from widthwise.elastic.drawing import Drawing, Part
from widthwise.elastic.engines.outline import outline_network
from widthwise.elastic.laws.law import Law
from widthwise.elastic.octaves.octave import count_octaves
from widthwise.elastic.octaves.octave_weights import OctaveWeights
from widthwise.elastic.octaves.unit_affine import UnitAffine
from widthwise.graph import Axes, Example, count
from widthwise.groups import Groups
from widthwise.measure import watch_peak_bytes
from widthwise.slicing import Activation, Compilation, Form, Place, Units, Verification

__all__ = ["Draw", "Engine"]

Draw = Mapping[str, int]


class Engine(ABC):
    """A network with its width groups, to be run at any widths.

    Attributes:
        net: The network itself.
        unit_affine: What corrects its units at each width, or None.
        octave_weights: What is added to its weights at each width, or None.
    """

    net: nn.Module
    unit_affine: UnitAffine | None = None
    octave_weights: OctaveWeights | None = None

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

    def example_batch(self, num_samples: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the example's inputs cut or repeated to a number of samples, as (args, kwargs)."""
        example = self.example
        leaves, spec = pytree.tree_flatten((example.args, example.kwargs))
        resized = [
            leaf
            if axis is None
            else leaf.index_select(axis, torch.arange(num_samples, device=leaf.device) % leaf.shape[axis])
            for leaf, axis in zip(leaves, self.input_batch_axes, strict=True)
        ]
        return pytree.tree_unflatten(resized, spec)

    @property
    @abstractmethod
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode."""

    @abstractmethod
    def make_unit_affine(self, num_octaves: int) -> UnitAffine | None:
        """Return corrections of what makes units; None where nothing is known to."""

    @abstractmethod
    def make_octave_weights(self, num_octaves: int) -> OctaveWeights | None:
        """Return what is added to weights; None where nothing is known of them."""

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
    def run_drawn(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run each part of the batch at its widths and join the outputs.

        Args:
            drawing: Which part runs at which widths.
            args: Positional inputs of the network.
            kwargs: Keyword inputs of the network.
        """

    @abstractmethod
    def run_stacked(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Part, Any]]:
        """Run the whole batch at each of the widths, full width first; return what each gives."""

    @abstractmethod
    def head_groups(self) -> frozenset[str]:
        """Return the names of the groups that the last layer reads.

        Raises:
            GroupError: Which layer is the last one is not known.
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

    def count_memory(self, widths: Draw, batch: int) -> int:
        """Return the most bytes that the values of one pass of so many samples take at a time, seen on a call."""
        args, kwargs = self.example_batch(batch)
        return watch_peak_bytes(self.extract(widths, calibrate=None, refit=None, form=None), args, kwargs)

    @abstractmethod
    def state_axes(self) -> Mapping[str, Axes]:
        """Return what the axes of parameters and buffers are made of, by name; those left out keep their size."""

    def outline(self, widths: Draw) -> nn.Module:
        """Return a module of empty tensors with the names and shapes of the extracted network's.

        A layer with a spectral norm has more here than after extraction, which divides its weight and is done with it.
        """
        kept = {group.key: widths[group.name] for group in self.groups}
        axes = self.state_axes()
        return outline_network(self.net, {name: [count(term, kept) for term in axes[name]] for name in axes})

    def count_stacked(self, parts: Sequence[Part]) -> list[int]:
        """Return the multiply-accumulates of one sample of each part, where all run on the same samples."""
        return [self.count_macs(part.widths) for part in parts]

    @abstractmethod
    def verify(self, *, num_widths: int, seed: int) -> Verification:
        """Check the width groups on the network; those that fail are frozen from then on."""

    @abstractmethod
    def compile(self, compilation: Compilation) -> None:
        """Compile a graph for each width of a grid from now on.

        Raises:
            GroupError: Nothing was traced that could be compiled.
        """

    @abstractmethod
    def units(self) -> Units:
        """Return where its units stand, as it is right now.

        Raises:
            GroupError: Training has other groups, or it cannot be traced and alone reads some parameters.
        """

    def give_octaves(self, law: Law) -> None:
        """Give each octave of width what a law lets it have of its own."""
        octaves = count_octaves(law.lowest)
        # They learn, wherever the network was wrapped.
        with torch.inference_mode(mode=False):
            self.unit_affine = self.make_unit_affine(octaves) if law.unit_affine else None
            self.octave_weights = self.make_octave_weights(octaves) if law.octave_weights else None

    def own_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the model besides those of the network."""
        return [p for own in (self.unit_affine, self.octave_weights) if own is not None for p in own.parameters()]

    def own_places(self) -> tuple[Place, ...]:
        """Return the tensors of the model, besides those of the network, that hold something of each unit."""
        return ()

    @abstractmethod
    def run_watched(self, activation: Activation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run at full width and let the activations be seen.

        Raises:
            GroupError: Nothing was traced that would tell where they are.
        """
