"""The layer of the publication, to be placed by hand like `nn.Dropout`: keep a prefix of the units, or all of them.

[Knodt 2022, arXiv 2205.06906]. `Elastic` finds the width groups of a network and truncates them together.
"""

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from widthwise._shared import WidthError
from widthwise.elastic.laws.draw import check_generator, pick_below_full
from widthwise.groups.width import check_count

__all__ = ["StructuralDropout", "check_settings", "draw_kept", "truncate"]


def truncate(x: Tensor, kept: int, *, dim: int = -1, zero_pad: bool = False, normalize: bool = True) -> Tensor:
    """Return the first `kept` units of `x` along `dim`, times full/kept; the dropped ones get exactly zero gradient.

    At full width `x` itself comes back.

    Args:
        x: Activations of any shape, with the units of the layer along `dim`.
        kept: In [1, full], where full is `x.size(dim)`.
        dim: Which dimension holds the units.
        zero_pad: Put zeros in place of the dropped units, for a reader of fixed width; else the output is narrower.
        normalize: Multiply by full/kept, which keeps the expected sum over the units.

    Raises:
        WidthError: Where `kept` or `dim` is out of its range.

    Example:
        >>> truncate(torch.ones(4), 2, zero_pad=True)
        tensor([2., 2., 0., 0.])
    """
    full = _find_width(x, dim)
    if not 1 <= kept <= full:
        raise WidthError(
            f"kept must lie in [1, {full}] (width of dimension {dim}), got {kept}; use kept={full} for full width"
        )
    if kept == full:
        return x
    out = x.narrow(dim, 0, kept)
    if normalize:
        out = out * (full / kept)
    if not zero_pad:
        return out
    # Padding is written from the last dimension backwards, two numbers each.
    after = x.dim() - 1 - dim % x.dim()
    return functional.pad(out, [0, 0] * after + [0, full - kept])


def draw_kept(full: int, *, p: float, lower_bound: int, step: int, generator: torch.Generator) -> int:
    """Return how many of `full` units one draw keeps, by the rule of the publication.

    With probability p it is one of lower_bound, lower_bound + step, ... below full, each equally likely, and else full.
    Full itself is not among the truncated widths, so p = 1 never keeps everything; a lower bound at full always does.
    """
    toss, quantile = torch.rand(2, generator=generator, dtype=torch.float64, device="cpu").tolist()
    if toss >= p or lower_bound >= full:
        return full
    return pick_below_full(quantile, full, lower_bound, step)


@final
class StructuralDropout(nn.Module):
    """Keep a random number of the first units of the input in training, and all, or `eval_size`, at evaluation.

    The layer of [Knodt 2022]: one draw per forward call, the same for the whole batch, and the factor full/kept on what
    is kept. Place it after BatchNorm, which would undo the factor. The width of the input may differ from call to call.

    With `normalize=False` nothing is multiplied, neither in training nor at evaluation; the released code goes on
    multiplying at evaluation, and so scores another network than it trained.

    Args:
        p: Probability of truncating, in [0, 1]. 0 never does; 1 never trains the full width.
        lower_bound: The fewest units kept, at least 1. A layer of exactly this width is never truncated.
        step: Distance between the widths drawn, at least 1.
        zero_pad: Give back the full width, with zeros in place of the dropped units, so that a plain `nn.Linear` can
            stand behind it as behind `nn.Dropout`. Else the output is truncated, which saves work, and whatever reads
            it must use its own first columns only.
        normalize: Multiply what is kept by full/kept.
        dim: Which dimension of the input holds the units.
        eval_size: Units kept at evaluation, all of them where None; can be set at any time.
        generator: Draws the widths; on the CPU. Layers may share one, and then draw in the order in which they run. By
            default each layer seeds its own from the global random state when it is made, which it reads and does not
            change. So the same `torch.manual_seed` before building gives the same draws, and layers with randomly
            initialised weights between them draw independently; where nothing random lies between them, hand in one.

    A deep copy, or a pickled one, carries the state of the generator: it goes on with the same draws, on its own.

    Raises:
        WidthError: Where a setting is out of its range, or in `forward` does not fit the input.

    Example:
        >>> net = nn.Sequential(nn.Linear(8, 64), StructuralDropout(p=0.5, eval_size=16), nn.ReLU(), nn.Linear(64, 3))
        >>> net.eval()(torch.ones(5, 8)).shape  # the first 16 of 64 units
        torch.Size([5, 3])
    """

    def __init__(
        self,
        p: float = 0.5,
        *,
        lower_bound: int = 1,
        step: int = 1,
        zero_pad: bool = True,
        normalize: bool = True,
        dim: int = -1,
        eval_size: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        check_settings(p, lower_bound, step)
        self.p = p
        self.lower_bound = lower_bound
        self.step = step
        self.zero_pad = zero_pad
        self.normalize = normalize
        self.dim = dim
        self.eval_size = eval_size
        self.generator = _fork_global_generator() if generator is None else generator
        check_generator(self.generator)

    @property
    def eval_size(self) -> int | None:
        """Units kept at evaluation; None keeps them all."""
        return self._eval_size

    @eval_size.setter
    def eval_size(self, size: int | None) -> None:
        if size is not None:
            check_count("eval_size", size, "use None for full width")
        self._eval_size = size

    def forward(self, x: Tensor) -> Tensor:
        """Return the kept units of `x`, padded back to its shape with `zero_pad`; at full width `x` itself."""
        return truncate(x, self._choose_kept(x), dim=self.dim, zero_pad=self.zero_pad, normalize=self.normalize)

    def extra_repr(self) -> str:
        """Return the settings as the printed module shows them."""
        names = ("p", "lower_bound", "step", "zero_pad", "normalize", "dim", "eval_size")
        return ", ".join(f"{name}={getattr(self, name)}" for name in names)

    def _choose_kept(self, x: Tensor) -> int:
        full = _find_width(x, self.dim)
        if self.lower_bound > full:
            raise WidthError(
                f"lower_bound must lie in [1, {full}] (width of dimension {self.dim}), got {self.lower_bound}; "
                f"use lower_bound={full} to keep this layer at full width"
            )
        if self.training:
            return draw_kept(full, p=self.p, lower_bound=self.lower_bound, step=self.step, generator=self.generator)
        if self.eval_size is not None and self.eval_size > full:
            raise WidthError(
                f"eval_size must lie in [1, {full}] (width of dimension {self.dim}), got {self.eval_size}; "
                "use None for full width"
            )
        return full if self.eval_size is None else self.eval_size


def check_settings(p: float, lower_bound: int, step: int) -> None:
    """Check what both forms of the publication's layer are told; raises WidthError with what to do."""
    if not 0 <= p <= 1:
        raise WidthError(f"p must lie in [0, 1], got {p}; use p=0 to truncate nothing")
    check_count("lower_bound", lower_bound, "use 1 for every width")
    check_count("step", step, "use 1 for every width")


def _find_width(x: Tensor, dim: int) -> int:
    if not -x.dim() <= dim < x.dim():
        raise WidthError(
            f"dim must name a dimension of the input, got {dim} for shape {tuple(x.shape)}; use -1 for the last"
        )
    return x.size(dim)


def _fork_global_generator() -> torch.Generator:
    """Return a generator seeded with the number that the global one would give next, without taking it from there."""
    fork = torch.Generator(device="cpu")
    fork.set_state(torch.get_rng_state())
    seed = int(torch.randint(2**63 - 1, (), generator=fork, device="cpu"))
    return fork.manual_seed(seed)
