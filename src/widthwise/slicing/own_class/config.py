"""Networks that are built from a config and saved with it, as those of Hugging Face are.

Such a network is right only if another one, built from its config and given its parameters, computes the same. A
config is searched whose network has parameters of the small shapes; the original config is never written to. Nothing
is imported: a config is what has `to_dict`, and a network that is saved with one has `save_pretrained`.
"""

import copy
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import Any

import torch
from torch import nn

from widthwise.slicing.own_class.numbers import AS_IT_WAS, Remembered, find_numbers, recall, replace_numbers
from widthwise.slicing.own_class.vocabulary import Vocabulary

__all__ = ["Undo", "describe_by_config", "is_config"]

Undo = list[Callable[[], None]]
Misfits = dict[str, str]
# How many networks without storage are built in search of a config.
_MOST_BUILDS = 12
# What a constructor may raise for sizes that do not go together.
_FAILURES = (RuntimeError, ValueError, TypeError, LookupError, AttributeError, AssertionError, ArithmeticError)


def is_config(value: object) -> bool:
    """Return whether something is the config of a network that can be built from it."""
    return callable(getattr(value, "to_dict", None)) and hasattr(value, "__dict__") and not isinstance(value, nn.Module)


def describe_by_config(small: nn.Module, vocabulary: Vocabulary, agrees: Callable[[nn.Module], bool]) -> str | None:
    """Set the config of a small network, and what its modules remember to what follows from it.

    Args:
        small: A copy of a network with parameters of the small shapes; left as it is where no config fits.
        vocabulary: What its modules see.
        agrees: Whether a network computes what it should.

    Returns:
        "" where the network agrees and so does one built from its config; what a config cannot say, where there is
        none such; None where no part of the network is built from a config.
    """
    saved = [(path, module) for path, module in small.named_modules() if _is_saved(module)]
    tops = [(path, module) for path, module in saved if not any(_is_inside(path, other) for other, _ in saved)]
    if not tops:
        return None
    undo: Undo = []
    fault = next(filter(None, (_fit(module, path, vocabulary, undo) for path, module in tops)), "")
    if not fault and not (agrees(small) and all(_agrees_rebuilt(small, path, agrees) for path, _ in tops)):
        fault = "a network built from it computes something else"
    if fault:
        for each in reversed(undo):
            each()
    return fault


def _is_saved(module: nn.Module) -> bool:
    return callable(getattr(module, "save_pretrained", None)) and is_config(getattr(module, "config", None))


def _is_inside(path: str, other: str) -> bool:
    return path != other and (not other or path.startswith(f"{other}."))


def _fit(module: nn.Module, path: str, vocabulary: Vocabulary, undo: Undo) -> str:
    """Set the numbers of a module to those of a network built from a config that fits; return why none does."""
    config = copy.deepcopy(module.config)
    numbers, more = list(_find_in(config, vocabulary, path)), list(_find_unset(config, vocabulary, path))
    for number in numbers:
        number.choose(0 if number.is_likely else AS_IT_WAS)
    plan, misfits = _build_shapes(module, config)
    for number, choice in islice(_alternatives(numbers, more), _MOST_BUILDS):
        if not misfits:
            break
        restore = number.remember()
        number.choose(choice)
        other, fewer = _build_shapes(module, config)
        if len(fewer) < len(misfits):
            plan, misfits = other, fewer
        else:
            restore()
    if misfits or plan is None:
        return next(f"{name} is {misfit}" for name, misfit in misfits.items())
    _copy_numbers(plan, module, undo)
    return ""


def _alternatives(numbers: list[Remembered], more: list[Remembered]) -> Iterator[tuple[Remembered, int]]:
    for number in numbers:
        yield from ((number, choice) for choice in range(1 if number.is_likely else 0, number.num_choices))
    yield from ((number, 0) for number in more)
    yield from ((number, AS_IT_WAS) for number in numbers if number.is_likely)


def _find_in(config: Any, vocabulary: Vocabulary, path: str) -> Iterator[Remembered]:
    """Yield the numbers of a config and of the configs in it."""
    yield from find_numbers(config, vocabulary, path)
    for value in vars(config).values():
        if is_config(value):
            yield from _find_in(value, vocabulary, path)


