"""Set the attributes in which modules remember sizes, after their parameters were replaced by smaller ones."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase as Normalization  # pyright: ignore[reportPrivateUsage]
from torch.nn.modules.conv import _ConvNd as Convolution  # pyright: ignore[reportPrivateUsage]

from widthwise.slicing.program import Resized

__all__ = ["set_sizes"]


def set_sizes(module: nn.Module, resized: Iterable[Resized], *, own_attributes: bool) -> None:
    """Set what a module remembers of its sizes.

    Args:
        module: A module whose parameters have their new shapes.
        resized: The numbers that its operators take and that depend on widths.
        own_attributes: Also set attributes of modules that are not PyTorch's, where they hold one of these numbers.
    """
    numbers = list(resized)
    if isinstance(module, Convolution):
        _set_convolution(module, numbers)
    elif isinstance(module, nn.Linear):
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, Normalization):
        sized = module.weight if module.affine else module.running_mean
        module.num_features = len(sized) if isinstance(sized, Tensor) else module.num_features
    elif isinstance(module, nn.GroupNorm):
        module.num_channels = len(module.weight) if module.affine else module.num_channels
    elif isinstance(module, nn.Embedding):
        module.num_embeddings, module.embedding_dim = module.weight.shape
    elif isinstance(module, nn.PReLU):
        module.num_parameters = len(module.weight)
    elif _takes_numbers(module) or (own_attributes and not type(module).__module__.startswith("torch.nn")):
        _set_own_attributes(module, numbers)


def _takes_numbers(module: nn.Module) -> bool:
    """Whether a layer of PyTorch hands whole numbers that it remembers to its operator as sizes."""
    return isinstance(module, nn.LayerNorm | nn.RMSNorm | nn.Unflatten)


def _set_convolution(module: Convolution, numbers: list[Resized]) -> None:
    module.groups = next((number.kept for number in numbers if number.argument == "groups"), module.groups)
    first, second = module.weight.shape[:2]
    channels = (first, second * module.groups) if module.transposed else (second * module.groups, first)
    module.in_channels, module.out_channels = channels


def _set_own_attributes(module: nn.Module, numbers: list[Resized]) -> None:
    """Replace whole numbers, alone or in a tuple, that are a size at full width; left alone where that is not clear."""
    sizes: dict[int, set[int]] = {}
    for number in numbers:
        sizes.setdefault(number.full, set()).add(number.kept)
    clear = {full: kept.pop() for full, kept in sizes.items() if len(kept) == 1}
    for name, value in list(vars(module).items()):
        replaced = _replace(value, clear)
        if replaced != value:
            setattr(module, name, replaced)


def _replace(value: Any, sizes: dict[int, int]) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return sizes.get(value, value)
    if type(value) is tuple or isinstance(value, torch.Size):
        return type(value)([_replace(item, sizes) for item in value])
    return value
