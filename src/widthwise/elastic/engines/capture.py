"""What one call of a network shows of a part of it: the part's own inputs, and which of its tensors are used elsewhere.

The network is run on its example in evaluation mode, as it is, with hooks on the part and an eye on every operator.
What the example does not show (a branch that it does not take) is not seen.
"""

import difflib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from widthwise._shared import TraceError
from widthwise.graph import Example
from widthwise.graph.export import check_runs, enlarge_batch
from widthwise.graph.samples import find_samples, undisturbed
from widthwise.graph.trace import in_mode
from widthwise.slicing.context import plain_context

__all__ = ["Capture", "capture_part", "find_part", "record_calls"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Capture:
    """What a call of a network on its example shows of a part of it.

    Attributes:
        calls: The inputs of the part, one entry per call.
        batch_dim: The axis of the part's first input that holds samples.
        batch_axes: The batch axis of each input leaf of the network; all None where its inputs are no batches.
        shared: The part's parameters and buffers that are used outside of it too, by their names in the part.
        num_samples: The samples of the network in that call.
        num_inner: The samples that the part took in all of its calls.
        rest_macs: The multiply-accumulates outside of the part.
    """

    calls: tuple[Example, ...]
    batch_dim: int
    batch_axes: tuple[int | None, ...]
    shared: tuple[str, ...]
    num_samples: int
    num_inner: int
    rest_macs: int


def find_part(net: nn.Module, path: str) -> nn.Module:
    """Return the submodule of that name.

    Raises:
        TraceError: There is none; the message names some that there are.
    """
    modules = {name: module for name, module in net.named_modules(remove_duplicate=False) if name}
    if path in modules:
        return modules[path]
    near = difflib.get_close_matches(path, modules, n=3, cutoff=0.5) or [name for name, _ in net.named_children()][:8]
    raise TraceError(
        f"submodule must name a module inside of {type(net).__name__}, got {path!r}; "
        f"did you mean {', '.join(map(repr, near)) or 'another network'}?"
    )


def capture_part(net: nn.Module, path: str, example: Example, batch_dim: int = 0) -> Capture:
    """Run a network once, and once on a larger batch, and return what that shows of a part of it.

    Modes, buffers and the global generators are left as they were.

    Args:
        net: The network.
        path: The name of the part.
        example: Inputs of one call of the network.
        batch_dim: The batch axis of the network's first input; of the part's, where the former is a list.

    Raises:
        TraceError: The network does not run, does not call the part, or gives it no batch.
    """
    part = find_part(net, path)
    names = _names_by_memory(part)
    with plain_context(), torch.no_grad(), in_mode(net, training=False), undisturbed(net):
        try:
            calls, used, rest_flops = _run(net, part, example, names)
        except Exception:
            check_runs(net, example)
            raise
        if not calls:
            raise TraceError(
                f"{type(net).__name__} must call {path} on example_inputs, got no call of it; name a module that is "
                f"called as a function (self.{path}(...)), or give an example that reaches it"
            )
        axis, batch_axes = _find_batch(net, part, path, example, calls[0], batch_dim)
    tied = {name for tensor in _outer_tensors(net, part) for name in names.get(_memory_of(tensor), ())}
    inner = [_first_tensor(call).shape[axis] for call in calls]
    outer = [leaf.shape[i] for leaf, i in zip(example.leaves(), batch_axes, strict=True) if i is not None]
    return Capture(
        calls=tuple(calls),
        batch_dim=axis,
        batch_axes=batch_axes,
        shared=tuple(sorted(tied | used)),
        num_samples=[*outer, inner[0]][0],
        num_inner=sum(inner),
        rest_macs=rest_flops // 2,
    )


def record_calls(net: nn.Module, part: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Example]:
    """Run a network until it ends or fails, and return the inputs of each call of a part of it."""
    watch = _Watch(part, {})
    with torch.no_grad(), undisturbed(net), watch.listening():
        try:
            net(*args, **kwargs)
        except Exception:  # noqa: BLE001 the caller has this failure, and asks for what came before it
            return watch.calls
    return watch.calls


def _run(
    net: nn.Module, part: nn.Module, example: Example, names: Mapping[object, Collection[str]]
) -> tuple[list[Example], set[str], int]:
    """Return the inputs of each call of the part, its tensors that are used outside, and the operations outside."""
    with FlopCounterMode(display=False) as counter:
        watch = _Watch(part, names, counter)
        with watch.listening(), watch:
            net(*example.args, **example.kwargs)
    return watch.calls, watch.used, counter.get_total_flops() - watch.inner_flops


class _Watch(TorchDispatchMode):
    """Sees each call of a part of a network, and each operator that reads a tensor of it while it does not run."""

    def __init__(
        self, part: nn.Module, names: Mapping[object, Collection[str]], counter: FlopCounterMode | None = None
    ) -> None:
        super().__init__()
        self.calls: list[Example] = []
        self.used: set[str] = set()
        self.inner_flops = 0
        self._part = part
        self._names = names
        self._counter = counter
        self._depth = 0

    def listening(self) -> "_Hooks":
        """Return a context in which the calls of the part are seen."""
        return _Hooks(self._part, self._enter, self._leave)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator and note what it reads of the part."""
        if not self._depth:
            for leaf in pytree.tree_leaves((args, kwargs or {})):
                if isinstance(leaf, Tensor):
                    self.used.update(self._names.get(_memory_of(leaf), ()))
        return func(*args, **(kwargs or {}))

    def _enter(self, _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if not self._depth:
            args_copy, kwargs_copy = pytree.tree_map_only(Tensor, torch.clone, (args, kwargs))
            self.calls.append(Example(args=args_copy, kwargs=kwargs_copy))
            self.inner_flops -= self._flops()
        self._depth += 1

    def _leave(self, *_: Any) -> None:
        self._depth -= 1
        if not self._depth:
            self.inner_flops += self._flops()

    def _flops(self) -> int:
        return 0 if self._counter is None else self._counter.get_total_flops()


class _Hooks:
    """Hooks around the forward of a module, inside of all others, that are gone afterwards."""

    def __init__(self, module: nn.Module, before: Any, after: Any) -> None:
        self._module, self._before, self._after = module, before, after

    def __enter__(self) -> None:
        self._handles = (
            self._module.register_forward_pre_hook(self._before, with_kwargs=True),
            self._module.register_forward_hook(self._after, prepend=True, always_call=True),
        )

    def __exit__(self, *_: object) -> None:
        for handle in self._handles:
            handle.remove()


def _find_batch(
    net: nn.Module, part: nn.Module, path: str, example: Example, call: Example, batch_dim: int
) -> tuple[int, tuple[int | None, ...]]:
    """Return the batch axis of the part's first input and those of all inputs of the network, by a larger batch."""
    leaves = example.leaves()
    unknown = batch_dim, (None,) * len(leaves)
    if _begins_with_list(example):
        return unknown
    larger = enlarge_batch(example, batch_dim, 2)
    try:
        calls, _, _ = _run(net, part, larger, {})
    except Exception:  # noqa: BLE001 a network may take one batch size alone
        return unknown
    first = next(i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor) and leaf.dim() > batch_dim)
    told = find_samples(net, enlarge_batch(example, batch_dim, 1), batch_dim)
    batch_axes = tuple(batch_dim if i == first or told.get(i, False) is not False else None for i in range(len(leaves)))
    times = larger.leaves()[first].shape[batch_dim] // leaves[first].shape[batch_dim]
    one = _first_tensor(call).shape
    other = _first_tensor(calls[0]).shape if calls else ()
    grown = [axis for axis, size in enumerate(one) if len(other) == len(one) and other[axis] == times * size > 0]
    if len(grown) == 1:
        return grown[0], batch_axes
    if len(one) > batch_dim and one[batch_dim] == 1:
        # The network hands it one sample after the other.
        return batch_dim, batch_axes
    raise TraceError(
        f"the first tensor that {path} takes must hold the samples of the network along one axis, got the shape "
        f"{tuple(one)}, and {tuple(other)} for {times} times as many; give it a batch, as in self.{path}(x[None])"
    )