def _find_unset(config: Any, vocabulary: Vocabulary, path: str) -> Iterator[Remembered]:
    """Yield numbers that a config may leave to others: the width of a head, and a hidden layer four times as wide."""
    hidden, heads = (getattr(config, name, None) for name in ("hidden_size", "num_attention_heads"))
    if not isinstance(hidden, int) or not isinstance(heads, int):
        return
    unset = [name for name, value in vars(config).items() if value is None]
    values = {name: 4 * hidden for name in unset if any(word in name for word in ("inner", "intermediate", "ffn"))}
    if getattr(config, "head_dim", None) is None and heads:
        values["head_dim"] = hidden // heads
    for name, value in values.items():
        number = recall(config, name, value, vocabulary, path)
        yield number or Remembered(holder=config, name=name, full=value, kept={value: (value,)}, taken={})


def _build_shapes(module: nn.Module, config: Any) -> tuple[nn.Module | None, Misfits]:
    """Return a network like a module, built from a config without storage, and which of its tensors do not fit."""
    plan = _build(module, config, "meta") or _build(module, config, "cpu")
    if plan is None:
        return None, {"its constructor": "not to be called with such a config", **_shapes(module)}
    given, wanted = _shapes(plan), _shapes(module)
    return plan, {
        name: f"{wanted.get(name, 'left out')}, of its config {given.get(name, 'left out')}"
        for name in {**wanted, **given}
        if wanted.get(name) != given.get(name)
    }


def _shapes(module: nn.Module) -> dict[str, str]:
    return {name: str(tuple(tensor.shape)) for name, tensor in module.state_dict().items()}


def _build(module: nn.Module, config: Any, device: str) -> nn.Module | None:
    make: Callable[[Any], nn.Module] = type(module)
    try:
        with torch.random.fork_rng(devices=[]), torch.device(device):
            return make(copy.deepcopy(config)).eval()
    except _FAILURES:
        return None


def _copy_numbers(source: nn.Module, target: nn.Module, undo: Undo) -> None:
    """Let the modules of one network remember the numbers that those of another one do, and so their configs."""
    others = dict(target.named_modules())
    for path, module in source.named_modules():
        if path in others:
            _write(vars(others[path]), vars(module), undo, added=())
            ours, theirs = (getattr(each, "config", None) for each in (module, others[path]))
            if is_config(ours) and is_config(theirs):
                _copy_config(ours, theirs, undo)


def _copy_config(source: Any, target: Any, undo: Undo) -> None:
    _write(vars(target), vars(source), undo, added=(None,))
    for name, value in vars(source).items():
        if is_config(value) and is_config(vars(target).get(name)):
            _copy_config(value, vars(target)[name], undo)


def _write(target: dict[str, Any], source: dict[str, Any], undo: Undo, *, added: Iterable[None]) -> None:
    """Copy whole numbers; also over None and nothing, where None counts as a number that was left out."""
    before = dict(target)
    changed = {
        name: value
        for name, value in source.items()
        if _holds_numbers(value)
        and before.get(name) != value
        and (_holds_numbers(before.get(name)) or before.get(name) in added)
    }
    target.update(changed)

    def restore() -> None:
        for name in changed:
            if name in before:
                target[name] = before[name]
            else:
                del target[name]

    undo.append(restore)


def _holds_numbers(value: Any) -> bool:
    return replace_numbers(value, lambda number: number + 1) != value


def _agrees_rebuilt(small: nn.Module, path: str, agrees: Callable[[nn.Module], bool]) -> bool:
    """Whether a part of a network may be replaced by one that is built from its config and given its parameters."""
    module = small.get_submodule(path)
    rebuilt = _build(module, module.config, "cpu")
    if rebuilt is None:
        return False
    kinds = dict(module.named_buffers())
    for name, buffer in rebuilt.named_buffers():
        buffer.data = buffer.data.to(kinds[name])
    rebuilt.load_state_dict(module.state_dict(keep_vars=True), assign=True)
    if not path:
        return agrees(rebuilt)
    small.set_submodule(path, rebuilt)
    try:
        return agrees(small)
    finally:
        small.set_submodule(path, module)
