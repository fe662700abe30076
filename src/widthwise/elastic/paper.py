"""The publication to the letter, as plain code: how it draws, its fused path, and the network of its MNIST experiment.

[Knodt 2022], "Structural Dropout", arXiv 2205.06906, with the authors' released code where the text is silent. The
letters are theirs: U full width of a layer, lb lower bound, s step, p probability of truncating, c units kept, e size
at evaluation. `StructuralDropout` is the same method as a layer, `Elastic` with law "paper" the same on any network.

What the released code does and this file does not copy:
- the later schedule of p starts at 1 - p in place of p, for want of a sign;
- what that schedule computes is never used: the draw compares with the stored acos(1 - 2p), so p >= 0.23 always
  truncates and p = 0.01 does so with probability 0.20;
- `pre_apply` names a variable that does not exist, and the file for convolutions does not parse;
- its count of parameters takes the first layer's weight twice and leaves out the output layer's, and so prints
  c^2 + 1042 c + 256 for the MNIST network where the true count is c^2 + 796 c + 10;
- `normalize=False` drops the factor in training and keeps it at evaluation (see `StructuralDropout`);
- the initialisation "xavier" is accepted and ignored: the weights start as PyTorch draws them, and here there is no
  such argument;
- widths come from Python's global random state; here a generator is handed in.
"""

# B batch, I inputs (after flattening), K units kept of the layer before, C classes
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import cast, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from widthwise._shared import WidthError
from widthwise.elastic.laws.draw import check_generator
from widthwise.elastic.layer import check_settings
from widthwise.groups.width import check_count

