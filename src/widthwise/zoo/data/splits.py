"""What a data set is here: three splits in memory, and the two facts that a model needs."""

from dataclasses import dataclass

from torch.utils.data import TensorDataset

__all__ = ["DataSplits"]


@dataclass(frozen=True, kw_only=True, slots=True)
class DataSplits:
    """Hold a data set in memory: each split gives (input, label), float32 in 0..1 and int64.

    Training reads `train`; tuning, picking and stopping early read `validation`; `test` is for the finished run.
    """

    name: str
    train: TensorDataset
    validation: TensorDataset
    test: TensorDataset
    num_classes: int
    input_shape: tuple[int, ...]
    """Shape of one input, without the batch: (channels, height, width)."""
