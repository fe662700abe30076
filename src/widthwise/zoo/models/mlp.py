"""A multilayer perceptron: the plain network of the digit recipes."""

# B batch, I inputs (after flattening), C classes
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, get_args

from torch import Tensor, nn

from widthwise._shared import RecipeError
from widthwise.zoo.models.count import is_count

__all__ = ["MLP", "Activation"]

Activation = Literal["relu", "leaky_relu"]


class MLP(nn.Module):
    """Flatten the input, then apply `fc1`, `fc2`, ..., each with its activation, and last the linear `head`.

    The parameters start as PyTorch initialises them. The modules run in the order in which they are registered:
    `flatten`, then per hidden layer i `fc{i}`, `norm{i}` (only with `batch_norm`) and `activation{i}`, then `head`.

    Args:
        sizes: units of the flattened input, of each hidden layer, and of the output: `[784, 256, 256, 10]`.
        activation: `"relu"`, or `"leaky_relu"` with slope 0.01.
        batch_norm: put a BatchNorm between each hidden linear layer and its activation.

    Raises:
        RecipeError: `sizes` is not two or more positive integers, or the activation is unknown.

    Example:
        >>> import torch
        >>> MLP([784, 256, 256, 10])(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, sizes: Sequence[int], activation: Activation = "relu", batch_norm: bool = False) -> None:
        super().__init__()
        _check_sizes(sizes)
        _check_activation(activation)
        self.add_module("flatten", nn.Flatten())
        for i, (inputs, outputs) in enumerate(pairwise(sizes[:-1]), start=1):
            self.add_module(f"fc{i}", nn.Linear(inputs, outputs))
            if batch_norm:
                self.add_module(f"norm{i}", nn.BatchNorm1d(outputs))
            self.add_module(f"activation{i}", _make_activation(activation))
        self.add_module("head", nn.Linear(sizes[-2], sizes[-1]))

    def forward(self, x_BI: Tensor) -> Tensor:
        """Return the outputs (B, C), without softmax, for inputs of any shape (B, ...) with I numbers per sample."""
        out = x_BI
        for module in self.children():
            out = module(out)
        return out


def _check_sizes(sizes: Sequence[int]) -> None:
    if isinstance(sizes, str) or not isinstance(sizes, Sequence) or len(sizes) < 2 or not all(map(is_count, sizes)):
        raise RecipeError(
            f"sizes must be two or more positive integers (input, hidden layers, output), got {sizes!r}; "
            "write for example [784, 256, 256, 10]"
        )


def _check_activation(activation: Activation) -> None:
    known = get_args(Activation)
    if activation not in known:
        raise RecipeError(f"activation must be one of {', '.join(known)}, got {activation!r}; use one of these")


def _make_activation(name: Activation) -> nn.Module:
    return nn.ReLU() if name == "relu" else nn.LeakyReLU()
