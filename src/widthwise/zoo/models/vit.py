"""A small vision transformer for pictures of CIFAR size."""

# B batch, C channels, S side of the picture, T patches (and the class token), F width of the stream, K classes
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from widthwise._shared import RecipeError
from widthwise.zoo.models.count import check_counts
from widthwise.zoo.models.transformer import initialise_transformer, make_blocks

__all__ = ["Pooling", "VisionTransformer"]

Pooling = Literal["mean", "cls"]


class VisionTransformer(nn.Module):
    """Cut the picture into patches, add learned positions, apply transformer blocks, and classify what they leave.

    Follows [Dosovitskiy2021], section 3.1, with the mean over the patches in place of the class token unless asked
    otherwise. By default 1,205,642 parameters and 82.2 million multiply-accumulates on a 3x32x32 picture.

    [Dosovitskiy2021]: Dosovitskiy et al., "An Image is Worth 16x16 Words: Transformers for Image Recognition at Scale",
    ICLR 2021.

    Args:
        in_channels: channels of the input picture.
        num_classes: outputs of the head.
        side: height and width of the picture.
        patch: height and width of a patch; it divides the side.
        width: units of the stream; the heads share it evenly.
        depth: number of blocks.
        num_heads: heads of each attention.
        hidden: units of the perceptron in each block.
        pooling: what the head reads: the `"mean"` of all patches, or a `"cls"` token of its own.
        dropout: share of what each block adds, and of the patches' units, that is dropped in training.

    Raises:
        RecipeError: an argument is out of range, or sizes do not divide each other.

    Example:
        >>> VisionTransformer(depth=2)(torch.zeros(2, 3, 32, 32)).shape
        torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 10,
        side: int = 32,
        patch: int = 4,
        width: int = 128,
        depth: int = 6,
        num_heads: int = 4,
        hidden: int = 512,
        pooling: Pooling = "mean",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        check_counts(in_channels=in_channels, num_classes=num_classes, side=side, patch=patch, width=width)
        if side % patch:
            raise RecipeError(f"patch must divide the side {side}, got {patch}; write for example patch = {side}")
        if pooling not in get_args(Pooling):
            raise RecipeError(f"pooling must be one of mean, cls, got {pooling!r}; use one of these")
        blocks = make_blocks(depth, width, num_heads, hidden, dropout=dropout)
        self.pooling = pooling
        self.patches = nn.Conv2d(in_channels, width, patch, stride=patch)
        self.cls = nn.Parameter(torch.zeros(width)) if pooling == "cls" else None
        num_tokens = (side // patch) ** 2 + (pooling == "cls")
        self.positions = nn.Parameter(torch.zeros(num_tokens, width))
        self.dropout = nn.Dropout(dropout)
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first parameters anew: normal ones of deviation 0.02, and a class token of zero."""
        initialise_transformer(self)
        nn.init.normal_(self.positions, std=0.02)
        if self.cls is not None:
            nn.init.zeros_(self.cls)

    def forward(self, x_BCSS: Tensor) -> Tensor:
        """Return the outputs (B, K), without softmax."""
        x_BTF = self.patches(x_BCSS).flatten(2).transpose(1, 2)
        if self.cls is not None:
            x_BTF = torch.cat([self.cls.expand(x_BTF.shape[0], 1, -1), x_BTF], dim=1)
        x_BTF = self.norm(self.blocks(self.dropout(x_BTF + self.positions)))
        return self.head(x_BTF.mean(dim=1) if self.pooling == "mean" else x_BTF[:, 0])
