"""A copy of a network with another module in the place of one of its parts."""

import copy
from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn

from widthwise._shared import WidthError

__all__ = ["transplant"]

_HOOKS = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks",
    "_forward_pre_hooks_with_kwargs",
)  # fmt: skip


def transplant(net: nn.Module, part: nn.Module, small: nn.Module) -> nn.Module:
    """Return a copy of a network, in evaluation mode, that holds another module wherever the network holds a part.

    What the network holds of the part under other names too (tied parameters, layers) is that of the other module.

    Args:
        net: The network; nothing of it is changed.
        part: A submodule of it.
        small: What takes its place; it is given copies of the hooks of the part.

    Raises:
        WidthError: The network cannot be copied.
    """
    memo: dict[int, Any] = {id(part): small}
    tensors = dict(_named_tensors(small))
    memo.update({id(tensor): tensors[name] for name, tensor in _named_tensors(part) if name in tensors})
    if type(small) is type(part):
        memo.update({id(module): small.get_submodule(name) for name, module in part.named_modules()})
    try:
        for name in _HOOKS:
            setattr(small, name, copy.deepcopy(getattr(part, name), memo))
        return copy.deepcopy(net, memo).eval()
    except (TypeError, ValueError, RuntimeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise WidthError(
            f"{type(net).__name__} must be one that copy.deepcopy can copy, got: {reason}; take out of the network "
            "what cannot be copied, such as results of an earlier call"
        ) from error


def _named_tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)
