"""Find the widths at which a training breaks: those whose loss or gradient is not finite."""

from collections.abc import Generator, Iterable
from contextlib import contextmanager

import torch
from torch import Tensor

from widthwise.elastic.elastic import Elastic
from widthwise.elastic.objective import Criterion

__all__ = ["find_nonfinite"]


def find_nonfinite(model: Elastic, batch: object, criterion: Criterion | None = None) -> list[dict[str, int]]:
    """Return the widths of the last training step at which the loss of a batch, or a gradient of it, is not finite.

    To be asked when a loss or a gradient was not: the whole batch runs again at each of these widths, so that a
    training that goes well pays nothing for it. Parameters, their gradients, buffers and random numbers stay as they
    are.

    Args:
        model: Still with the parameters of that step.
        batch: As for `Elastic.loss`; the one of that step.
        criterion: Likewise.

    Raises:
        WidthError: The batch or the loss is of another form.

    Example:
        >>> from torch import nn
        >>> model = Elastic(nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3)), (torch.zeros(2, 8),)).train()
        >>> x, y = torch.randn(16, 8), torch.randint(0, 3, (16,))
        >>> loss = model.loss((x, y), nn.functional.cross_entropy)
        >>> find_nonfinite(model, (x, y), nn.functional.cross_entropy)
        []
    """
    found: list[dict[str, int]] = []
    with _untouched(model):
        for widths in model.last_widths:
            with model.at(widths):
                loss = model.loss(batch, criterion)
            if not _are_finite([loss, *_gradients(model, loss)]):
                found.append(widths)
    return found


def _gradients(model: Elastic, loss: Tensor) -> list[Tensor]:
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    if not loss.requires_grad or not parameters:
        return []
    return [each for each in torch.autograd.grad(loss, parameters, allow_unused=True) if each is not None]


def _are_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


@contextmanager
def _untouched(model: Elastic) -> Generator[None]:
    """Put back what runs in training mode move."""
    before = [buffer.clone() for buffer in model.buffers()]
    devices = sorted({parameter.device.index for parameter in model.parameters() if parameter.is_cuda})
    with torch.random.fork_rng(devices):
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, value in zip(model.buffers(), before, strict=True):
                    buffer.copy_(value)
