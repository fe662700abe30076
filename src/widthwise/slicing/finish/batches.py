"""Turn what a data loader yields into the inputs of a network."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from widthwise._shared import DataError
from widthwise.graph import Example

__all__ = ["batch_inputs", "take_samples"]


def batch_inputs(batch: Any, example: Example) -> Example:
    """Return the inputs of one batch: its first entries, as many as the network takes, or its entries by their names.

    Args:
        batch: A tensor, a tuple or list whose further entries (labels) are left out, or a dict whose further entries
            are left out.
        example: What a call of the network looks like.

    Raises:
        DataError: The batch does not hold as many inputs.
    """
    if isinstance(batch, Mapping):
        return _named_inputs(batch, example)
    entries = tuple(batch) if isinstance(batch, list | tuple) else (batch,)
    if entries and _holds_inputs(entries[0], example):
        return batch_inputs(entries[0], example)
    num_inputs = len(example.args) + len(example.kwargs)
    if len(entries) < num_inputs:
        raise DataError(
            f"a batch must hold the {num_inputs} inputs of the network first, got {len(entries)} entries; "
            "let the loader yield (inputs..., labels), or a dict of keyword inputs"
        )
    num_args = len(example.args)
    kwargs = dict(zip(example.kwargs, entries[num_args:], strict=False))
    return Example(args=entries[:num_args], kwargs=kwargs)


def take_samples(
    loader: Iterable[Any], example: Example, *, leaf: int, axis: int, num_samples: int
) -> Iterator[Example]:
    """Yield the inputs of whole batches until at least `num_samples` samples were seen.

    Args:
        loader: Yields batches.
        example: What a call of the network looks like.
        leaf: The index of an input leaf with a batch axis.
        axis: That axis.
        num_samples: How many samples are enough.
    """
    seen = 0
    for batch in loader:
        inputs = batch_inputs(batch, example)
        yield inputs
        seen += inputs.leaves()[leaf].shape[axis]
        if seen >= num_samples:
            return


def _holds_inputs(entry: Any, example: Example) -> bool:
    """Whether the first entry of a batch is a dict or a tuple of all inputs, as in ((x, mask), labels)."""
    if example.kwargs:
        return isinstance(entry, Mapping)
    return len(example.args) > 1 and isinstance(entry, list | tuple) and not isinstance(example.args[0], list | tuple)


def _named_inputs(batch: Mapping[Any, Any], example: Example) -> Example:
    nested = len(example.args) == 1 and not example.kwargs and isinstance(example.args[0], Mapping)
    wanted: Mapping[Any, Any] = example.args[0] if nested else example.kwargs
    missing = [name for name in wanted if name not in batch]
    if missing or (example.args and not nested):
        expected = ", ".join(map(str, wanted)) if wanted else f"{len(example.args)} positional inputs"
        raise DataError(
            f"a batch must hold {expected}, got a dict of {', '.join(map(str, batch)) or 'nothing'}; "
            "let the loader yield tuples, or wrap the network with a dict of keyword inputs as its example"
        )
    chosen = {name: batch[name] for name in wanted}
    return Example(args=(chosen,), kwargs={}) if nested else Example(args=(), kwargs=chosen)
