"""How many numbers a network holds."""

from torch import nn
from torch.nn.parameter import UninitializedParameter

from widthwise._shared import WidthwiseError

__all__ = ["count_parameters"]


def count_parameters(net: nn.Module) -> int:
    """Count the numbers in the parameters of `net`, trainable or not; a parameter used in several places counts once.

    Buffers, such as the running statistics of BatchNorm, are no parameters.

    Raises:
        WidthwiseError: Where a lazy module has not seen an input yet, so that its parameters have no shape.

    Example:
        >>> count_parameters(nn.Linear(3, 2))
        8
    """
    for name, parameter in net.named_parameters():
        if isinstance(parameter, UninitializedParameter):
            raise WidthwiseError(
                f"expected parameters with a shape, got the uninitialised {name} of a lazy module; run the network "
                "once first"
            )
    return sum(parameter.numel() for parameter in net.parameters())
