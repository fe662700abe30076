"""The engine of a network of which one submodule can be traced: that part runs at widths, the rest as it is, in Python.

For the time of a call the part's `forward` is replaced by one that runs its traced program; hooks of the part and the
code around it see an ordinary call.
"""

import dataclasses
import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, final

import torch
from torch import Tensor, fx, nn
from torch.utils import _pytree as pytree

from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic.drawing import Drawing, Part
from widthwise.elastic.engines.capture import capture_part, find_part, record_calls
from widthwise.elastic.engines.engine import Draw, Engine
from widthwise.elastic.engines.override import ABSENT, override
from widthwise.elastic.engines.traced import TracedEngine
from widthwise.elastic.engines.transplant import transplant
from widthwise.elastic.octaves.octave_weights import OctaveWeights
from widthwise.elastic.octaves.unit_affine import UnitAffine
from widthwise.graph import Axes, Example, match_call
from widthwise.graph.trace import in_mode
from widthwise.groups import ALL, Groups, Selection
from widthwise.slicing import (
    Activation,
    Compilation,
    Factor,
    Form,
    Place,
    SlicedNetwork,
    Units,
    Verification,
    batch_inputs,
    keeps_statistics,
    recalibrate_module,
    take_samples,
)
from widthwise.slicing.context import plain_context
from widthwise.slicing.finish.calibrate import NUM_SAMPLES
from widthwise.slicing.placement import find_placement, move_example
from widthwise.slicing.plain import same_outputs

__all__ = ["SubmoduleEngine"]

Run = Callable[[tuple[Any, ...], dict[str, Any]], Any]


