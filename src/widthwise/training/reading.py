"""How a network reads a text: with time or the batch along the first axis, and with what state from before."""

# B batch, T tokens in time, L layers, F hidden units
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor, nn

from widthwise.zoo import LSTMLanguageModel, TransformerLanguageModel

__all__ = ["Reading", "State"]

State = tuple[Tensor, Tensor]
"""Hidden and cell state, (L, B, F) each."""


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a language model takes its tokens.

    Attributes:
        is_time_first: Whether tokens are laid as (T, B), as recurrent layers take them, or as (B, T).
        state_shape: Layers and units of the state that is handed in and out, None where there is none.
    """

    is_time_first: bool
    state_shape: tuple[int, int] | None

    @classmethod
    def of(cls, net: nn.Module) -> "Reading | None":
        """Return how `net` reads, None where it is no language model of the zoo."""
        if isinstance(net, LSTMLanguageModel):
            shape = (net.lstm.num_layers, net.lstm.hidden_size) if net.carries_state else None
            return cls(is_time_first=True, state_shape=shape)
        return cls(is_time_first=False, state_shape=None) if isinstance(net, TransformerLanguageModel) else None

    @property
    def batch_dim(self) -> int:
        """The batch axis of the tokens."""
        return 1 if self.is_time_first else 0

    @property
    def carried(self) -> str | None:
        """The name of the state among the inputs, None where there is none."""
        return None if self.state_shape is None else "state"

    def lay(self, tokens_BT: Tensor) -> Tensor:
        """Return tokens as the network takes them."""
        return tokens_BT.t().contiguous() if self.is_time_first else tokens_BT

    def first_state(self, tokens: Tensor) -> State | None:
        """Return the state before the first token of a text, zero, for tokens as the network takes them."""
        if self.state_shape is None:
            return None
        num_layers, hidden = self.state_shape
        zeros = torch.zeros(num_layers, tokens.shape[self.batch_dim], hidden, device=tokens.device)
        return zeros, zeros.clone()

    def arguments(self, tokens: Tensor, state: State | None) -> tuple[Tensor | State, ...]:
        """Return the inputs of one call, for tokens as the network takes them."""
        return (tokens,) if state is None else (tokens, state)
