"""A network with its width groups, and a runner for each mode in which it is traced."""

from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from widthwise._shared import GroupError, TraceError
from widthwise.graph import (
    Atom,
    Axes,
    Counts,
    Example,
    FixedAxes,
    Inference,
    KeptSet,
    Solver,
    StateAxes,
    Trace,
    find_counts,
    find_image_axes,
    infer_axes,
    let_carry,
    trace_network,
)
from widthwise.graph.trace import in_mode
from widthwise.groups import ALL, Groups, Selection, find_groups
from widthwise.slicing.context import plain_context
from widthwise.slicing.placement import check_whole, find_addresses, find_placement, leave_inference, move_example
from widthwise.slicing.running.compiled import Compilation, CompiledGraphs
from widthwise.slicing.running.program import Program
from widthwise.slicing.running.rescale import Factor
from widthwise.slicing.running.runner import Runner
from widthwise.slicing.running.single import SingleSample
from widthwise.slicing.suspects import has_suspects

__all__ = ["SlicedNetwork"]

Modes = tuple[bool, ...]


class SlicedNetwork:
    """Traces a network on first use of a mode; all traces share one set of terms for the parameters.

    Where evaluation leaves parameters unread, training is traced at once, so that they shrink with what they read.

    Follows the network to another device or dtype by tracing it again. A copy, and what is read from a pickle, traces
    its own network anew. The height and width of images are traced as fixed, which is faster and which some networks
    need; the first input of another size has them traced anew as dynamic.

    Args:
        net: The network itself.
        example: What a call of it looks like.
        batch_dim: The batch axis of the first input.
        factor: The rescale that weights take where they read units; None for none.
        selection: Which width groups are wanted.
        strict: Whether torch.export reads the Python of the network instead of running it.
        path: Where the network is part of a larger one, its name there; its groups have the names of the larger one.
        shared: The parameters and buffers that the larger one uses too, by their names in this one; they keep their
            size.
        carried: The input that is a state carried from call to call, by its name in `forward`; None for none.
    """

    def __init__(
        self,
        net: nn.Module,
        example: Example,
        *,
        batch_dim: int = 0,
        factor: Factor | None = None,
        selection: Selection = ALL,
        strict: bool = False,
        path: str = "",
        shared: Collection[str] = (),
        carried: str | None = None,
    ) -> None:
        self.net = net
        self.factor = factor
        self._selection = selection
        self._strict = strict
        self._path = path
        self._shared = tuple(shared)
        self._carried = carried
        self._batch_dim = batch_dim
        self._example = leave_inference(example)
        self._modules = list(net.modules())
        self._placement = find_placement(net)
        self._opened: FixedAxes = frozenset()
        self._compilation: Compilation | None = None
        self._start()

    @property
    def example(self) -> Example:
        """What a call of the network looks like, on the device and in the dtype that the network has now."""
        self._follow()
        return self._example

    @property
    def groups(self) -> Groups:
        """The width groups."""
        return self._groups

    @property
    def is_carrying(self) -> bool:
        """Whether an input is a state carried from call to call."""
        return self._carried is not None

    @property
    def evaluation(self) -> Runner:
        """The runner of the network with all of it in evaluation mode."""
        self._follow()
        return self._runners[(False,) * len(self._modules)]

    @property
    def current(self) -> Runner:
        """The runner of the network in the modes that its modules have right now.

        Raises:
            GroupError: The network in this mode ties units together that are free in evaluation mode.
        """
        self._follow()
        modes = tuple([module.training for module in self._modules])
        runner = self._runners.get(modes)
        return self._trace_mode(modes) if runner is None else runner

    def fit(self, inputs: Example) -> None:
        """Trace anew where inputs are the first ones to have another size along an axis of an image.

        Raises:
            TraceError: The network cannot be traced with that axis dynamic, or has other width groups then.
        """
        given, traced = inputs.leaves(), self._example.leaves()
        wanted = frozenset(
            (index, axis)
            for index, axis in find_image_axes(self._example, self._batch_dim) - self._opened
            if index < len(given) and _differ(given[index], traced[index], axis)
        )
        if not wanted:
            return
        before = dict(vars(self))
        self._opened |= wanted
        try:
            self._start()
        except (TraceError, GroupError):
            opened = self._opened
            vars(self).update(before)
            self._opened = opened
            raise
        if self._groups.sizes != before["_groups"].sizes:
            vars(self).update(before)
            raise TraceError(
                "a network must have the same width groups at every image size, got others once that is not fixed; "
                "give images of the size of example_inputs, or wrap the network with an example of the new one"
            )

    def freeze(self, reasons: Mapping[str, str]) -> None:
        """Let groups keep their size from now on.

        Args:
            reasons: Why, by the name of the group.

        Raises:
            GroupError: Nothing could shrink any more; the groups are then what they were.
        """
        before = dict(vars(self))
        self._selection = replace(self._selection, unsound={**self._selection.unsound, **reasons})
        try:
            self._start()
        except GroupError:
            vars(self).update(before)
            raise

    def compile(self, compilation: Compilation) -> None:
        """Compile graphs at the kept sets of a grid from now on, in every mode; a copy of the network has none."""
        self._compilation = compilation
        for runner in self._runners.values():
            self._let_compile(runner)

    def kept(self, widths: Mapping[str, KeptSet]) -> dict[int, KeptSet]:
        """Return kept sets by atom from kept sets by group name."""
        return {group.key: widths[group.name] for group in self._groups if group.name in widths}

    def state_axes(self) -> dict[str, Axes]:
        """Return the axes of every parameter and buffer that a trace reads, by each of its names."""
        self._follow()
        return {name: tuple(map(self._solver.resolve, axes)) for name, axes in self._axes.targets.items()}

    def trace_all(self) -> list[Program]:
        """Return the program of every mode traced so far, and of training where that can be traced.

        Raises:
            GroupError: Training ties units together that are free in evaluation mode, or it cannot be traced and alone
                reads some parameters.
        """
        unread = _find_unread(self.evaluation.program.trace, self._axes)
        try:
            with in_mode(self.net, training=True):
                _ = self.current
        except TraceError as error:
            if unread:
                raise GroupError(
                    f"every parameter must be read by what can be traced, but {min(unread)} is not in evaluation mode, "
                    f"and training cannot be traced ({error}); take it out of the network for this"
                ) from error
        return [runner.program for runner in self._runners.values()]

    def __getstate__(self) -> dict[str, Any]:
        return {
            "net": self.net,
            "example": self._example,
            "batch_dim": self._batch_dim,
            "factor": self.factor,
            "selection": self._selection,
            "strict": self._strict,
            "path": self._path,
            "shared": self._shared,
            "carried": self._carried,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def _start(self) -> None:
        """Trace the network in evaluation mode and find its groups."""
        self._addresses = find_addresses(self.net)
        trace = self._trace(training=False)
        inference = self._infer(trace)
        if unread := _find_unread(trace, self._axes):
            inference = self._learn_from_training(trace, inference, unread)
        modes: Modes = (False,) * len(self._modules)
        counts = self._find_counts(inference, training=False)
        self._groups = self._groups.without(counts)
        self._runners: dict[Modes, Runner] = {modes: self._make_runner(inference, counts)}

    def _infer(self, trace: Trace, *others: Trace) -> Inference:
        """Find the groups of a trace, with what other traces of the network say of its parameters."""
        self._solver = Solver()
        self._axes = StateAxes(self.net, self._solver)
        for name in self._shared:
            for term in self._axes.of(name):
                self._solver.freeze(term, f"also used outside of {self._path}")
        inference, before = infer_axes(trace, self._axes, self._solver), -1
        while others and before != self._solver.num_bindings:
            before = self._solver.num_bindings
            for each in (*others, trace):
                inference = infer_axes(each, self._axes, self._solver)
        self._groups = find_groups(self.net, inference, self._axes, self._selection, path=self._path)
        return inference

    def _learn_from_training(self, trace: Trace, inference: Inference, unread: Set[str]) -> Inference:
        """Infer again where training reads parameters that evaluation does not, such as those of an auxiliary head.

        Evaluation alone counts where training cannot be traced, or leaves other groups free.
        """
        try:
            training = self._trace(training=True)
        except TraceError:
            return inference
        if unread <= _find_unread(training, self._axes):
            return inference
        sizes = self._groups.sizes
        try:
            learnt = self._infer(trace, training)
        except GroupError:
            return self._infer(trace)
        return learnt if self._groups.sizes == sizes else self._infer(trace)

    def _follow(self) -> None:
        check_whole(self.net, self._modules)
        placement = find_placement(self.net)
        if placement != self._placement:
            self._example = move_example(self._example, self._placement, placement)
            self._placement = placement
            self._start()

    def _trace_mode(self, modes: Modes) -> Runner:
        if find_addresses(self.net) != self._addresses:
            # Terms are kept by the place of a tensor in memory, so that tied names share theirs.
            self._start()
        inference = infer_axes(self._trace(training=None), self._axes, self._solver)
        try:
            self._check_groups()
        except GroupError:
            self._start()
            raise
        single = self._runners[(False,) * len(self._modules)].single
        self._runners[modes] = self._make_runner(inference, self._find_counts(inference, training=None), single)
        return self._runners[modes]

    def _make_runner(self, inference: Inference, counts: Counts, single: SingleSample | None = None) -> Runner:
        return self._let_compile(Runner(self.net, Program(inference, counts), self._example, self.factor, single))

    def _let_compile(self, runner: Runner) -> Runner:
        if self._compilation is not None:
            grid = {group.key: self._compilation.grid.get(group.name, range(group.size + 1)) for group in self._groups}
            runner.compiled = CompiledGraphs(self._compilation, grid)
        return runner

    def _find_counts(self, inference: Inference, *, training: bool | None) -> Counts:
        """Return the numbers that follow from widths; looked for only where some number looks like one."""
        if not has_suspects(self.net, inference, self._groups):
            return {}
        with plain_context():
            return find_counts(
                self.net,
                inference,
                self._example,
                training=training,
                batch_dim=self._batch_dim,
                strict=self._strict,
            )

    def _trace(self, *, training: bool | None) -> Trace:
        with plain_context():
            fixed = find_image_axes(self._example, self._batch_dim) - self._opened
            trace = trace_network(
                self.net,
                self._example,
                training=training,
                batch_dim=self._batch_dim,
                fixed=fixed,
                strict=self._strict,
            )
            return trace if self._carried is None else let_carry(trace, self.net, self._example, self._carried)

    def _check_groups(self) -> None:
        for group in self._groups:
            term = self._solver.resolve(Atom(group.key, group.size))
            if term != Atom(group.key, group.size):
                raise GroupError(
                    f"group {group.name} must have free units in every mode, but in training mode it is tied down "
                    f"({getattr(term, 'reason', 'to another group')}); let training and evaluation use its units alike"
                )


def _find_unread(trace: Trace, axes: StateAxes) -> set[str]:
    """Return the names of the parameters that nothing in a trace reads, by any of their names."""
    parameters = {entry.placeholder: entry.target for entry in trace.state if not entry.is_held}
    unread = {parameters[node.name] for node in trace.graph.nodes if node.name in parameters and not node.users}
    read = set(parameters.values()) - unread
    return {name for name in unread if read.isdisjoint(axes.names(name))}


def _differ(given: Any, traced: Any, axis: int) -> bool:
    """Whether two tensors of as many axes have different sizes along one."""
    both = isinstance(given, Tensor) and isinstance(traced, Tensor)
    return both and given.dim() == traced.dim() and given.shape[axis] != traced.shape[axis]
