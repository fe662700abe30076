"""The spectral norms of a network: worked out of whole weights at each call, and left out of what is taken home."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.spectral_norm import SpectralNorm

from widthwise.graph import Trace

__all__ = ["NormState", "divide_weights", "find_place", "strip_norms"]

_PARAMETRIZED = ".parametrizations."


class NormState:
    """What the prologue of a trace reads and writes of the network.

    Args:
        net: The network.
        trace: It, traced, with a prologue.
    """

    def __init__(self, net: nn.Module, trace: Trace) -> None:
        assert trace.prologue is not None
        self._prologue = trace.prologue
        self._constants = trace.constants
        names = {*trace.prologue.reads, *trace.prologue.writes} - trace.constants.keys()
        self._places = {name: find_place(net, name) for name in names}
        self._updates: Mapping[str, Tensor] = {}

    def work_out(self) -> Mapping[str, Tensor]:
        """Return the norms by name, with a gradient for the whole weights."""
        held = {name: place[0][place[1]] for name, place in self._places.items()}
        numbers, self._updates = self._prologue.run({**self._constants, **held})
        return numbers

    @torch.no_grad()
    def write_back(self) -> None:
        """Store what the buffers became when the norms were last worked out."""
        for name, value in self._updates.items():
            held, key = self._places[name]
            held[key].copy_(value)


def find_place(net: nn.Module, target: str) -> tuple[dict[str, Any], str]:
    """Return the dictionary and key under which a module holds a tensor, so that a replaced parameter is seen."""
    path, _, name = target.rpartition(".")
    held: dict[str, Any] = vars(net.get_submodule(path))
    return (held["_parameters"] if name in held["_parameters"] else held["_buffers"]), name


@torch.no_grad()
def divide_weights(trace: Trace, state: Mapping[str, Tensor]) -> list[str]:
    """Divide weights by their norms, in place, and let these be 1; return the names of the weights."""
    if trace.prologue is None:
        return []
    copies = [id(tensor) for tensor in state.values()]
    numbers = {
        name: weight
        for name, weight in trace.prologue.numbers.items()
        # Under another name a tied weight may be read as it is.
        if weight in trace.prologue.is_alone and copies.count(id(state[weight])) == 1
    }
    for name, weight in numbers.items():
        state[weight].div_(state[name])
        state[name].fill_(1)
    return list(numbers.values())


def strip_norms(net: nn.Module, trace: Trace, divided: Sequence[str]) -> bool:
    """Let the modules of a network hold weights as they are, without a spectral norm of PyTorch's own; in place.

    Args:
        net: A copy of the network.
        trace: The network, traced.
        divided: Its weights that are divided by their norms already.

    Returns:
        Whether no norm is left.
    """
    weights = [] if trace.prologue is None else trace.prologue.numbers.values()
    return all(
        target in divided
        and (_strip_parametrization(net, target) if _PARAMETRIZED in target else _strip_hook(net, target))
        for target in weights
    )


def _strip_parametrization(net: nn.Module, target: str) -> bool:
    """Take away the one parametrization of a module; PyTorch's own removal would change the class of its copies too."""
    path, _, name = target.partition(_PARAMETRIZED)
    module, name = net.get_submodule(path), name.partition(".")[0]
    lists: Any = module.parametrizations
    if len(lists) > 1 or len(lists[name]) > 1:
        return False
    weight = lists[name].original
    del module.parametrizations
    module.__class__ = type(module).__bases__[0]
    module.register_parameter(name, weight)
    return True


def _strip_hook(net: nn.Module, target: str) -> bool:
    """Take away what `torch.nn.utils.spectral_norm` hangs on a module; its own removal would compute a norm again."""
    path, _, name = target.rpartition(".")
    module, name = net.get_submodule(path), name.removesuffix("_orig")

    def is_norm(hook: Callable[..., Any]) -> bool:
        # Hooks of a state dict hold the norm that they are of.
        norm = getattr(hook, "fn", hook)
        return isinstance(norm, SpectralNorm) and norm.name == name

    every = [vars(module)[kind] for kind in ("_forward_pre_hooks", "_state_dict_hooks", "_load_state_dict_pre_hooks")]
    if not any(map(is_norm, every[0].values())):
        return False
    weight = getattr(module, f"{name}_orig")
    for held in ("_orig", "_u", "_v", ""):
        delattr(module, name + held)
    module.register_parameter(name, weight)
    for hooks in every:
        for key in [key for key, hook in hooks.items() if is_norm(getattr(hook, "hook", hook))]:
            del hooks[key]
    return True
