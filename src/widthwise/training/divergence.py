"""What stops a training: a loss or a gradient that is not finite, at which widths, and all put back as it was."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from widthwise._shared import TrainingError
from widthwise.elastic import Elastic, find_nonfinite
from widthwise.elastic.objective import Criterion
from widthwise.elastic.widths import mean_fraction

__all__ = ["describe_widths", "kept_on_error", "measure_gradients"]

_MOST_WIDTHS, _MOST_GROUPS = 3, 4


@contextmanager
def kept_on_error(model: Elastic) -> Generator[None]:
    """Put generator and buffers back, and drop the gradients, where a TrainingError stops a step; weights still are."""
    generator, buffers = model.generator.get_state(), [buffer.clone() for buffer in model.buffers()]
    try:
        yield
    except TrainingError:
        model.generator.set_state(generator)
        with torch.no_grad():
            for buffer, value in zip(model.buffers(), buffers, strict=True):
                buffer.copy_(value)
        model.zero_grad(set_to_none=True)
        raise


def measure_gradients(net: nn.Module, max_norm: float | None) -> Tensor:
    """Return the norm of all gradients together, which are then scaled down to `max_norm` where that is given."""
    if max_norm is not None:
        return nn.utils.clip_grad_norm_(net.parameters(), max_norm)
    return nn.utils.get_total_norm([parameter.grad for parameter in net.parameters() if parameter.grad is not None])


def describe_widths(net: nn.Module, batch: object, criterion: Criterion) -> str:
    """Return at which widths of the last step the batch breaks, as ", at width 0.25 (fc1: 8)"; "" where none is known.

    Args:
        net: An elastic model; of any other network nothing is known.
        batch: Of the last step.
        criterion: Likewise.
    """
    found = find_nonfinite(net, batch, criterion) if isinstance(net, Elastic) else []
    if not isinstance(net, Elastic) or not found:
        return ""
    if len(found) == len(net.last_widths):
        return ", at every width"
    shown = [_name(net, widths) for widths in found[:_MOST_WIDTHS]]
    return f", at width {', '.join(shown)}{', ...' if len(found) > _MOST_WIDTHS else ''}"


def _name(model: Elastic, widths: dict[str, int]) -> str:
    units = [f"{name}: {kept}" for name, kept in widths.items()]
    listed = ", ".join(units[:_MOST_GROUPS]) + (", ..." if len(units) > _MOST_GROUPS else "")
    return f"{mean_fraction(widths, model.groups):.3g} ({listed})"