def _begins_with_list(example: Example) -> bool:
    """Whether the first input with tensors is a list of them, such as images of many sizes."""
    values = [*example.args, *example.kwargs.values()]
    first = next((value for value in values if any(isinstance(x, Tensor) for x in pytree.tree_leaves(value))), None)
    return first is None or isinstance(first, list)


def _first_tensor(call: Example) -> Tensor:
    """Return the first tensor with an axis; an empty one where there is none."""
    tensors: Sequence[Tensor] = [leaf for leaf in call.leaves() if isinstance(leaf, Tensor) and leaf.dim()]
    return tensors[0] if tensors else torch.empty(0)


def _names_by_memory(part: nn.Module) -> dict[object, list[str]]:
    names: dict[object, list[str]] = {}
    for tensors in (part.named_parameters(remove_duplicate=False), part.named_buffers(remove_duplicate=False)):
        for name, tensor in tensors:
            names.setdefault(_memory_of(tensor), []).append(name)
    return names


def _outer_tensors(net: nn.Module, part: nn.Module) -> Iterator[Tensor]:
    """Yield the parameters and buffers that are held outside of a part, also where the part holds them too."""
    seen, found = {id(part)}, [net]
    while found:
        module = found.pop()
        if id(module) not in seen:
            seen.add(id(module))
            yield from (*module.parameters(recurse=False), *module.buffers(recurse=False))
            found += module.children()


def _memory_of(tensor: Tensor) -> object:
    if tensor.is_meta or tensor.numel() == 0:
        return id(tensor)
    return tensor.untyped_storage().data_ptr()
