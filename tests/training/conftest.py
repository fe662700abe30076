"""A task that trains in milliseconds: three clouds of points in four dimensions, and a recipe for them."""

from pathlib import Path

import pytest
import torch
from torch.utils.data import TensorDataset

from widthwise.training import Recipe, network, parse_recipe
from widthwise.zoo import DataSplits

TINY = """
name = "tiny"
[data]
name = "clouds"
input_shape = [1, 2, 2]
[model]
name = "mlp"
[model.settings]
sizes = [4, 32, 32, 3]
[training]
epochs = 4
batch_size = 32
learning_rate = 0.05
[elastic]
lowest = 0.25
"""


def make_clouds(num_samples: int, generator: torch.Generator) -> TensorDataset:
    labels = torch.arange(num_samples) % 3
    centres = torch.tensor([[1.0, 0, 0, 0], [0, 1.0, 0, 0], [0, 0, 1.0, 0]])
    points = centres[labels] + 0.2 * torch.randn(num_samples, 4, generator=generator)
    return TensorDataset(points.reshape(-1, 1, 2, 2), labels)


def make_splits() -> DataSplits:
    generator = torch.Generator().manual_seed(0)
    train, validation, test = (make_clouds(count, generator) for count in (150, 60, 60))
    return DataSplits(
        name="clouds", train=train, validation=validation, test=test, num_classes=3, input_shape=(1, 2, 2)
    )


@pytest.fixture
def clouds(monkeypatch: pytest.MonkeyPatch) -> DataSplits:
    """The splits, which recipes then find under the name "clouds"."""
    splits = make_splits()

    def load_data(name: str, folder: Path | None = None) -> DataSplits:
        assert name == "clouds"
        return splits

    monkeypatch.setattr(network, "load_data", load_data)
    return splits


@pytest.fixture
def tiny(clouds: DataSplits) -> Recipe:
    """The recipe, whose data is at hand."""
    return parse_recipe(TINY)