@final
class SubmoduleEngine(Engine):
    """Runs a network with one of its submodules at widths.

    Parameters and buffers of the part that the network uses outside of it too keep their size: those held under another
    name, and those that an operator outside of the part reads in a call on the example.

    Args:
        net: The network.
        example: What a call of it looks like.
        path: The name of the submodule.
        batch_dim: The batch axis of the network's first input; of the submodule's, where the former is a list.
        factor: The rescale that weights take where they read units; None for none.
        selection: Which width groups are wanted, by their names in the whole network.
        strict: Whether torch.export reads the Python of the submodule instead of running it.

    Raises:
        TraceError: There is no such submodule, the network does not call it, or it cannot be traced.
        GroupError: Nothing in it can shrink.
    """

    def __init__(
        self,
        net: nn.Module,
        example: Example,
        path: str,
        *,
        batch_dim: int = 0,
        factor: Factor | None = None,
        selection: Selection = ALL,
        strict: bool = False,
    ) -> None:
        self.net = net
        self._path = path
        self._part = find_part(net, path)
        self._example = example
        self._placement = find_placement(net)
        captured = capture_part(net, path, example, batch_dim)
        first, *others = captured.calls
        self._captured = dataclasses.replace(captured, calls=())
        self._make_inner = functools.partial(
            SlicedNetwork,
            batch_dim=captured.batch_dim,
            factor=factor,
            selection=selection,
            strict=strict,
            path=path,
            shared=captured.shared,
        )
        with self._alone():
            self._inner = TracedEngine(self._make_inner(self._part, first))
            for number, call in enumerate(others, 2):
                self._check(call, f"{path} must take inputs of one kind at every call, but at call {number}: ")

    @property
    def groups(self) -> Groups:
        """The width groups, named as in the whole network."""
        return self._inner.groups

    @property
    def example(self) -> Example:
        """What a call of the network looks like, on the device and in the dtype that the network has now."""
        placement = find_placement(self.net)
        if placement != self._placement:
            self._example = move_example(self._example, self._placement, placement)
            self._placement = placement
        return self._example

    @property
    def input_batch_axes(self) -> tuple[int | None, ...]:
        """The batch axis of each input leaf, None for leaves without one; all None where the inputs are no batches."""
        return self._captured.batch_axes

    @property
    def has_statistics(self) -> bool:
        """Whether a batch norm uses running statistics in evaluation mode, inside of the submodule or outside."""
        return self._inner.has_statistics or keeps_statistics(self.net)

    def make_unit_affine(self, num_octaves: int) -> UnitAffine | None:
        """Return corrections of the parameters of the submodule that make units; None where there are none."""
        self._inner.unit_affine = self._inner.make_unit_affine(num_octaves)
        return self._inner.unit_affine

    def make_octave_weights(self, num_octaves: int) -> OctaveWeights | None:
        """Return what is added to weights of the submodule."""
        self._inner.octave_weights = self._inner.make_octave_weights(num_octaves)
        return self._inner.octave_weights

    def run_whole(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the network itself, hooks and all.

        Raises:
            TraceError: It fails, and the submodule had inputs that are not of the traced shapes.
        """
        try:
            return self.net(*args, **kwargs)
        except Exception as error:
            calls = record_calls(self.net, self._part, args, kwargs)
            try:
                with self._alone():
                    for call in calls:
                        self._check(call, f"{self._path}: ")
            except TraceError as misfit:
                raise misfit from error
            raise

    def run_at(self, widths: Draw, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the network with the submodule at one set of widths."""
        return self._run(lambda *inputs: self._inner.run_at(widths, *inputs), args, kwargs)

    def run_drawn(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run the network; at each call of the submodule the parts of its batch run at the drawn widths."""
        return self._run(lambda *inputs: self._inner.run_drawn(drawing, *inputs), args, kwargs)

    def run_stacked(self, drawing: Drawing, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[tuple[Part, Any]]:
        """Run the whole batch at each of the widths, full width first; return what each gives."""
        leaves = pytree.tree_leaves((args, kwargs))
        sizes = [leaf.shape[i] for leaf, i in zip(leaves, self.input_batch_axes, strict=False) if i is not None]
        return [(part, self.run_at(part.widths, args, kwargs)) for part in drawing.stack(next(iter(sizes), 1))]

    def head_groups(self) -> frozenset[str]:
        """Refuse: the last layer may lie outside of the submodule."""
        raise GroupError(self._without_head("a law of reach 'head'"))

    def extract(
        self,
        widths: Draw,
        *,
        calibrate: Iterable[Any] | None,
        refit: Iterable[Any] | None,
        form: Form | None,
    ) -> nn.Module:
        """Return a copy of the network in evaluation mode, with the small submodule in place of the large one.

        BatchNorm statistics are measured again outside of the submodule too, since it hands on other values.
        """
        if refit is not None:
            raise GroupError(self._without_head("refit="))
        with self._alone():
            small = self._inner.extract(widths, calibrate=None, refit=None, form=form)
        with plain_context():
            whole = transplant(self.net, self._part, small)
            if isinstance(small, fx.GraphModule):
                self._check_graph(whole)
            if calibrate is not None and self.has_statistics:
                recalibrate_module(whole, self._take_samples(calibrate))
        return whole

    def count_macs(self, widths: Draw) -> int:
        """Return the multiply-accumulates of one sample.

        Those of the submodule are counted in closed form at the widths, for as many samples as its calls took on the
        example. The rest was counted once, by torch.utils.flop_counter on the example, and is the same at every width.
        Where inputs of the network are no batches, a sample is one of the submodule's first call.
        """
        with self._alone():
            inner = self._inner.count_macs(widths)
        seen = self._captured
        return round((inner * seen.num_inner + seen.rest_macs) / seen.num_samples)

    def state_axes(self) -> dict[str, Axes]:
        """Return what the axes of parameters and buffers of the submodule are made of, by name in the network."""
        with self._alone():
            return {f"{self._path}.{name}": axes for name, axes in self._inner.state_axes().items()}

    def verify(self, *, num_widths: int, seed: int) -> Verification:
        """Check the width groups on the submodule, and the extracted whole network against this one.

        Raises:
            GroupError: Code outside of the submodule computes something else with a small submodule.
        """
        with self._alone():
            found = self._inner.verify(num_widths=num_widths, seed=seed)
        for widths in found.widths[:num_widths] if found.is_sound else ():
            with in_mode(self.net, training=False):
                small = _Opened(self.extract(widths, calibrate=None, refit=None, form=None))
                large = _Opened(lambda *args, **kwargs: self.run_at(widths, args, kwargs))  # noqa: B023 called here
                if not same_outputs(small, large, self.example):
                    raise GroupError(
                        f"code outside of {self._path} must not depend on the widths inside of it, but at "
                        f"{dict(widths)} the extracted network does not compute what the elastic one does; read sizes "
                        "from inputs there, or keep these units with freeze="
                    )
        return found

    def compile(self, compilation: Compilation) -> None:
        """Compile a graph of the submodule for each width of a grid from now on."""
        self._inner.compile(compilation)

    def units(self) -> Units:
        """Return where the units of the submodule stand, as it is right now."""
        with self._alone():
            return self._inner.units()

    def own_places(self) -> tuple[Place, ...]:
        """Return the tensors of the model, besides those of the network, that hold something of each unit."""
        return self._inner.own_places()

    def run_watched(self, activation: Activation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Run the network and let the activations of the submodule be seen."""
        self._run(lambda *inputs: self._inner.run_watched(activation, *inputs), args, kwargs)

    def __getstate__(self) -> dict[str, Any]:
        example = self.example
        with self._alone():
            first = self._inner.sliced.example
        return {**vars(self), "_example": example, "_inner": first}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        with self._alone():
            self._inner = TracedEngine(self._make_inner(self._part, state["_inner"]))

    def _run(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call the network, with `run` in place of the submodule's forward."""
        own = vars(self._part).get("forward", ABSENT)

        @functools.wraps(self._part.forward)
        def forward(*inputs: Any, **named: Any) -> Any:
            try:
                with self._alone(forward=own):
                    return run(inputs, named)
            except TraceError as error:
                raise TraceError(f"{self._path}: {error}") from error

        with override(self._part, forward=forward):
            return self.net(*args, **kwargs)

    def _alone(self, **held: Any) -> AbstractContextManager[None]:
        """Let the submodule be called without its hooks, which run around it and are no part of it."""
        return override(self._part, _forward_hooks=OrderedDict(), _forward_pre_hooks=OrderedDict(), **held)

    def _check(self, call: Example, what: str) -> None:
        """Refuse inputs of the submodule that its trace does not hold for."""
        sliced = self._inner.sliced
        try:
            inputs = match_call(self._part, sliced.example, call.args, call.kwargs)
            sliced.fit(inputs)
            sliced.evaluation.leaves_of(inputs)
        except TraceError as error:
            raise TraceError(f"{what}{error}") from error

    @torch.no_grad()
    def _check_graph(self, whole: nn.Module) -> None:
        example = self.example
        try:
            whole(*example.args, **example.kwargs)
        except (AttributeError, NotImplementedError) as error:
            raise WidthError(
                f"code outside of {self._path} asks for layers or attributes of it, which a graph does not have, got: "
                f"{error}; take form='module' where it can be had, or let that code do without them"
            ) from error

    def _take_samples(self, loader: Iterable[Any]) -> Iterator[Example]:
        """Yield the inputs of a loader where the network is; all of 2,048 batches where these have no batch axis."""
        example, placement = self.example, find_placement(self.net)
        axes = [(leaf, axis) for leaf, axis in enumerate(self.input_batch_axes) if axis is not None]
        if axes:
            batches = take_samples(loader, example, leaf=axes[0][0], axis=axes[0][1], num_samples=NUM_SAMPLES)
        else:
            batches = (batch_inputs(batch, example) for batch in itertools.islice(loader, NUM_SAMPLES))
        for inputs in batches:
            device = None if placement is None else placement[0]
            args, kwargs = pytree.tree_map_only(Tensor, lambda x: x.to(device), (inputs.args, inputs.kwargs))  # noqa: B023
            yield Example(args=args, kwargs=kwargs)

    def _without_head(self, option: str) -> str:
        return (
            f"{option} needs the last layer of the network, which cannot be told where {self._path} alone is traced; "
            f"leave out {option}, or trace the whole network (without submodule=)"
        )


class _Opened(nn.Module):
    """Calls a network and returns dataclasses among its outputs as dicts, which can be compared."""

    def __init__(self, call: Callable[..., Any]) -> None:
        super().__init__()
        self._call = call

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return _open(self._call(*args, **kwargs))


def _open(outputs: Any) -> Any:
    def open_leaf(leaf: Any) -> Any:
        if not dataclasses.is_dataclass(leaf) or isinstance(leaf, type):
            return leaf
        return {field.name: _open(getattr(leaf, field.name)) for field in dataclasses.fields(leaf)}

    return pytree.tree_map(open_leaf, outputs)
