"""Cut the state of a network at kept sets: views for training, copies for taking home.

A prefix is a `narrow`: nothing is copied and gradients land in the full tensor. Other kept sets, and prefixes inside
folded or concatenated axes, are gathered. Several prefixes of one tensor, as stratified training needs them, share one
backward: it fills one gradient of full size instead of padding each prefix with zeros and adding them up.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from widthwise.graph import Atom, Axes, KeptSet, Term, atoms_of, count, indices, is_prefix, size_of

__all__ = ["MOST_HELD", "Layout", "cut", "format_of"]

Kept = Mapping[int, KeptSet]
Shape = tuple[int, ...]
# Along which axis how many positions are kept, or which.
Steps = tuple[tuple[int, int | Tensor], ...]
MOST_HELD = 32
"""For how many kept sets something is held: a server has a few; training that draws any leaves the last ones."""


def format_of(tensor: Tensor) -> torch.memory_format:
    """Return the memory format of a tensor of full size, which a copy of its kept part is to have too."""
    for axes, layout in ((4, torch.channels_last), (5, torch.channels_last_3d)):
        if tensor.dim() == axes and tensor.is_contiguous(memory_format=layout) and not tensor.is_contiguous():
            return layout
    return torch.contiguous_format


def cut(tensor: Tensor, axes: Axes, kept: Kept) -> Tensor:
    """Return the kept part of a tensor, as a view where it is a prefix along every axis. Differentiable.

    Args:
        tensor: Of full size.
        axes: The term of each of its axes.
        kept: The kept set of each atom.
    """
    for axis, term in enumerate(axes):
        if isinstance(term, Atom) and isinstance(units := kept.get(term.key, term.size), int):
            # Nearly every axis; corrections of octaves ask for it once for each parameter at every run.
            if units != term.size:
                tensor = tensor.narrow(axis, 0, units)
        elif not _has_atoms(term):
            continue
        elif is_prefix(term, kept):
            length = count(term, kept)
            if length != size_of(term):
                tensor = tensor.narrow(axis, 0, length)
        else:
            tensor = tensor.index_select(axis, indices(term, kept).to(tensor.device))
    return tensor


class Layout:
    """Which terms the axes of a list of tensors are made of, worked out once, so that a step cuts without a search.

    Args:
        axes: The axes of each tensor.
        owned: For each tensor, whether what reads it hands back a gradient that nothing else holds, as the weight of a
            linear layer gets one. The common backward then adds to it in place of a copy of it.
    """

    def __init__(self, axes: Sequence[Axes], owned: Sequence[bool] = ()) -> None:
        self._axes = tuple(axes)
        self._owned = tuple(owned) or (False,) * len(self._axes)
        self._terms = tuple(dict.fromkeys(term for each in axes for term in each if _has_atoms(term)))
        position = {term: i for i, term in enumerate(self._terms)}
        self._held: dict[tuple[tuple[int, KeptSet], ...], Sequence[Steps]] = {}
        self._sized = [[(axis, position[term]) for axis, term in enumerate(each) if term in position] for each in axes]

    def cut(self, tensors: Sequence[Tensor], kept: Kept) -> list[Tensor]:
        """Return `cut(tensor, axes, kept)` for each tensor."""
        return [_take(tensor, steps) for tensor, steps in zip(tensors, self._find_steps(kept), strict=True)]

    def cut_together(
        self, tensors: Sequence[Tensor], kepts: Sequence[Kept], *, shares_gradients: bool = False
    ) -> list[list[Tensor]]:
        """Return `cut(tensors, kept)` for each kept set, with one common backward per tensor where all are prefixes.

        Args:
            tensors: Of full size.
            kepts: The kept sets.
            shares_gradients: Whether what reads them may hand back one gradient for several of them, as a compiled
                graph does where two are equal; none is owned then.
        """
        if len(kepts) == 1:
            return [self.cut(tensors, kepts[0])]
        measured = [self._measure(kept) for kept in kepts]
        columns = [
            self._cut_column(i, tensor, kepts, measured, owned=self._owned[i] and not shares_gradients)
            if self._sized[i]
            else [tensor] * len(kepts)
            for i, tensor in enumerate(tensors)
        ]
        return [list(row) for row in zip(*columns, strict=True)]

    def is_prefix(self, index: int, kept: Kept) -> bool:
        """Return whether the kept part of the tensor at this index is a view of it."""
        return all(is_prefix(term, kept) for term in self._axes[index])

    def _find_steps(self, kept: Kept) -> Sequence[Steps]:
        """What to do to each tensor, held for the kept sets of few calls: it depends on numbers alone, on no tensor."""
        key = tuple(kept.items())
        if not all(isinstance(units, int) for _, units in key):
            return self._make_steps(kept)
        found = self._held.get(key)
        if found is None:
            found = self._make_steps(kept)
            # What is made inside of a trace is of that trace.
            if all(type(step) in (int, Tensor) for steps in found for _, step in steps):
                while len(self._held) >= MOST_HELD:
                    self._held.pop(next(iter(self._held)), None)
                self._held[key] = found
        return found

    def _make_steps(self, kept: Kept) -> list[Steps]:
        parts: list[int | Tensor | None] = []
        for term in self._terms:
            if is_prefix(term, kept):
                length = count(term, kept)
                parts.append(None if length == size_of(term) else length)
            else:
                # Outside of inference mode, since a later call may be one that learns.
                with torch.inference_mode(mode=False):
                    parts.append(indices(term, kept))
        every = ([(axis, parts[term]) for axis, term in sized] for sized in self._sized)
        # Prefixes first: they cost nothing, and leave less to gather.
        return [
            tuple(
                sorted(
                    ((axis, part) for axis, part in each if part is not None),
                    key=lambda step: isinstance(step[1], Tensor),
                )
            )
            for each in every
        ]

    def _measure(self, kept: Kept) -> list[int | None]:
        """The kept length of each term, None where it is no prefix."""
        return [count(term, kept) if is_prefix(term, kept) else None for term in self._terms]

    def _cut_column(
        self,
        index: int,
        tensor: Tensor,
        kepts: Sequence[Kept],
        measured: Sequence[Sequence[int | None]],
        *,
        owned: bool,
    ) -> Sequence[Tensor]:
        sized = self._sized[index]
        if any(lengths[term] is None for lengths in measured for _, term in sized):
            return [cut(tensor, self._axes[index], kept) for kept in kepts]
        if not (tensor.requires_grad and torch.is_grad_enabled()):
            return [_narrow_axes(tensor, sized, lengths) for lengths in measured]
        return _Prefixes.apply(tensor, [_shape(tensor, sized, lengths) for lengths in measured], owned)


class _Prefixes(torch.autograd.Function):
    """Several prefixes of one tensor; plain form: `tuple(_narrow(tensor, shape) for shape in shapes)`."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, shapes: Sequence[Shape], owned: bool) -> tuple[Tensor, ...]:
        ctx.set_materialize_grads(False)
        ctx.full_shape, ctx.shapes, ctx.owned = tuple(tensor.shape), shapes, owned
        return tuple(_narrow(tensor, shape) for shape in shapes)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None, None]:
        parts = [(shape, grad) for shape, grad in zip(ctx.shapes, grads, strict=True) if grad is not None]
        if not parts:
            return None, None, None
        # A gradient of full size is the start of the sum: there is then nothing to fill with zeros.
        parts.sort(key=lambda part: part[0] != ctx.full_shape)
        first_shape, total = parts[0]
        if first_shape != ctx.full_shape:
            total = _pad(total, ctx.full_shape)
        elif len(parts) > 1 and not ctx.owned:
            total = total.clone()
        for shape, grad in parts[1:]:
            _narrow(total, shape).add_(grad)
        return total, None, None


