"""A recurrent language model: an embedding, two layers of LSTM or GRU, and the logits of the next token."""

from torch import Tensor, nn

__all__ = ["RecurrentLanguageModel"]


class RecurrentLanguageModel(nn.Module):
    """The hidden state starts at zero at every call."""

    def __init__(self, cell: type[nn.LSTM] | type[nn.GRU], *, vocabulary: int, hidden: int, embedded: int = 48) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, embedded)
        self.dropout = nn.Dropout(0.2)
        self.recurrent = cell(embedded, hidden, num_layers=2, batch_first=True, dropout=0.2)
        self.head = nn.Linear(hidden, vocabulary)

    def forward(self, tokens_BT: Tensor) -> Tensor:
        hidden_BTF, _ = self.recurrent(self.dropout(self.embedding(tokens_BT)))
        return self.head(self.dropout(hidden_BTF))
