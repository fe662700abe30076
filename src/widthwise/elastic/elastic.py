"""Elastic: a network that runs at any widths with one set of parameters.

In training a batch is split into chunks: the first runs at full width, the others at widths drawn from equal strata of
the law, and their outputs are joined again, so the user's loss on them is the stratified objective. Each sample is run
once. The dropped part is never computed: the traced graph runs on views of the parameters, and gradients land in the
full tensors. At full width in evaluation mode the network itself is called.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from widthwise.elastic.caution import warn_of_unsound, warn_of_width
from widthwise.elastic.compilation import CompiledByWidth
from widthwise.elastic.costs import CostsByWidth
from widthwise.elastic.engines.make import make_engine
from widthwise.elastic.laws.draw import check_generator
from widthwise.elastic.laws.law import Law
from widthwise.elastic.laws.named_laws import make_law
from widthwise.elastic.objective import Criterion, combine_losses, loss_of, refuse_sandwich, split_batch
from widthwise.elastic.order import By, Start, is_pretrained, sort_units
from widthwise.elastic.presence import keep_present
from widthwise.elastic.ranks import AcrossRanks, Ranks
from widthwise.elastic.state import adopt_keys, collect_state, load_state
from widthwise.elastic.step import Steps
from widthwise.elastic.unit_rate import UnitRates
from widthwise.elastic.widths import Width, resolve_widths
from widthwise.graph import as_example
from widthwise.groups import Declaration, Groups, Selection
from widthwise.slicing import DtypeName, Form, Verification, convert

__all__ = ["Elastic"]


class Elastic(CompiledByWidth, CostsByWidth):
    """A network that runs at any widths with one set of parameters: its own.

    In training each of `law.chunks` parts of a batch runs at a width that is drawn; one with fewer samples (with batch
    norm, pairs of them) runs at some of these widths. Running statistics of batch norm follow what runs at full width;
    those of a law with one chunk and no `widths` follow every call, for the units that it keeps.

    Args:
        net: Any module that torch.export can trace, or one with such a `submodule`, or one whose `groups` are named. It
            is not changed; its parameters are the model's.
        example_inputs: A tuple of positional or a dict of keyword inputs, as for `torch.export.export`. May be left
            out with `groups`; then `verify`, `macs`, `export` and `extract(..., calibrate=)` have none to go by.
        groups: For a network that cannot be traced: one dict per group, of patterns of the names of parameters (and
            of numbers that modules remember, such as `num_heads`) with the shape in which the width stands, as in
            `{"blocks.{}.fc1.weight": "n _", "blocks.{}.fc1.bias": "n", "blocks.{}.fc2.weight": "_ n"}`. `{}` stands
            for one part of a name and makes a group for each; "(3 n 64)" is an axis of 3 x n x 64; `verify` checks all.
        law: From which training draws widths: a name of `LAWS` such as "default" or "paper", or a `Law`.
        batch_dim: The batch axis of the first input.
        stream: Whether residual streams shrink with a common width; None lets them, but not in a transformer, where
            they move by name only.
        queries: Whether the width of queries and keys inside a head shrinks too; the scale of the scores stays.
        values: Whether the width of values inside a head shrinks too, besides the number of heads.
        freeze: Patterns of group or parameter names, as in a shell; what matches keeps its size.
        only: Such patterns; what matches none of them keeps its size.
        submodule: The name of the part that torch.export can trace, as in "encoder": it alone is elastic.
        round_to: A fraction leaves a multiple of so many units (not of heads), or all.
        strict: Whether torch.export reads the Python of the network instead of running it, which some networks need.
        start: "pretrained" for trained parameters: `sort()` puts the units of `net` in the order of their magnitude.
        carried: The input that is a state handed from call to call, by its name in `forward`, such as the hidden state
            of a recurrent network. It keeps its full width; a narrower run reads the first units and writes over them.
        across_ranks: Whether processes of a data parallel training "spread" the law or draw the "same" widths.
        generator: Draws the widths, on the CPU; None seeds one from `torch.initial_seed()`. Processes take the state of
            that of rank 0, in their first call in training.

    Attributes:
        net, law, generator: As given.
        unit_affine, octave_weights: What the law learns for each octave of width, or None.
        awaits_state: Whether weights were loaded, and not yet the elastic state beside them.

    Raises:
        TraceError: The network cannot be traced, or its batch axis is fixed or ambiguous.
        GroupError: Nothing in the network can shrink, or `groups` do not fit it or stand beside what needs a trace.
        WidthError: The law is none, or no width or rescale of it fits this network; or the generator is on a GPU.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
        >>> model = Elastic(net, (torch.zeros(2, 8),))
        >>> model.widths(0.25)
        {'0': 16}
        >>> model.extract(0.25)[0]
        Linear(in_features=8, out_features=16, bias=True)
    """

    # The Trainer of Hugging Face asks for it, and else hands every call a keyword that the network was not traced with.
    accepts_loss_kwargs = False

    num_steps: Tensor | None
    _widths: dict[str, int] | None = None
    awaits_state: bool = False

    def __init__(
        self,
        net: nn.Module,
        example_inputs: tuple[Any, ...] | dict[str, Any] | None = None,
        *,
        groups: Sequence[Declaration] | None = None,
        law: str | Law = "default",
        batch_dim: int = 0,
        stream: bool | None = None,
        queries: bool = False,
        values: bool = False,
        freeze: Sequence[str] = (),
        only: Sequence[str] = (),
        submodule: str | None = None,
        round_to: int = 1,
        strict: bool = False,
        start: Start = "random",
        carried: str | None = None,
        across_ranks: AcrossRanks = "spread",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.law = make_law(law)
        self.generator = check_generator(generator or torch.Generator().manual_seed(torch.initial_seed()))
        wanted = Selection(stream=stream, queries=queries, values=values, freeze=freeze, only=only, round_to=round_to)
        example = None if example_inputs is None else as_example(example_inputs)
        options: Any = {"batch_dim": batch_dim, "submodule": submodule, "strict": strict, "carried": carried}
        self._engine = make_engine(net, example, groups=groups, law=self.law, selection=wanted, **options)
        self._steps = Steps(self._engine, Ranks(across_ranks), self.law)
        if is_pretrained(start):
            sort_units(self._engine)
        self.net = net
        self.training = net.training
        self._engine.give_octaves(self.law)
        self.unit_affine, self.octave_weights = self._engine.unit_affine, self._engine.octave_weights
        self.register_buffer("num_steps", torch.zeros((), dtype=torch.int64) if self.law.slow_start else None)
        self.register_load_state_dict_pre_hook(adopt_keys)

    @property
    def groups(self) -> Groups:
        """The width groups; printing them shows sizes, members, and what is frozen and why."""
        return self._engine.groups

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode, which are those of full width."""
        return self._engine.has_statistics

    @property
    def last_widths(self) -> list[dict[str, int]]:
        """The widths at which the last training step ran; none before the first one."""
        return self._steps.last

    @property
    def example_args(self) -> tuple[Any, ...]:
        """The positional inputs of the example."""
        return self._engine.example.args

    @property
    def example_kwargs(self) -> dict[str, Any]:
        """The keyword inputs of the example."""
        return self._engine.example.kwargs

    @property
    def input_batch_axes(self) -> tuple[int | None, ...]:
        """The batch axis of each input leaf, None for leaves without one."""
        return self._engine.input_batch_axes

    def example_batch(self, num_samples: int) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the example's inputs cut or repeated to a number of samples, as (args, kwargs)."""
        return self._engine.example_batch(num_samples)

    def widths(self, width: Width) -> dict[str, int]:
        """Return the units of every group at a width.

        Args:
            width: A float in (0, 1] (a fraction of every group), a dict of group names to units (int) or fractions
                (float), or a point of a curve.

        Raises:
            WidthError: The width is out of range, names no group, or is of another type (a bare int included).
        """
        return resolve_widths(width, self.groups)

    def at(self, width: Width) -> AbstractContextManager[Elastic]:
        """Run at given widths inside the `with` block; nothing is copied.

        In training mode too: gradients land in the full tensors.

        Raises:
            WidthError: As for `widths`.

        Warns:
            WidthWarning: A width below what the law draws, or, in evaluation mode, below full width with BatchNorm.
            UserWarning: The weights were loaded without the elastic state beside them.
        """
        widths = self.widths(width)
        self._warn_of(widths, None if self.training else "take the network as model.extract(width, calibrate=loader)")
        return self._keep_widths(widths)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run the network: at drawn widths in training, at full width in evaluation, at given ones inside `at`.

        Raises:
            TraceError: The inputs do not have the traced shapes.
        """
        if self._widths is None and not self.training:
            return self._engine.run_whole(args, kwargs)
        # Compiled, each width drawn would be a program of its own; torch.compile leaves this part as it is.
        return torch.compiler.disable(self._run)(*args, **kwargs)

    def loss(self, batch: Any, criterion: Criterion | None = None) -> Tensor:
        """Return the loss of a batch: at the widths that the law draws in training, at full width in evaluation.

        A law that splits the batch has the loss of the joined outputs, as in a loop of your own. One with a `sandwich`
        runs every sample at each of its widths, and has the mean of their losses.

        Args:
            batch: (inputs, targets), or the inputs alone without a criterion; inputs are a tensor, a tuple of
                positional or a dict of keyword inputs.
            criterion: criterion(outputs, targets) -> a number, averaged over the samples. None where the network
                returns its loss: as its output, or in its field `loss`.

        Raises:
            WidthError: The batch or the loss is of another form.
        """
        args, kwargs, targets = split_batch(batch, criterion)
        if self.law.sandwich is None or not self.training or self._widths is not None:
            return loss_of(self(*args, **kwargs), targets, criterion)
        with self._steps.take(self.law, self.generator, self.num_steps) as drawing:
            outputs = self._engine.run_stacked(drawing, args, kwargs)
            loss = combine_losses(outputs, targets, criterion, self.law.distillation)
            return keep_present(loss, self._engine.own_parameters())

    def extract(
        self,
        width: Width,
        *,
        calibrate: Iterable[Any] | None = None,
        refit: Iterable[Any] | None = None,
        form: Form | None = None,
        dtype: DtypeName | None = None,
    ) -> nn.Module:
        """Return the small plain network at a width, in evaluation mode; it shares no storage with this one.

        Args:
            width: As for `widths`.
            calibrate: A loader of training samples; BatchNorm statistics are measured again on its first 2,048.
            refit: A loader of (inputs, class labels) on which the last layer is fitted again for this width.
            form: "module" for its own class, "graph" for an `fx.GraphModule`; None: its own where that does the same.
            dtype: Of its weights: "float16", "bfloat16" or "int8"; `slicing.convert` tells the rest.

        Raises:
            WidthError: The width is out of range, or form="module" cannot be had.
            DataError: A loader is empty or does not yield what the network takes.
            GroupError: `refit` finds no last layer that it can fit, or labels that are no classes.

        Warns:
            WidthWarning: A width below what the law draws, or BatchNorm without `calibrate` below full width.
            UserWarning: The weights were loaded without the elastic state beside them.
        """
        widths = self.widths(width)
        self._warn_of(widths, "pass calibrate=loader, of training samples" if calibrate is None else None)
        return convert(self._engine.extract(widths, calibrate=calibrate, refit=refit, form=form), dtype)

    def verify(self, *, num_widths: int = 3, seed: int = 0) -> Verification:
        """Check the width groups on this network: shapes, order and values at random widths against independent forms.

        A group that fails is frozen with its reason, and the rest is checked again, so that what is left is sound.

        Args:
            num_widths: How many random sets of unequal widths; each group is also cut to one unit alone.
            seed: Of widths, inputs and shuffles.

        Raises:
            GroupError: A check fails that no group can be blamed for, or nothing is left that could shrink.

        Warns:
            WidthWarning: A group was frozen.
        """
        verification = self._engine.verify(num_widths=num_widths, seed=seed)
        verification.raise_on_failure()
        warn_of_unsound(verification.frozen, stacklevel=2)
        return verification

    def sort(
        self,
        loader: Iterable[Any] | None = None,
        criterion: Criterion | None = None,
        *,
        by: By | None = None,
        optimizer: torch.optim.Optimizer | None = None,
    ) -> dict[str, Tensor]:
        """Put the units of every group in the order of their importance, in place; `sort_units` tells the rest."""
        return sort_units(self._engine, loader, criterion, by=by, optimizer=optimizer)

    def unit_rates(self, optimizer: torch.optim.Optimizer, *, power: float = 0.5, decay: bool = True) -> UnitRates:
        """Correct each step of an optimiser for units that are seldom drawn; `UnitRates` tells the rest."""
        return UnitRates(self._engine, self.law, optimizer, power=power, decay=decay)

    def elastic_state(self) -> dict[str, Tensor]:
        """Return the tensors beside the weights: of octaves, and the number of steps of a slow start; else nothing."""
        return collect_state(self)

    def load_elastic_state(self, state: Mapping[str, Tensor]) -> None:
        """Load what `elastic_state` gave; a WidthError where that is of another model or setting."""
        load_state(self, state)
        self.awaits_state = False

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Return the network's own state dict: its keys and its shapes."""
        return self.net.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load a state dict of the network; `load_elastic_state` loads what belongs to it."""
        self.awaits_state = True
        return self.net.load_state_dict(state_dict, strict=strict, assign=assign)

    def extra_repr(self) -> str:
        """Return the law and the groups on one line."""
        return f"groups=({', '.join(f'{group.name}: {group.size}' for group in self.groups)}), law={self.law}"

    def _warn_of(self, widths: dict[str, int], advice: str | None) -> None:
        own = self._engine.own_parameters() if self.awaits_state else []
        advice = advice if self.has_statistics else None
        warn_of_width(widths, self.groups, self.law, advice=advice, own=own, stacklevel=3)

    @contextmanager
    def _keep_widths(self, widths: dict[str, int]) -> Generator[Elastic]:
        before, self._widths = self._widths, widths
        try:
            yield self
        finally:
            self._widths = before

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self._widths is None:
            refuse_sandwich(self.law)
            self.awaits_state = False
            with self._steps.take(self.law, self.generator, self.num_steps) as drawing:
                return keep_present(self._engine.run_drawn(drawing, args, kwargs), self._engine.own_parameters())
        if self._widths == self.groups.sizes and not self.training:
            return self._engine.run_whole(args, kwargs)
        return self._engine.run_at(self._widths, args, kwargs)
