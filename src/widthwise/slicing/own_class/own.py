"""The small network as an instance of the network's own class.

It is a deep copy whose parameters are replaced by the sliced ones, and whose attributes are set to match. Code with
literal sizes in it would not compute what the graph computes, so each setting is tried until one does.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from widthwise.graph import state_tensor
from widthwise.slicing.own_class.attributes import flatten_weights, set_sizes
from widthwise.slicing.own_class.config import describe_by_config, is_config
from widthwise.slicing.own_class.numbers import AS_IT_WAS, Remembered, find_numbers, settings
from widthwise.slicing.own_class.vocabulary import Vocabulary
from widthwise.slicing.running.norms import strip_norms
from widthwise.slicing.running.program import Kept, Program

__all__ = ["OwnClass", "build_own_class"]

OwnClass = tuple[nn.Module, str]
# Layers of PyTorch whose numbers their parameters do not tell.
_SEARCHED = (nn.LayerNorm, nn.RMSNorm, nn.Unflatten, nn.Transformer)
_PLAIN = (str, bytes, int, float, complex, type(None), list, tuple, set, frozenset)


def build_own_class(
    net: nn.Module,
    program: Program,
    kept: Kept,
    state: Mapping[str, Tensor],
    agrees: Callable[[nn.Module], bool],
    divided: Sequence[str] = (),
) -> OwnClass | None:
    """Return a copy of a network whose parameters are the sliced ones and whose attributes say their new sizes.

    Parameters that the trace did not reach are copied whole.

    Args:
        net: The full network.
        program: It, traced in evaluation mode.
        kept: The kept set of each atom.
        state: The sliced tensors by name.
        agrees: Whether a small network computes what it should.
        divided: The weights that are divided by their spectral norm already.

    Returns:
        The copy, and what its config cannot say of it ("" where it has none, or can say all); None where the network
        cannot be copied, or no setting of its attributes agrees.
    """
    small = _copy(net, program, state, divided)
    if small is None:
        return None
    resized = program.module_sizes(kept)
    searched = [
        (path, module)
        for path, module in small.named_modules()
        if not set_sizes(module, resized.get(path, [])) and _is_searched(module)
    ]
    flatten_weights(small)
    vocabulary = Vocabulary(net, program, kept)
    fault = describe_by_config(small, vocabulary, agrees)
    if fault == "":
        return small, ""
    for configs in (False, True) if fault else (False,):
        numbers = list(_find_all(searched, vocabulary, configs=configs))
        for apply in settings(numbers):
            apply()
            if agrees(small):
                return small, fault or ""
        for number in numbers:
            number.choose(AS_IT_WAS)
    return None


def _copy(net: nn.Module, program: Program, state: Mapping[str, Tensor], divided: Sequence[str]) -> nn.Module | None:
    constants = program.trace.constants
    memo: dict[int, Any] = {
        # A constant that a module holds is the very tensor that was traced.
        id(constants[entry.target] if entry.is_constant else state_tensor(net, entry.target)): state[entry.target]
        for entry in program.state
        if not entry.is_constant or entry.target in constants
    }
    try:
        small = copy.deepcopy(net, memo).eval()
        return small if strip_norms(small, program.trace, divided) else None
    except (TypeError, ValueError, RuntimeError, AttributeError):
        return None


def _is_searched(module: nn.Module) -> bool:
    return isinstance(module, _SEARCHED) or not type(module).__module__.startswith("torch.nn")


def _find_all(modules: list[tuple[str, nn.Module]], vocabulary: Vocabulary, *, configs: bool) -> Iterator[Remembered]:
    """Yield the numbers of modules and of the plain objects that they hold, as the first holder sees them."""
    held: set[int] = set()
    for path, module in modules:
        yield from find_numbers(module, vocabulary, path)
        for name, value in vars(module).items():
            if name.startswith("_") or isinstance(value, _PLAIN) or id(value) in held:
                continue
            if _is_plain_object(value) and (configs or not is_config(value)):
                held.add(id(value))
                yield from find_numbers(value, vocabulary, path)


def _is_plain_object(value: Any) -> bool:
    """Whether something is a dict of settings or an object with attributes, of nobody's library."""
    if isinstance(value, dict):
        return all(isinstance(name, str) for name in value)
    return hasattr(value, "__dict__") and not callable(value) and not type(value).__module__.startswith("torch")
