"""The loss of one training step: of several widths on the same samples, or of parts of a batch."""

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from widthwise._shared import WidthError
from widthwise.elastic.drawing import Part
from widthwise.elastic.laws.distillation import Distillation
from widthwise.elastic.laws.law import Law

__all__ = ["Criterion", "combine_losses", "loss_of", "refuse_sandwich", "split_batch"]

Criterion = Callable[[Any, Any], Tensor]


def refuse_sandwich(law: Law) -> None:
    """Refuse a plain call in training where each sample runs at several widths: it could give back one of them only.

    Raises:
        WidthError: The law is such a one.
    """
    if law.sandwich is not None:
        raise WidthError(
            f"a law that runs whole batches at several widths (sandwich={law.sandwich}) must train with "
            "model.loss(batch, criterion), got a call of the model; use that, or a law that splits batches"
        )


def split_batch(batch: Any, criterion: Criterion | None) -> tuple[tuple[Any, ...], dict[str, Any], Any]:
    """Return a batch as (args, kwargs, targets).

    Args:
        batch: (inputs, targets) with a criterion; without one the inputs alone, targets among them. Inputs are a
            tensor, a tuple of positional or a dict of keyword inputs.
        criterion: What makes a loss of outputs and targets; None where the network does.

    Raises:
        WidthError: The batch is of another form.
    """
    if criterion is None:
        inputs, targets = batch, None
    elif isinstance(batch, list | tuple) and len(batch) == 2:
        inputs, targets = batch
    else:
        raise WidthError(
            f"expected a batch of (inputs, targets) beside a criterion, got {type(batch).__name__}; pass a pair, or no "
            "criterion where the network returns its loss"
        )
    if isinstance(inputs, Mapping):
        return (), dict(inputs), targets
    return (tuple(inputs) if isinstance(inputs, list | tuple) else (inputs,)), {}, targets


def loss_of(outputs: Any, targets: Any, criterion: Criterion | None) -> Tensor:
    """Return the loss of outputs: by the criterion, or the one that the network returned.

    Raises:
        WidthError: It is no number.
    """
    loss = _find(outputs, "loss", outputs) if criterion is None else criterion(outputs, targets)
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"a tensor of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        who = "criterion" if criterion is not None else "a network without a criterion"
        raise WidthError(f"{who} must give a loss of one number, got {got}; average over the samples")
    return loss.reshape(())


def combine_losses(
    results: list[tuple[Part, Any]], targets: Any, criterion: Criterion | None, distillation: Distillation | None
) -> Tensor:
    """Return the weighted mean of the losses of several widths on the same samples, the first of them full.

    With a distillation the narrower ones learn from the full one's outputs, which are a constant there.

    Raises:
        WidthError: A loss is no number, or the outputs hold no logits to distil.
    """
    (first, full), *_ = results
    total = first.weight * first.num_samples * loss_of(full, targets, criterion)
    for part, outputs in results[1:]:
        if distillation is None:
            loss = loss_of(outputs, targets, criterion)
        else:
            loss = distillation.weight * distillation.soft_loss(_logits_of(outputs), _logits_of(full))
            if distillation.weight < 1:
                loss = loss + (1 - distillation.weight) * loss_of(outputs, targets, criterion)
        total = total + part.weight * part.num_samples * loss
    return total / sum(part.num_samples for part, _ in results)


def _logits_of(outputs: Any) -> Tensor:
    # Of several outputs, such as logits and a state, the logits come first.
    is_named = not isinstance(outputs, tuple) or hasattr(outputs, "logits")
    logits = _find(outputs, "logits", outputs) if is_named else next(iter(outputs), None)
    if isinstance(logits, Tensor) and logits.dim() > 1:
        return logits
    raise WidthError(
        f"distillation must find logits, got outputs of type {type(outputs).__name__}; return a tensor of shape "
        "(..., classes), alone or first of several, or an object with .logits"
    )


def _find(outputs: Any, name: str, default: Any) -> Any:
    """Return a field of outputs in the forms in which networks return several."""
    if isinstance(outputs, Mapping):
        return outputs.get(name, default)
    return default if isinstance(outputs, Tensor) else getattr(outputs, name, default)
