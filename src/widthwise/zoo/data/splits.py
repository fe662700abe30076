"""What a data set is here: three splits in memory, samples with labels or running text, and what a model must know."""

# N tokens of a text
from dataclasses import dataclass
from typing import ClassVar, Literal

from torch import Tensor
from torch.utils.data import TensorDataset

__all__ = ["DataSplits", "Task", "TextSplits"]

Task = Literal["classification", "language"]
"""What is learned: the label of each sample, or the next token of a text."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSplits:
    """Hold a data set of samples in memory: each split gives (input, label), float32 and int64.

    Training reads `train`; tuning, picking and stopping early read `validation`; `test` is for the finished run.
    """

    task: ClassVar[Literal["classification"]] = "classification"
    name: str
    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    num_classes: int
    input_shape: tuple[int, ...]
    """Shape of one input, without the batch: (channels, height, width) or (points, 3)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSplits:
    """Hold a text in memory: each split is one long int64 tensor (N,) of tokens, numbers into the vocabulary.

    The splits are used as those of `DataSplits` are; `lay_columns` and `cut_windows` make samples of them.
    """

    task: ClassVar[Literal["language"]] = "language"
    name: str
    train: Tensor
    validation: Tensor
    test: Tensor
    vocabulary: tuple[str, ...]
    """The tokens in the order of their numbers."""

    @property
    def num_classes(self) -> int:
        """How many tokens there are to choose the next one from."""
        return len(self.vocabulary)
