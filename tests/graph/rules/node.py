"""One operator under its rule: every axis starts as an atom, and what is left of them is tried out.

The checks here are written apart from those of the package: the operator runs on cut inputs, with the arguments that
its rule rewrites, and is compared with the cut of what it gives on full ones (restriction, and the shapes with it), and
on shuffled inputs (order).
"""

import random
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

from widthwise.graph import (
    Atom,
    Axes,
    Call,
    Frozen,
    KeptSet,
    Outcome,
    Solver,
    Term,
    arguments_by_name,
    atoms_of,
    count,
    indices,
)
from widthwise.graph.rules import find_rule

Classes = str
"""L: on cut inputs it gives the cut; Z: once dropped units are zero; C: it counts or compares what is there."""


class Node:
    """An operator call with its rule applied until that teaches nothing new.

    Attributes:
        solver: What the rule has learnt.
        outcome: What it says in the end.
        values: The tensors that the operator returns on full inputs.
    """

    def __init__(
        self, target: Any, *args: Any, ties: Mapping[tuple[int, int], Term] | None = None, **kwargs: Any
    ) -> None:
        self.solver = Solver()
        self._inputs: dict[fx.Node, Tensor] = {}
        graph = fx.Graph()

        def hold(value: Any) -> Any:
            if isinstance(value, Tensor):
                node = graph.placeholder(f"x{len(self._inputs)}")
                node.meta["val"] = value
                self._inputs[node] = value
                return node
            return type(value)(hold(each) for each in value) if isinstance(value, list | tuple) else value

        self._node = graph.call_function(
            target, tuple(hold(arg) for arg in args), {name: hold(value) for name, value in kwargs.items()}
        )
        self._node.meta["val"] = target(*args, **kwargs)
        self.values = _tensors(self._node.meta["val"])
        self._axes: dict[fx.Node, tuple[Axes, ...]] = {
            node: (tuple((ties or {}).get((i, axis)) or self.solver.fresh(size) for axis, size in enumerate(x.shape)),)
            for i, (node, x) in enumerate(self._inputs.items())
        }
        rule = find_rule(target)
        assert rule is not None, f"{target} has no rule"
        self._apply(rule)

    def _apply(self, rule: Callable[[Call], Outcome]) -> None:
        before = -1
        while before != self.solver.num_bindings:
            before = self.solver.num_bindings
            self.outcome = rule(Call(self._node, self.solver, self._axes))
        for axes, value in zip(self.outputs, self.values, strict=True):
            assert tuple(count(term, {}) for term in axes) == tuple(value.shape), "axes are not those of the output"

    @property
    def inputs(self) -> list[Axes]:
        """The axes of each tensor input, in the order of the call."""
        return [self._resolve(axes[0]) for axes in self._axes.values()]

    @property
    def outputs(self) -> list[Axes]:
        """The axes of each tensor output."""
        return [self._resolve(axes) for axes in self.outcome.outputs]

    @property
    def atoms(self) -> dict[int, Atom]:
        """The atoms that are left, by key."""
        every = [*self.inputs, *self.outputs]
        return {atom.key: atom for axes in every for term in axes for atom in atoms_of(term)}

    def reason(self, tensor: int, axis: int) -> str:
        """Why an axis of an input is frozen."""
        term = self.inputs[tensor][axis]
        assert isinstance(term, Frozen), f"axis {axis} of input {tensor} is {term}"
        return term.reason

    def check(self, *, seed: int = 0, is_random: bool = False) -> Classes:
        """Try the operator on cut and on shuffled inputs; returns the class that it needs.

        Raises:
            AssertionError: It does something else than its axes say.
        """
        drawn = random.Random(seed)
        found = "L"
        kepts: list[dict[int, KeptSet]] = [
            {key: drawn.randint(1, atom.size) for key, atom in self.atoms.items()} for _ in range(3)
        ]
        for kept in [*kepts, *({key: 1} for key in self.atoms)]:
            found = max(found, self._restrict(kept, is_random=is_random), key="LZC".index)
        if not is_random:
            generator = torch.Generator().manual_seed(seed)
            self._shuffle({key: torch.randperm(atom.size, generator=generator) for key, atom in self.atoms.items()})
        return found

    def run_cut(self, kept: Mapping[int, KeptSet]) -> list[Tensor]:
        """Run the operator with its rewritten arguments on cut inputs."""
        cut = fx.map_arg(arguments_by_name(self._node), lambda node: self._cut_input(node, kept))
        named: dict[str, Any] = dict(cut)
        if any(True for term in self._sizes() for _ in atoms_of(term)):
            named.update({name: self._count(size, named.get(name), kept) for name, size in self.outcome.sizes.items()})
        named.update(self.outcome.written)
        target = self.outcome.target or self._node.target
        names = {argument.name for argument in target._schema.arguments}
        return _tensors(target(**{name: value for name, value in named.items() if name in names}))

    def cut_outputs(self, kept: Mapping[int, KeptSet], values: list[Tensor] | None = None) -> list[Tensor]:
        """Return the cut of what the operator gives."""
        return [_cut(value, axes, kept) for value, axes in zip(values or self.values, self.outputs, strict=True)]

    def _restrict(self, kept: Mapping[int, KeptSet], *, is_random: bool) -> Classes:
        got, expected = self.run_cut(kept), self.cut_outputs(kept)
        assert [tuple(each.shape) for each in got] == [tuple(each.shape) for each in expected], f"shapes at {kept}"
        if is_random or _same(got, expected):
            return "L"
        zeroed = fx.map_arg((self._node.args, self._node.kwargs), lambda node: self._zero_dropped(node, kept))
        target: Any = self._node.target
        args, kwargs = zeroed
        return "Z" if _same(got, self.cut_outputs(kept, _tensors(target(*args, **kwargs)))) else "C"

    def _shuffle(self, shuffles: Mapping[int, Tensor]) -> None:
        args, kwargs = fx.map_arg((self._node.args, self._node.kwargs), lambda node: self._cut_input(node, shuffles))
        target: Any = self._node.target
        got = _tensors(target(*args, **kwargs))
        assert _same(got, self.cut_outputs(shuffles)), "depends on the order of units"

    def _cut_input(self, node: fx.Node, kept: Mapping[int, KeptSet]) -> Tensor:
        return _cut(self._inputs[node], self._resolve(self._axes[node][0]), kept)

    def _zero_dropped(self, node: fx.Node, kept: Mapping[int, KeptSet]) -> Tensor:
        x, axes = self._inputs[node], self._resolve(self._axes[node][0])
        mask = torch.ones_like(x)
        for axis, term in enumerate(axes):
            row = torch.zeros(x.shape[axis], dtype=x.dtype).index_fill(0, indices(term, kept), 1)
            mask = mask * row.reshape([-1 if i == axis else 1 for i in range(x.dim())])
        return x * mask

    def _count(self, size: Any, traced: Any, kept: Mapping[int, KeptSet]) -> Any:
        if isinstance(size, tuple):
            entries = traced if isinstance(traced, list | tuple) else [None] * len(size)
            return [self._count(term, entry, kept) for term, entry in zip(size, entries, strict=True)]
        return traced if size is None else count(self.solver.resolve(size), kept)

    def _sizes(self) -> list[Term]:
        flat = [each if isinstance(each, tuple) else (each,) for each in self.outcome.sizes.values()]
        return [self.solver.resolve(term) for each in flat for term in each if term is not None]

    def _resolve(self, axes: Axes) -> Axes:
        return tuple(self.solver.resolve(term) for term in axes)


def randn(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in float64."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)), dtype=torch.float64)


def _tensors(value: Any) -> list[Tensor]:
    return [value] if isinstance(value, Tensor) else list(value)


def _cut(value: Tensor, axes: Axes, kept: Mapping[int, KeptSet]) -> Tensor:
    for axis, term in enumerate(axes):
        value = value.index_select(axis, indices(term, kept))
    return value


def _same(left: list[Tensor], right: list[Tensor]) -> bool:
    return len(left) == len(right) and all(
        one.shape == other.shape and torch.allclose(_widen(one), _widen(other), rtol=1e-9, atol=1e-9, equal_nan=True)
        for one, other in zip(left, right, strict=True)
    )


def _widen(value: Tensor) -> Tensor:
    return value.to(torch.complex128 if value.is_complex() else torch.float64)
