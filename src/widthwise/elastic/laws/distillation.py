"""In-place distillation: narrower networks learn from what the full one says of the same samples.

[Yu & Huang 2019, arXiv 1903.05134, section 3.3] take the soft cross-entropy to the full network's outputs;
[Wang et al. 2021, arXiv 2102.07954] an alpha-divergence that adapts and is clipped, so that a narrow network is
punished both for what it misses and for what it invents.
"""

# B batch, C classes
from dataclasses import dataclass
from typing import Literal, final, get_args

import torch
from torch import Tensor
from torch.nn import functional

from widthwise._shared import WidthError

__all__ = ["Distillation", "Divergence"]

Divergence = Literal["cross_entropy", "adaptive"]
# The largest ratio of probabilities that counts, as in the authors' settings.
_RATIO_CLIP = 5.0


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Distillation:
    """How narrower networks learn from the full one, on the same samples.

    The full network's outputs are a constant there: nothing flows back into it from the narrower ones.

    Args:
        weight: The share of the soft targets in a narrower network's loss, in (0, 1]; 1 leaves no hard labels.
        temperature: Both outputs are divided by it; the soft loss is multiplied by its square [Hinton et al. 2015].
        divergence: "cross_entropy" to the soft targets, or "adaptive", the larger of two clipped alpha-divergences.

    Raises:
        WidthError: Where a value is out of its range.
    """

    weight: float = 1.0
    temperature: float = 1.0
    divergence: Divergence = "cross_entropy"

    def __post_init__(self) -> None:
        if not _is_number(self.weight) or not 0 < self.weight <= 1:
            raise WidthError(f"weight must lie in (0, 1], got {self.weight!r}; leave out the distillation for none")
        if not _is_number(self.temperature) or not 0 < self.temperature < float("inf"):
            raise WidthError(
                f"temperature must be above 0, got {self.temperature!r}; use 1.0 for the outputs as they are"
            )
        if self.divergence not in get_args(Divergence):
            choices = ", ".join(get_args(Divergence))
            raise WidthError(f"divergence must be one of {choices}, got {self.divergence!r}; use one of these")

    def soft_loss(self, narrow: Tensor, full: Tensor) -> Tensor:
        """Return the mean loss of a narrower network's logits against the full one's, both of shape (..., C)."""
        log_narrow = functional.log_softmax(narrow / self.temperature, dim=-1)
        log_full = functional.log_softmax(full.detach() / self.temperature, dim=-1)
        if self.divergence == "adaptive":
            losses = _adaptive(log_narrow, log_full)
        else:
            losses = -(log_full.exp() * log_narrow).sum(dim=-1)
        return losses.mean() * self.temperature**2


def _adaptive(log_narrow: Tensor, log_full: Tensor) -> Tensor:
    """Return the larger of both alpha-divergences per sample, with the gradient of the clipped one (eq. 7 to 9 there).

    With p the full and q the narrow network's probabilities: alpha = 1 is KL(p | q), large where q misses what p has;
    alpha = -1 is (sum q^2 / p - 1) / 2, large where q has what p has not. Its gradient is that of sum q r log q with
    q and r = q / p held constant; r is clipped there, since p may be next to nothing.
    """
    q, p = log_narrow.detach().exp(), log_full.exp()
    ratio = (log_narrow.detach() - log_full).exp()
    missed = (p * (log_full - log_narrow.detach())).sum(dim=-1)
    invented = ((q * ratio).sum(dim=-1) - 1) / 2
    slope = torch.where((missed >= invented)[..., None], -p, q * ratio.clamp(max=_RATIO_CLIP))
    surrogate = (slope * log_narrow).sum(dim=-1)
    return torch.maximum(missed, invented) + surrogate - surrogate.detach()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
