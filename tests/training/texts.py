"""A text that is learned in milliseconds: three words in turn, now and then a fourth; and a recipe for it."""

import torch
from torch import Tensor

from widthwise.zoo import TextSplits

TEXT = """
name = "verse"
[data]
name = "shakespeare"
input_shape = [5]
[model]
name = "lstm_lm"
[model.settings]
vocabulary = 4
embedded = 16
hidden = 16
num_layers = 1
[training]
epochs = 3
batch_size = 8
learning_rate = 0.05
[elastic]
lowest = 0.25
"""

WINDOWS = TEXT.replace("num_layers = 1", "num_layers = 1\ncarries_state = false").replace('"verse"', '"windows"')

TRANSFORMER = """
name = "blocks"
[data]
name = "shakespeare"
input_shape = [5]
[model]
name = "transformer_lm"
[model.settings]
vocabulary = 4
context = 5
width = 8
depth = 1
num_heads = 2
hidden = 16
[training]
epochs = 3
batch_size = 8
learning_rate = 0.02
[elastic]
lowest = 0.25
"""


def make_tokens(count: int, seed: int) -> Tensor:
    tokens = torch.arange(count) % 3
    odd = torch.rand(count, generator=torch.Generator().manual_seed(seed)) < 0.05
    return torch.where(odd, 3, tokens)


def make_text() -> TextSplits:
    train, validation, test = (make_tokens(count, seed) for seed, count in enumerate((801, 203, 207)))
    return TextSplits(name="shakespeare", train=train, validation=validation, test=test, vocabulary=tuple("abc."))