__all__ = ["MNIST_RECIPE", "PaperMLP", "PaperRecipe", "draw_cut", "pre_apply_linear"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class PaperRecipe:
    """The MNIST experiment: Adam at a constant learning rate, LeakyReLU, inputs scaled to [0, 1] and nothing else.

    p was .9, .8, .5 and .75 on the way, and 1 in the end; every e in 1..256 was scored on the 10,000 test images.
    """

    sizes: tuple[int, ...] = (784, 256, 256, 10)
    p: float = 1.0
    lower_bound: int = 1
    step: int = 1
    learning_rate: float = 8e-4
    weight_decay: float = 0.0
    batch_size: int = 500
    epochs: int = 100
    negative_slope: float = 0.01


MNIST_RECIPE = PaperRecipe()
"""The settings of the publication's MNIST experiment."""


def draw_cut(U: int, *, p: float, lb: int, s: int, generator: torch.Generator) -> int | None:
    """Return c, uniform over {lb, lb + s, ... < U}, or None for full width, with probability 1 - p or where lb >= U.

    U itself is not in the set: with p = 1 full width is never trained. Consumes two numbers of `generator`.
    """
    r, u = torch.rand(2, generator=generator, dtype=torch.float64, device="cpu").tolist()
    if r >= p or lb >= U:
        return None
    cuts = range(lb, U, s)
    # u next to 1 may round up to len(cuts) in the product.
    return cuts[min(int(u * len(cuts)), len(cuts) - 1)]


def pre_apply_linear(
    x: Tensor, linear: nn.Linear, c: int | None, *, norm: nn.BatchNorm1d | None = None, zero_pad: bool = False
) -> Tensor:
    """Return the first c outputs of linear, then BatchNorm, then the factor U/c; the rest of them is never computed.

    z = x W[:c, :len(x)]^T + b[:c], through the prefixes of the norm's weights and running statistics, times U/c. One
    buffer of statistics serves every width, as in the released code, and training updates its prefix in place. The
    activation comes after; LeakyReLU may change places with the factor.

    Args:
        x: (B, K), where K is the number of units that the layer before kept, or its full width where that one pads.
        linear: The whole layer, U outputs.
        c: Units kept, in [1, U]; None for full width without a factor.
        norm: The whole BatchNorm behind `linear`.
        zero_pad: Pad the outputs back to U with zeros.

    Raises:
        WidthError: Where c is out of its range, or the norm has no weights, running statistics or momentum.
    """
    U = linear.out_features
    kept = U if c is None else c
    if not 1 <= kept <= U:
        raise WidthError(f"c must lie in [1, {U}] (outputs of linear), got {c}; use None for full width")
    bias = None if linear.bias is None else linear.bias[:kept]
    z = functional.linear(x, linear.weight[:kept, : x.shape[-1]], bias)
    if norm is not None:
        z = _normalize(z, norm, kept)
    if c is not None:
        z = z * (U / c)
    return functional.pad(z, (0, U - kept)) if zero_pad else z


@final
class PaperMLP(nn.Module):
    """The multilayer perceptron of the publication; in training each hidden layer draws a width of its own.

    Each hidden layer is linear, [BatchNorm,] factor and cut, LeakyReLU(0.01). One draw serves all samples of a batch.
    Inputs and outputs are never truncated. At evaluation every layer wider than `eval_size` runs at that size with its
    factor, narrower ones at full width.

    Args:
        sizes: Numbers per sample, units of each hidden layer, classes.
        p: Probability of truncating a layer, in [0, 1]; 0 is the baseline of the publication.
        lower_bound: The fewest units kept. Layers of this width or less are never truncated.
        step: Distance between the widths drawn.
        batch_norm: BatchNorm between linear and factor, with one set of statistics for all widths, as in the released
            code.
        zero_pad: Pad each hidden layer back to full width with zeros; the outputs are the same.
        generator: Draws the widths; on the CPU.

    Raises:
        WidthError: Where a setting is out of its range, or in `forward` the input is not of `sizes[0]` numbers per
            sample.

    Example:
        >>> net = PaperMLP((784, 256, 256, 10), generator=torch.Generator().manual_seed(0)).eval()
        >>> net.eval_size = 32
        >>> net(torch.zeros(5, 1, 28, 28)).shape, net.count_parameters(32)
        (torch.Size([5, 10]), 26506)
    """

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        generator: torch.Generator,
        p: float = 1.0,
        lower_bound: int = 1,
        step: int = 1,
        batch_norm: bool = False,
        zero_pad: bool = False,
    ) -> None:
        super().__init__()
        _check_sizes(sizes)
        check_settings(p, lower_bound, step)
        check_generator(generator)
        self.sizes = tuple(sizes)
        self.p = p
        self.lower_bound = lower_bound
        self.step = step
        self.zero_pad = zero_pad
        self.generator = generator
        self.eval_size = None
        self.hidden = nn.ModuleList(nn.Linear(inputs, U) for inputs, U in pairwise(self.sizes[:-1]))
        self.norms = nn.ModuleList(nn.BatchNorm1d(U) for U in self.sizes[1:-1]) if batch_norm else None
        self.output = nn.Linear(self.sizes[-2], self.sizes[-1])

    @property
    def eval_size(self) -> int | None:
        """The common size e of the hidden layers at evaluation; None for full width."""
        return self._eval_size

    @eval_size.setter
    def eval_size(self, e: int | None) -> None:
        widest = max(self.sizes[1:-1])
        if e is not None:
            check_count("eval_size", e, "use None for full width")
            if e > widest:
                raise WidthError(
                    f"eval_size must lie in [1, {widest}] (widest hidden layer), got {e}; use None for full width"
                )
        self._eval_size = e

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs (B, C) for inputs of any shape (B, ...) with sizes[0] numbers per sample."""
        h = x.flatten(1)
        if h.shape[1] != self.sizes[0]:
            raise WidthError(
                f"input must have {self.sizes[0]} numbers per sample, got {h.shape[1]}; set sizes[0] to {h.shape[1]}"
            )
        for linear, norm in self._list_layers():
            z = pre_apply_linear(h, linear, self._cut(linear.out_features), norm=norm, zero_pad=self.zero_pad)
            h = functional.leaky_relu(z, MNIST_RECIPE.negative_slope)
        return functional.linear(h, self.output.weight[:, : h.shape[1]], self.output.bias)

    def count_parameters(self, e: int) -> int:
        """Return the number of parameters of the network cut to e in every hidden layer wider than e.

        For sizes (784, 256, 256, 10) it is e^2 + 796 e + 10.
        """
        kept = [self.sizes[0], *(min(e, U) for U in self.sizes[1:-1]), self.sizes[-1]]
        norms = 0 if self.norms is None else 2 * sum(kept[1:-1])
        return sum((inputs + 1) * outputs for inputs, outputs in pairwise(kept)) + norms

    def _list_layers(self) -> list[tuple[nn.Linear, nn.BatchNorm1d | None]]:
        linears = cast("list[nn.Linear]", list(self.hidden))
        norms = [None] * len(linears) if self.norms is None else cast("list[nn.BatchNorm1d]", list(self.norms))
        return list(zip(linears, norms, strict=True))

    def _cut(self, U: int) -> int | None:
        if self.training:
            return draw_cut(U, p=self.p, lb=self.lower_bound, s=self.step, generator=self.generator)
        return self.eval_size if self.eval_size is not None and self.eval_size < U else None


def _normalize(z: Tensor, norm: nn.BatchNorm1d, kept: int) -> Tensor:
    mean, variance, count, momentum = norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.momentum
    if mean is None or variance is None or count is None or momentum is None or not norm.affine:
        raise WidthError(f"norm must have weights, running statistics and a momentum, got {norm}; leave its defaults")
    if norm.training:
        count.add_(1)
    return functional.batch_norm(
        z,
        mean[:kept],
        variance[:kept],
        norm.weight[:kept],
        norm.bias[:kept],
        training=norm.training,
        momentum=momentum,
        eps=norm.eps,
    )


def _check_sizes(sizes: Sequence[int]) -> None:
    if len(sizes) < 3:
        raise WidthError(
            f"sizes must be input, hidden layers and output, got {tuple(sizes)}; write (784, 256, 256, 10)"
        )
    for size in sizes:
        check_count("every entry of sizes", size, "write for example (784, 256, 256, 10)")
