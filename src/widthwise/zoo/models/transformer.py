"""The block of a transformer, pre-norm: the same one reads patches of a picture and tokens of a text."""

# B batch, T tokens, F width of the stream, H heads, D width of a head
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from widthwise._shared import RecipeError
from widthwise.zoo.models.count import check_counts, check_share

__all__ = ["SelfAttention", "TransformerBlock", "initialise_transformer", "make_blocks"]

# As in the code of GPT-2 and, cut at two deviations, of ViT.
_INITIAL_DEVIATION = 0.02


class SelfAttention(nn.Module):
    """Attend from every token to all tokens, or to itself and those before it.

    Queries, keys and values have a projection each, so that their first heads are one piece of memory.

    Args:
        width: Of the stream; the heads share it evenly.
        num_heads: Number of heads.
        causal: Whether a token sees only itself and those before it.

    Raises:
        RecipeError: The heads do not divide the width, or an argument is no positive integer.
    """

    def __init__(self, width: int, num_heads: int, *, causal: bool = False) -> None:
        super().__init__()
        check_counts(width=width, num_heads=num_heads)
        if width % num_heads:
            raise RecipeError(
                f"num_heads must divide the width {width}, got {num_heads}; write for example width = {num_heads * 32}"
            )
        self.num_heads = num_heads
        self.head_width = width // num_heads
        self.causal = causal
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        self.out = nn.Linear(width, width)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """Return (B, T, F)."""
        batch, length, _ = x_BTF.shape
        query_BHTD, key_BHTD, value_BHTD = (
            project(x_BTF).view(batch, length, self.num_heads, self.head_width).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        out_BHTD = scaled_dot_product_attention(query_BHTD, key_BHTD, value_BHTD, is_causal=self.causal)
        return self.out(out_BHTD.transpose(1, 2).flatten(2))


class TransformerBlock(nn.Module):
    """Add attention to the stream, then a perceptron of one hidden layer, each on a normed copy of it.

    Follows [Xiong2020], figure 1 (b), with GELU.

    [Xiong2020]: Xiong et al., "On Layer Normalization in the Transformer Architecture", ICML 2020.

    Args:
        width: Of the stream.
        num_heads: Heads of the attention.
        hidden: Units of the perceptron.
        dropout: Share of what is added that is dropped in training.
        causal: Whether a token sees only itself and those before it.
    """

    def __init__(self, width: int, num_heads: int, hidden: int, *, dropout: float = 0.0, causal: bool = False) -> None:
        super().__init__()
        check_counts(hidden=hidden)
        check_share("dropout", dropout)
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, num_heads, causal=causal)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, hidden)
        self.activation = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x_BTF: Tensor) -> Tensor:
        """Return (B, T, F)."""
        x_BTF = x_BTF + self.dropout(self.attention(self.norm1(x_BTF)))
        return x_BTF + self.dropout(self.fc2(self.activation(self.fc1(self.norm2(x_BTF)))))


def make_blocks(
    depth: int, width: int, num_heads: int, hidden: int, *, dropout: float = 0.0, causal: bool = False
) -> nn.Sequential:
    """Return `depth` blocks, named `block1`, `block2`, ..."""
    check_counts(depth=depth)
    blocks = nn.Sequential()
    for i in range(1, depth + 1):
        blocks.add_module(f"block{i}", TransformerBlock(width, num_heads, hidden, dropout=dropout, causal=causal))
    return blocks


def initialise_transformer(net: nn.Module) -> None:
    """Draw the weights of linear layers and tables from a normal of deviation 0.02, and set biases to zero."""
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=_INITIAL_DEVIATION)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
