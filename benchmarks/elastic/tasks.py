"""What the laws are compared on: a recipe at a size that two cores train in minutes, and how it is scored."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

__all__ = ["FRACTIONS", "TASKS", "PeerTask"]

FRACTIONS = (1.0, 0.5, 0.25, 0.125, 0.0625, 0.03125)


@dataclass(frozen=True, kw_only=True, slots=True)
class PeerTask:
    """A recipe with changes.

    Attributes:
        title: In the table.
        words: What is trained on what, for the table.
        recipe: The name of the recipe.
        epochs: Of the plain training.
        rate: The learning rate of the laws; `alone_rate` that of the networks of one width.
        alone_rate: See `rate`.
        changes: What differs from the recipe.
        num_curve: Points of the curve, at equal distances from 1/32 to 1; None for every width.
        measure: "accuracy" in percent, or "perplexity", of which less is better.
    """

    title: str
    words: str
    recipe: str
    epochs: int
    rate: float
    alone_rate: float
    changes: tuple[str, ...] = ()
    num_curve: int | None = 32
    measure: Literal["accuracy", "perplexity"] = "accuracy"


_MLP = "MLP 784-256-256-10, batch 128, Adam with one cycle"

TASKS: Mapping[str, PeerTask] = MappingProxyType(
    {
        "mnist": PeerTask(
            title="MNIST",
            words=_MLP,
            recipe="mnist-mlp",
            epochs=8,
            rate=5e-3,
            alone_rate=1.2e-2,
            num_curve=None,
        ),
        "fashion_mnist": PeerTask(
            title="Fashion-MNIST",
            words=_MLP,
            recipe="fashion-mlp",
            epochs=8,
            rate=5e-3,
            alone_rate=1.2e-2,
            num_curve=None,
        ),
        "cifar_resnet": PeerTask(
            title="CIFAR-10, residual convnet",
            words="Residual convnet 16-32-64 with a stem of stride 2, 3.1 million MACs, batch 128, Adam with one cycle",
            recipe="cifar-resnet",
            epochs=10,
            rate=1e-2,
            alone_rate=1e-2,
            changes=(
                "model.settings.widths=[16, 32, 64]",
                "model.settings.stem_stride=2",
                "training.channels_last=true",
            ),
        ),
    }
)
