"""A small causal transformer: a language model of fixed context."""

# B batch, T tokens, V vocabulary, F width of the stream
import torch
from torch import Tensor, nn

from widthwise._shared import ModelError
from widthwise.zoo.models.count import check_counts
from widthwise.zoo.models.transformer import initialise_transformer, make_blocks

__all__ = ["TransformerLanguageModel"]


class TransformerLanguageModel(nn.Module):
    """Add learned positions to embedded tokens, apply causal blocks, and give the logits of the next token at each.

    Follows [Radford2019], section 2.3, at a small size: by default 2,089,728 parameters for 10,000 words, of which
    793,088 are in the blocks.

    [Radford2019]: Radford et al., "Language Models are Unsupervised Multitask Learners", 2019.

    Args:
        vocabulary: number of different tokens.
        context: most tokens of one input.
        width: units of the stream; the heads share it evenly.
        depth: number of blocks.
        num_heads: heads of each attention.
        hidden: units of the perceptron in each block.
        dropout: share of what each block adds, and of the embedded tokens' units, that is dropped in training.
        tie_weights: let the embedding be the weight of the last layer too, which then has no bias.

    Raises:
        RecipeError: an argument is out of range.

    Example:
        >>> TransformerLanguageModel(vocabulary=50)(torch.zeros(2, 64, dtype=torch.int64)).shape
        torch.Size([2, 64, 50])
    """

    def __init__(
        self,
        vocabulary: int = 10_000,
        context: int = 128,
        width: int = 128,
        depth: int = 4,
        num_heads: int = 4,
        hidden: int = 512,
        dropout: float = 0.0,
        tie_weights: bool = True,
    ) -> None:
        super().__init__()
        check_counts(vocabulary=vocabulary, context=context, width=width)
        blocks = make_blocks(depth, width, num_heads, hidden, dropout=dropout, causal=True)
        self.context = context
        self.tokens = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(context, width)
        self.dropout = nn.Dropout(dropout)
        self.blocks = blocks
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, vocabulary, bias=not tie_weights)
        if tie_weights:
            self.head.weight = self.tokens.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first parameters anew: normal ones of deviation 0.02."""
        initialise_transformer(self)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        """Return the logits (B, T, V) of the next tokens.

        Raises:
            ModelError: There are more tokens than the context holds.
        """
        length = tokens_BT.shape[1]
        if length > self.context:
            raise ModelError(f"tokens must be at most {self.context} (the context), got {length}; cut shorter windows")
        place_T = torch.arange(length, device=tokens_BT.device)
        x_BTF = self.dropout(self.tokens(tokens_BT) + self.positions(place_T))
        return self.head(self.norm(self.blocks(x_BTF)))
