"""Where a network is, on which device and in which dtype, and its example inputs there."""

import sys
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import TraceError
from widthwise.graph import Example

__all__ = ["Placement", "check_whole", "find_addresses", "find_placement", "leave_inference", "move_example"]

Placement = tuple[torch.device, torch.dtype] | None


def find_placement(net: nn.Module) -> Placement:
    """Return device and dtype of the first parameter, which tell whether a network was moved."""
    first = next(net.parameters(), None)
    return None if first is None else (first.device, first.dtype)


def move_example(example: Example, before: Placement, after: Placement) -> Example:
    """Return the example on the device and in the dtype that a network was moved to."""
    assert before is not None
    assert after is not None

    def move(leaf: Tensor) -> Tensor:
        return leaf.to(after[0], after[1] if leaf.dtype == before[1] else leaf.dtype)

    return _change(example, move)


def leave_inference(example: Example) -> Example:
    """Return an example that can be traced: tensors made under inference mode are copied."""
    return _change(example, lambda leaf: leaf.clone() if leaf.is_inference() else leaf)


def _change(example: Example, change: Callable[[Tensor], Tensor]) -> Example:
    # It may be under inference mode that a network is wrapped, or first seen elsewhere.
    with torch.inference_mode(mode=False):
        args, kwargs = pytree.tree_map_only(Tensor, change, (example.args, example.kwargs))
    return Example(args=args, kwargs=kwargs)


def check_whole(net: nn.Module, modules: Iterable[nn.Module] | None = None) -> None:
    """Check that this process holds every parameter as a whole, not a shard of it.

    Args:
        net: The network.
        modules: Its modules, where the caller has them: to find them takes longer than to look at what they hold.

    Raises:
        TraceError: Some parameter is sharded over processes.
    """
    # Nothing is sharded where nobody has imported what shards; importing it here would take half a second.
    module = sys.modules.get("torch.distributed.tensor")
    if module is None:
        return
    for holder in net.modules() if modules is None else modules:
        for parameter in vars(holder)["_parameters"].values():
            if isinstance(parameter, module.DTensor):
                name = next(name for name, each in net.named_parameters() if each is parameter)
                raise TraceError(
                    f"expected whole parameters, got {name} sharded over processes; shard the elastic model alone, "
                    "fully_shard(model), no part of it, which gathers them while it is called, and load a gathered "
                    "state dict into a network of one process for all else"
                )


def find_addresses(net: nn.Module) -> list[int]:
    """Return where in memory each parameter and buffer of a network lies; 0 for those on meta."""
    tensors = [*net.parameters(), *net.buffers()]
    return [0 if tensor.is_meta else tensor.untyped_storage().data_ptr() for tensor in tensors]
