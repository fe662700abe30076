"""How far a mean over samples may be from what it would be over all samples there are.

Standard errors take samples to be drawn one by one and independently. The windows of one text are not quite: there the
true error is somewhat larger.
"""

# N samples
import math

from torch import Tensor

__all__ = ["STANDARD_ERRORS", "half_band", "standard_error"]

STANDARD_ERRORS = 1.96
"""How many standard errors to both sides hold 95 % of a normal distribution."""


def standard_error(samples_N: Tensor) -> float | None:
    """Return the standard error of the mean of samples: their standard deviation over sqrt(N); None for one sample.

    Of the differences of two networks on the same samples it is the error of a paired comparison, which is smaller
    than that of either score, since a hard sample is hard for both.

    Example:
        >>> import torch
        >>> f"{standard_error(torch.tensor([0.0, 1.0, 0.0, 1.0])):.4f}"
        '0.2887'
    """
    if len(samples_N) < 2:
        return None
    return float(samples_N.std(unbiased=True)) / math.sqrt(len(samples_N))


def half_band(error: float | None) -> float:
    """Return half the width of a band of 95 % confidence, 0 where the error is not known."""
    return 0.0 if error is None else STANDARD_ERRORS * error
