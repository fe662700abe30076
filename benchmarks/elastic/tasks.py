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
        rate: The learning rate of the laws.
        alone_rates: Those of the networks of one width; each has the one that does best on the validation split.
        changes: What differs from the recipe.
        num_curve: Points of the curve, at equal distances from 1/32 to 1; None for every width.
        measure: "accuracy" in percent, or "perplexity", of which less is better.
    """

    title: str
    words: str
    recipe: str
    epochs: int
    rate: float
    alone_rates: tuple[float, ...]
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
            alone_rates=(5e-3, 1.2e-2),
            num_curve=None,
        ),
        "fashion_mnist": PeerTask(
            title="Fashion-MNIST",
            words=_MLP,
            recipe="fashion-mlp",
            epochs=8,
            rate=5e-3,
            alone_rates=(5e-3, 1.2e-2),
            num_curve=None,
        ),
        "cifar_resnet": PeerTask(
            title="CIFAR-10, residual convnet",
            words="Residual convnet 16-32-64 with a stem of stride 2, 3.1 million MACs, batch 128, Adam with one cycle",
            recipe="cifar-resnet",
            epochs=6,
            rate=1e-2,
            alone_rates=(5e-3, 1e-2),
            changes=(
                "model.settings.widths=[16, 32, 64]",
                "model.settings.stem_stride=2",
                "training.channels_last=true",
            ),
        ),
        "cifar_vit": PeerTask(
            title="CIFAR-10, vision transformer",
            words=(
                "Vision transformer, 16 patches of 8 x 8, 4 blocks of 4 heads and 256 hidden units on a stream of 64 "
                "that keeps its width, 3.5 million MACs, batch 128, AdamW with warm-up and cosine"
            ),
            recipe="cifar-vit",
            epochs=6,
            rate=1e-3,
            alone_rates=(1e-3, 2e-3),
            changes=(
                "model.settings.patch=8",
                "model.settings.width=64",
                "model.settings.depth=4",
                "model.settings.num_heads=4",
                "model.settings.hidden=256",
                "model.settings.dropout=0.0",
            ),
        ),
        "shrec_pointnet": PeerTask(
            title="SHREC'11, PointNet",
            words="PointNet 64-64-128-512 and 256-128 on clouds of 1024 points, batch 32, Adam with one cycle",
            recipe="shrec-pointnet",
            epochs=20,
            rate=3e-3,
            alone_rates=(3e-3, 6e-3),
        ),
        "ptb_lstm": PeerTask(
            title="Penn Treebank, LSTM",
            words=(
                "LSTM 2 x 200 on the first 5,000 windows of 35 words of each split, the state carried through 20 "
                "columns, Adam with one cycle"
            ),
            recipe="ptb-lstm",
            epochs=3,
            rate=3e-3,
            alone_rates=(3e-3, 6e-3),
            changes=("data.limit=5000",),
            num_curve=16,
            measure="perplexity",
        ),
        "ptb_transformer": PeerTask(
            title="Penn Treebank, transformer",
            words=(
                "Transformer of 4 blocks of 4 heads and 512 hidden units on a stream of 128 that keeps its width, on "
                "the first 3,000 windows of 64 words of each split, AdamW with warm-up and cosine"
            ),
            recipe="ptb-transformer",
            epochs=3,
            rate=1e-3,
            alone_rates=(1e-3, 2e-3),
            changes=("data.limit=3000",),
            num_curve=16,
            measure="perplexity",
        ),
    }
)
