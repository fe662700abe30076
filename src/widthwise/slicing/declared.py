"""A network at kept sets that a person declared: its own code runs on smaller tensors.

Nothing is traced. For the time of a call, each parameter and buffer of a group is replaced by its kept part (a view
where it is a prefix, so that gradients land in the full tensor), and the numbers that modules remember are set to
match; afterwards everything is as it was. A copy to take home is made in the same way.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd as Convolution  # pyright: ignore[reportPrivateUsage]

from widthwise._shared import WidthError
from widthwise.graph import Axes, count, state_tensor
from widthwise.groups import DeclaredGroups
from widthwise.slicing.own_class.attributes import flatten_weights, set_sizes
from widthwise.slicing.running.cut import Layout, cut, format_of
from widthwise.slicing.running.program import Kept, Resized

__all__ = ["DeclaredNetwork"]


@final
class DeclaredNetwork:
    """Runs and copies a network at kept sets. A call is not safe against others in other threads.

    Args:
        net: The network itself.
        declared: Its groups.
    """

    def __init__(self, net: nn.Module, declared: DeclaredGroups) -> None:
        self.net = net
        self._declared = declared
        # One name per tensor, however many it has.
        self._targets = list({id(state_tensor(net, name)): name for name in declared.axes}.values())
        self._layout = Layout([declared.axes[target] for target in self._targets])

    def cut_together(self, kepts: Sequence[Kept]) -> list[list[Tensor]]:
        """Return the kept parts of all tensors for each kept set, with one common backward per tensor."""
        return self._layout.cut_together(self._state(), kepts)

    def tensors(self) -> list[tuple[Tensor, Axes]]:
        """Return every tensor of a group, once, with what its axes are made of."""
        axes = (self._declared.axes[target] for target in self._targets)
        return list(zip(self._state(), axes, strict=True))

    def run(
        self, kept: Kept, parts: Sequence[Tensor], args: tuple[Any, ...], kwargs: dict[str, Any], *, updates: bool
    ) -> Any:
        """Call the network at a kept set.

        Args:
            kept: The kept set of each group.
            parts: The kept parts of its tensors, from `cut_together`.
            args: Positional inputs.
            kwargs: Keyword inputs.
            updates: Whether what it writes to its buffers stays.

        Raises:
            WidthError: A buffer is to be updated that is cut at scattered units.
        """
        places = {id(tensor): index for index, tensor in enumerate(self._state())}
        slots = list(_list_slots(self.net))
        before = [(module, dict(vars(module))) for module in self._touched()]
        try:
            for slot, name, tensor, is_buffer in slots:
                part = parts[places[id(tensor)]] if id(tensor) in places else tensor
                # Autograd keeps what a norm read, and an update must not change that.
                slot[name] = part.clone() if is_buffer else part
            self._set_numbers(self.net, kept)
            outputs = self.net(*args, **kwargs)
            for slot, name, tensor, is_buffer in slots:
                if is_buffer and updates:
                    self._write_back(slot[name], tensor, places.get(id(tensor)), kept)
        finally:
            for slot, name, tensor, _ in slots:
                slot[name] = tensor
            for module, attributes in before:
                vars(module).update(attributes)
        return outputs

    def copy(self, kept: Kept) -> nn.Module:
        """Return a copy of the network at a kept set, in evaluation mode; it shares no storage with this one."""
        parts = [part.detach().clone() for part in self._layout.cut(self._state(), kept)]
        formats = [format_of(tensor) for tensor in self._state()]
        small = self._copy_with([part.contiguous(memory_format=f) for part, f in zip(parts, formats, strict=True)])
        self._set_numbers(small, kept)
        flatten_weights(small)
        return small

    def permute(self, orders: Mapping[int, Tensor]) -> nn.Module:
        """Return a copy of the network, in evaluation mode, with units in another order.

        Args:
            orders: Where each unit of a group comes from, by group.
        """
        axes = self._declared.axes
        state = zip(self._state(), self._targets, strict=True)
        return self._copy_with(
            [cut(tensor.detach(), axes[target], orders).clone() for tensor, target in state]
        ).double()

    def _copy_with(self, tensors: Sequence[Tensor]) -> nn.Module:
        memo: dict[int, Any] = {
            id(source): nn.Parameter(fresh, requires_grad=source.requires_grad)
            if isinstance(source, nn.Parameter)
            else fresh
            for source, fresh in zip(self._state(), tensors, strict=True)
        }
        return copy.deepcopy(self.net, memo).eval()

    def _state(self) -> list[Tensor]:
        return [state_tensor(self.net, target) for target in self._targets]

    def _touched(self) -> set[nn.Module]:
        """Return the modules that own a tensor or remember a number of a group."""
        paths = {name.rpartition(".")[0] for name in self._declared.axes}
        return {self.net.get_submodule(path) for path in paths | {number.module for number in self._declared.numbers}}

    def _set_numbers(self, net: nn.Module, kept: Kept) -> None:
        """Let modules of the network, or of a copy, remember the sizes of a kept set; their tensors have them."""
        numbers = [(number, tuple(count(term, kept) for term in number.terms)) for number in self._declared.numbers]
        resized: dict[str, list[Resized]] = {}
        for number, values in numbers:
            if number.name in ("groups", "num_groups"):
                full = Resized(argument=number.name, full=0, kept=values[0])
                resized.setdefault(number.module, []).append(full)
        for path in dict.fromkeys(name.rpartition(".")[0] for name in self._declared.axes):
            module = net.get_submodule(path)
            set_sizes(module, resized.get(path, _find_depthwise(module)))
            if isinstance(module, nn.RNNBase):
                names: list[str] = module._flat_weights_names  # pyright: ignore[reportPrivateUsage]
                vars(module)["_flat_weights"] = [getattr(module, name) for name in names]
        for number, values in numbers:
            value = values if isinstance(number.full, tuple) else values[0]
            vars(net.get_submodule(number.module))[number.name] = value

    @torch.no_grad()
    def _write_back(self, value: Tensor, buffer: Tensor, index: int | None, kept: Kept) -> None:
        if index is None:
            buffer.copy_(value)
            return
        target = self._targets[index]
        if not self._layout.is_prefix(index, kept):
            raise WidthError(
                f"buffer {target} can be updated at prefixes only, got scattered units; run it in evaluation mode"
            )
        cut(buffer, self._declared.axes[target], kept).copy_(value)


Slot = tuple[dict[str, Any], str, Tensor, bool]


def _list_slots(net: nn.Module) -> Iterator[Slot]:
    """Yield where modules hold each parameter and buffer, and whether it is a buffer."""
    for module in net.modules():
        for is_buffer, slots in ((False, vars(module)["_parameters"]), (True, vars(module)["_buffers"])):
            for name, tensor in slots.items():
                if tensor is not None:
                    yield slots, name, tensor, is_buffer


def _find_depthwise(module: nn.Module) -> list[Resized]:
    """Return the number of groups of a convolution in which each channel is one."""
    if not isinstance(module, Convolution) or not module.groups == module.in_channels == module.out_channels:
        return []
    return [Resized(argument="groups", full=module.groups, kept=len(module.weight))]
