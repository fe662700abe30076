"""Watch the first steps of a training: whether batches are large enough, and everything learns.

What makes the units of a group (the parameters of the module that it is named after) must get gradients; where it never
does, its widths are those of units that nobody trained. Hooks tell, and are gone after a few steps. What a law learns
beside the network must be given to the optimiser: then it changes whenever the network does.
"""

import warnings
from collections.abc import Callable, Iterable
from typing import final

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from widthwise._shared import WidthWarning
from widthwise.groups import Group

__all__ = ["Watch"]

# A branch that is only taken now and then should be taken once in so many steps.
_NUM_BACKWARDS = 5


@final
class Watch:
    """Looks at the first steps of a training, once; copies look anew."""

    def __init__(self) -> None:
        self._has_seen_batch = False
        self._untrained: set[str] | None = None
        self._handles: list[RemovableHandle] = []
        self._num_backwards = 0
        self._has_gradients = False
        self._num_changes = 0
        self._sample: Tensor | None = None
        self._has_seen_optimizer = False

    def look_at_batch(self, num_run: int, num_left_out: int) -> None:
        """Warn where the first batch is too small for all of the widths that are drawn for it.

        Args:
            num_run: How many of them ran.
            num_left_out: How many did not.

        Warns:
            WidthWarning: Some did not.
        """
        # A slow start draws full width alone.
        is_first = not self._has_seen_batch and num_run + num_left_out > 1
        self._has_seen_batch |= is_first
        if is_first and num_left_out:
            warnings.warn(
                f"expected batches with a sample for each of {num_run + num_left_out} chunks (two with batch norm), "
                f"got one that is enough for {num_run}; chance decides which widths run, full width too: give larger "
                f"batches, or Law(chunks={num_run})",
                WidthWarning,
                stacklevel=2,
            )

    def look_at_optimizer(self, net: nn.Module, own: Iterable[Tensor]) -> None:
        """Warn, a few steps into training, where an optimiser changes the network and not what the law learns.

        Args:
            net: The network.
            own: What the law learns beside it.

        Warns:
            WidthWarning: It does not.
        """
        if self._has_seen_optimizer:
            return
        learned = [tensor for tensor in own if tensor.requires_grad]
        self._has_seen_optimizer = not learned or any(bool(tensor.detach().any()) for tensor in learned)
        # Parameters have no mark of a change that all optimisers leave.
        before, self._sample = self._sample, _take_sample(net)
        if before is None or torch.equal(before, self._sample):
            return
        self._num_changes += any(tensor.grad is not None and bool(tensor.grad.any()) for tensor in learned)
        if not self._has_seen_optimizer and self._num_changes >= _NUM_BACKWARDS:
            self._has_seen_optimizer = True
            warnings.warn(
                "expected an optimiser of model.parameters(), got one that leaves out what the law learns for each "
                "octave; build it from those, or take a law with unit_affine=False",
                WidthWarning,
                stacklevel=2,
            )

    def look_at_gradients(self, net: nn.Module, groups: Iterable[Group]) -> None:
        """Warn, a few steps into training, of groups whose units get no gradients.

        Args:
            net: The network.
            groups: Its width groups.

        Warns:
            WidthWarning: There are some, while others get them.
        """
        if not torch.is_grad_enabled() or (self._untrained is not None and not self._handles):
            return
        if self._untrained is None:
            self._untrained = self._watch(dict(net.named_parameters(remove_duplicate=False)), groups)
            return
        self._num_backwards += self._has_gradients
        self._has_gradients = False
        if self._untrained and self._num_backwards < _NUM_BACKWARDS:
            return
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        if self._untrained:
            warnings.warn(
                f"expected gradients for the units of every width group, got none in {_NUM_BACKWARDS} steps for "
                f"{', '.join(sorted(self._untrained))}; let the loss depend on them, or keep them whole with freeze=",
                WidthWarning,
                stacklevel=2,
            )

    def __reduce__(self) -> tuple[type["Watch"], tuple[()]]:
        return Watch, ()

    def _watch(self, parameters: dict[str, nn.Parameter], groups: Iterable[Group]) -> set[str]:
        """Hang hooks on what makes the units of each group; returns the groups that are watched."""
        untrained: set[str] = set()
        for group in groups:
            for parameter in _find_makers(group, parameters):
                untrained.add(group.name)
                self._handles.append(parameter.register_post_accumulate_grad_hook(self._note(group.name)))
        # Everything else that is trained tells that there was a backward.
        self._handles += [
            parameter.register_post_accumulate_grad_hook(self._note(""))
            for parameter in parameters.values()
            if parameter.requires_grad
        ]
        return untrained

    def _note(self, name: str) -> Callable[[Tensor], None]:
        def note(_: Tensor) -> None:
            self._has_gradients = True
            (self._untrained or set()).discard(name)

        return note


def _take_sample(net: nn.Module) -> Tensor:
    """Return an entry of every parameter that is not divided among processes."""
    whole = [p.detach() for p in net.parameters() if p.requires_grad and type(p.detach()) is Tensor]
    return torch.cat([tensor.flatten()[:1].to("cpu", torch.float64) for tensor in whole]) if whole else torch.empty(0)


def _find_makers(group: Group, parameters: dict[str, nn.Parameter]) -> list[nn.Parameter]:
    """Return the parameters that make the units of a group: those of its own module, or all where none are."""
    members = [member.target for member in group.members if member.target in parameters]
    module = group.name.removesuffix(f".{group.kind}")
    # A stream is made by whatever adds to it.
    own = [] if group.kind == "stream" else [target for target in members if target.rpartition(".")[0] == module]
    return [parameters[target] for target in own or members if parameters[target].requires_grad]
