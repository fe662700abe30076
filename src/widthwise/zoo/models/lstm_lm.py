"""A language model of stacked LSTMs."""

# T tokens in time, B batch, V vocabulary, L layers, F hidden units
from torch import Tensor, nn

from widthwise._shared import ModelError, RecipeError
from widthwise.zoo.models.count import check_counts, check_share

__all__ = ["LSTMLanguageModel", "LSTMState"]

LSTMState = tuple[Tensor, Tensor]
"""Hidden and cell state, (L, B, F) each."""

# Of the small model of the paper.
_INITIAL_RANGE = 0.1


class LSTMLanguageModel(nn.Module):
    """Embed the tokens, run them through a stack of LSTMs, and give the logits of the next token at every place.

    Follows [Zaremba2014], section 4.1: by default its small model, 4,653,200 parameters for 10,000 words, with dropout
    where they have it and PyTorch's second bias in each gate. All parameters start evenly in -0.1..0.1.

    [Zaremba2014]: Zaremba, Sutskever, Vinyals, "Recurrent Neural Network Regularization", arXiv:1409.2329, 2014.

    Args:
        vocabulary: number of different tokens.
        embedded: units of the embedding.
        hidden: units of each LSTM.
        num_layers: LSTMs on top of each other.
        dropout: share of units dropped in training between the layers, before the first and after the last.
        tie_weights: let the embedding be the weight of the last layer too; `embedded` and `hidden` are then the same.
        carries_state: whether the state is taken and given back; otherwise each call starts from zero and gives the
            logits alone. It may be set anew at any time, as between training on windows and writing a text.

    Raises:
        RecipeError: an argument is out of range, or the weights cannot be tied.

    Example:
        >>> import torch
        >>> logits, state = LSTMLanguageModel(vocabulary=50)(torch.zeros(35, 20, dtype=torch.int64))
        >>> logits.shape, state[0].shape
        (torch.Size([35, 20, 50]), torch.Size([2, 20, 200]))
    """

    def __init__(
        self,
        vocabulary: int = 10_000,
        embedded: int = 200,
        hidden: int = 200,
        num_layers: int = 2,
        dropout: float = 0.0,
        tie_weights: bool = False,
        carries_state: bool = True,
    ) -> None:
        super().__init__()
        check_counts(vocabulary=vocabulary, embedded=embedded, hidden=hidden, num_layers=num_layers)
        check_share("dropout", dropout)
        if tie_weights and embedded != hidden:
            raise RecipeError(
                f"tied weights need embedded and hidden to be the same, got {embedded} and {hidden}; write for example "
                f"embedded = {hidden}"
            )
        self.carries_state = carries_state
        self.embedding = nn.Embedding(vocabulary, embedded)
        self.dropout = nn.Dropout(dropout)
        # PyTorch warns of dropout between the layers of one.
        between = dropout if num_layers > 1 else 0.0
        self.lstm = nn.LSTM(embedded, hidden, num_layers, dropout=between)
        self.head = nn.Linear(hidden, vocabulary)
        if tie_weights:
            self.head.weight = self.embedding.weight
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the first parameters anew: evenly in -0.1..0.1."""
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -_INITIAL_RANGE, _INITIAL_RANGE)

    def forward(self, tokens_TB: Tensor, state: LSTMState | None = None) -> Tensor | tuple[Tensor, LSTMState]:
        """Return the logits (T, B, V) of the next tokens, and with `carries_state` the state after the last one.

        Args:
            tokens_TB: int64, time first.
            state: What this returned for the tokens before these; zero where it is left out.

        Raises:
            ModelError: A state is handed in without `carries_state`.
        """
        if state is not None and not self.carries_state:
            raise ModelError("a state is used with carries_state only, got one without it; set carries_state to True")
        hidden_TBF, after = self.lstm(self.dropout(self.embedding(tokens_TB)), state)
        logits_TBV = self.head(self.dropout(hidden_TBF))
        return (logits_TBV, after) if self.carries_state else logits_TBV
