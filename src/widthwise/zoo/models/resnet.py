"""A small residual convolutional network for pictures of digit or CIFAR size."""

# B batch, C channels, H height, W width of the picture, K classes
from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from widthwise.zoo.models.count import check_counts, check_sizes

__all__ = ["ResidualBlock", "ResidualConvNet"]


class ResidualConvNet(nn.Module):
    """Apply a stem, one stage of residual blocks per entry of `widths`, global average pooling and a linear head.

    Follows [He2016], section 4.2 (the CIFAR networks), with three differences: projection shortcuts (their option B),
    so that every addition joins channels one to one; any widths; and by default one block per stage, 47,338 parameters
    and 9.5 million multiply-accumulates on a 3x32x32 picture. The parameters start as PyTorch initialises them.

    [He2016]: He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016.

    Args:
        in_channels: channels of the input picture.
        num_classes: outputs of the head.
        widths: channels of each stage; every stage after the first halves height and width.
        blocks: residual blocks per stage.
        stem_stride: of the first convolution; 2 makes a quarter of the work of 1.

    Raises:
        RecipeError: an argument is not a positive integer, or `widths` is not one or more of them.

    Example:
        >>> import torch
        >>> ResidualConvNet(in_channels=1)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        widths: Sequence[int] = (16, 24, 48),
        blocks: int = 1,
        stem_stride: int = 1,
    ) -> None:
        super().__init__()
        check_counts(in_channels=in_channels, num_classes=num_classes, blocks=blocks, stem_stride=stem_stride)
        check_sizes("widths", widths, what="channels of each stage", example="[16, 24, 48]")
        self.stem = nn.Conv2d(in_channels, widths[0], 3, stride=stem_stride, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(widths[0])
        self.activation = nn.ReLU()
        self.stages = nn.Sequential()
        channels = widths[0]
        for i, width in enumerate(widths, start=1):
            self.stages.add_module(f"stage{i}", _make_stage(channels, width, blocks, stride=1 if i == 1 else 2))
            channels = width
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.head = nn.Linear(channels, num_classes)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the outputs (B, K), without softmax, for pictures (B, C, H, W) of any height and width."""
        out = self.activation(self.stem_norm(self.stem(x_BCHW)))
        return self.head(self.flatten(self.pool(self.stages(out))))


class ResidualBlock(nn.Module):
    """Add two 3x3 convolutions to a shortcut: the identity, or a 1x1 projection where the shape changes."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(out_channels)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(out_channels)
        self.activation = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            conv = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(OrderedDict(conv=conv, norm=nn.BatchNorm2d(out_channels)))

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return (B, out_channels, H / stride, W / stride), height and width rounded up."""
        out = self.activation(self.norm1(self.conv1(x_BCHW)))
        out = self.norm2(self.conv2(out))
        return self.activation(out + self.shortcut(x_BCHW))


def _make_stage(in_channels: int, out_channels: int, blocks: int, stride: int) -> nn.Sequential:
    """Return `block1`, `block2`, ...; the first changes channels and size, the others keep both."""
    stage = nn.Sequential()
    for i in range(1, blocks + 1):
        first = i == 1
        block = ResidualBlock(in_channels if first else out_channels, out_channels, stride if first else 1)
        stage.add_module(f"block{i}", block)
    return stage