def _has_atoms(term: Term) -> bool:
    return next(atoms_of(term), None) is not None


def _take(tensor: Tensor, steps: Steps) -> Tensor:
    for axis, kept in steps:
        if isinstance(kept, int):
            tensor = tensor.narrow(axis, 0, kept)
        else:
            tensor = tensor.index_select(axis, kept.to(tensor.device))
    return tensor


def _narrow_axes(tensor: Tensor, sized: Sequence[tuple[int, int]], lengths: Sequence[int | None]) -> Tensor:
    for axis, term in sized:
        length = lengths[term]
        if length is not None and length != tensor.shape[axis]:
            tensor = tensor.narrow(axis, 0, length)
    return tensor


def _shape(tensor: Tensor, sized: Sequence[tuple[int, int]], lengths: Sequence[int | None]) -> Shape:
    shape = list(tensor.shape)
    for axis, term in sized:
        shape[axis] = lengths[term] or 0
    return tuple(shape)


def _narrow(tensor: Tensor, shape: Shape) -> Tensor:
    for axis, length in enumerate(shape):
        if length != tensor.shape[axis]:
            tensor = tensor.narrow(axis, 0, length)
    return tensor


def _pad(grad: Tensor, full_shape: Shape) -> Tensor:
    missing = [
        pad
        for full, length in zip(reversed(full_shape), reversed(grad.shape), strict=True)
        for pad in (0, full - length)
    ]
    return torch.nn.functional.pad(grad, missing)
