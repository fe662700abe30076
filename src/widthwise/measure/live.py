"""The most bytes that the values of one call take at a time, as they are seen while it runs.

Works for any module; what is traced has the same in closed form at every width (`count_peak_bytes`).
"""

import weakref
from collections.abc import Callable, Iterable, Mapping
from typing import Any, final

from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode

from widthwise.measure.mode import evaluating

__all__ = ["watch_peak_bytes"]


def watch_peak_bytes(net: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> int:
    """Return the most bytes of inputs, outputs and values in between at a time, in one call in evaluation mode.

    Counted is what operators return, for as long as anything holds it. Parameters and buffers are left out, and so is
    what an operator needs inside of itself.

    Args:
        net: The network.
        args: Its positional inputs.
        kwargs: Its keyword inputs.

    Example:
        >>> import torch
        >>> net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
        >>> watch_peak_bytes(net, (torch.zeros(1, 3),), {})
        76
    """
    inputs = [leaf for leaf in pytree.tree_leaves((args, dict(kwargs))) if isinstance(leaf, Tensor)]
    watch = _Watch(held=[*net.parameters(), *net.buffers()], inputs=inputs)
    with evaluating(net), watch:
        outputs = net(*args, **kwargs)
    del outputs
    return watch.peak


@final
class _Watch(TorchDispatchMode):
    """Adds up the memory of every tensor that operators return, for as long as it lives."""

    def __init__(self, *, held: Iterable[Tensor], inputs: Iterable[Tensor]) -> None:
        super().__init__()
        self.peak = 0
        self._live = 0
        self._known: dict[int, weakref.ref[Any]] = {}
        for tensor in held:
            self._add(tensor, counts=False)
        for tensor in inputs:
            self._add(tensor)

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> object:
        """Run an operator and look at what it returns."""
        outputs = func(*args, **(kwargs or {}))
        for leaf in pytree.tree_leaves(outputs):
            if isinstance(leaf, Tensor):
                self._add(leaf)
        return outputs

    def _add(self, tensor: Tensor, *, counts: bool = True) -> None:
        storage = tensor.untyped_storage()
        # By the storage object: empty tensors, and those of the meta device, all have address 0.
        key, size = StorageWeakRef(storage).cdata, storage.nbytes() if counts else 0
        if key in self._known:
            return
        self._live += size
        self.peak = max(self.peak, self._live)

        def forget(_: object) -> None:
            self._live -= size
            del self._known[key]

        self._known[key] = weakref.ref(storage, forget)
