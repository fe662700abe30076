"""In which numbers the weights of a network that is taken home are, and how far it may then be from what it was."""

import copy
from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import nn
from torch.utils import _pytree as pytree

from widthwise._shared import WidthError
from widthwise.graph import Example, silence
from widthwise.slicing.finish.quantise import quantise_weights

__all__ = ["FLOATING", "DtypeName", "cast_inputs", "check_dtype", "convert", "find_slack"]

DtypeName = Literal["float32", "float16", "bfloat16", "int8"]
FLOATING: Sequence[DtypeName] = ("float32", "float16", "bfloat16")

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
# The step between neighbouring numbers at one; 8 bits with a sign tell 127 sizes apart.
_STEPS = {name: torch.finfo(dtype).eps for name, dtype in _DTYPES.items()} | {"int8": 1 / 127}
# Roundings of a network's layers add up like a random walk: so many steps allow for a thousand of them.
_NUM_STEPS = 32


def check_dtype(dtype: str | None) -> None:
    """Refuse what is no name of a dtype.

    Raises:
        WidthError: There is none of this name.
    """
    names = get_args(DtypeName)
    if dtype is not None and dtype not in names:
        raise WidthError(
            f"expected a dtype of {', '.join(names)}, got {dtype!r}; leave it out to keep that of the network"
        )


def convert(net: nn.Module, dtype: DtypeName | None) -> nn.Module:
    """Return a copy of a network with weights of a dtype, the network itself for None.

    A network in "float16" or "bfloat16" takes inputs of it. One in "int8" keeps the weights of its linear layers as
    int8 with a scale for each row, and takes and computes what it did before.

    Raises:
        MissingExtraError: "int8" needs the extra `int8`.
        ExportError: "int8" of a network without linear layers.
        WidthError: There is no such dtype.
    """
    check_dtype(dtype)
    if dtype is None:
        return net
    # torch.fx warns about its own treespecs when it copies a graph module.
    with silence():
        copied = copy.deepcopy(net)
    return quantise_weights(copied) if dtype == "int8" else copied.to(_DTYPES[dtype])


def cast_inputs(inputs: Example, dtype: DtypeName | None) -> Example:
    """Return inputs as a network that was converted to a dtype takes them; None for one that was not."""
    wanted = _DTYPES.get(dtype or "")
    if wanted is None:
        return inputs

    def cast_leaf(leaf: object) -> object:
        return leaf.to(wanted) if isinstance(leaf, torch.Tensor) and leaf.is_floating_point() else leaf

    args, kwargs = pytree.tree_map(cast_leaf, (inputs.args, inputs.kwargs))
    return Example(args=args, kwargs=kwargs)


def find_slack(dtype: DtypeName) -> float:
    """Return how far the outputs of a converted network may be from those before, relative to the largest.

    It is 32 times the rounding of one number: 4e-6 in float32, 0.03 in float16, 0.25 in bfloat16 and int8.
    """
    return _NUM_STEPS * _STEPS[dtype]
