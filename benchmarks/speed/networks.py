"""The networks that are timed: of the zoo, with the size of a batch and how it lies in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from widthwise.zoo import build_model

__all__ = ["GPU_NETWORKS", "NETWORKS", "Network"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network of the zoo, and a batch of it.

    Attributes:
        words: What it is, for the result file.
        model: Its name in the zoo.
        arguments: Its sizes there.
        shape: Of one sample.
        batch: Samples of a training step.
        num_classes: Outputs of its head.
        is_channels_last: Whether the channels of a pixel lie side by side, which convolutions on a CPU like best.
    """

    words: str
    model: str
    arguments: Mapping[str, object]
    shape: tuple[int, ...]
    batch: int
    num_classes: int = 10
    is_channels_last: bool = False

    def build(self, generator: torch.Generator) -> nn.Module:
        """Return the network, its first parameters drawn by the generator."""
        net = build_model(self.model, generator=generator, **self.arguments)
        # The stubs have no call with a memory format alone.
        return net.to(memory_format=torch.channels_last) if self.is_channels_last else net  # pyright: ignore[reportCallIssue]

    def draw_inputs(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Return random samples."""
        x = torch.rand(num_samples, *self.shape, generator=generator)
        return x.contiguous(memory_format=torch.channels_last) if self.is_channels_last else x

    def draw_batch(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return the random samples of a training step, and random classes for them."""
        return self.draw_inputs(self.batch, generator), torch.randint(
            self.num_classes, (self.batch,), generator=generator
        )


def _make_mlp(width: int, batch: int) -> Network:
    return Network(
        words=f"MLP 784-{width}-{width}-10, batch {batch}",
        model="mlp",
        arguments={"sizes": [784, width, width, 10]},
        shape=(784,),
        batch=batch,
    )


NETWORKS: Mapping[str, Network] = {
    "mlp_256": _make_mlp(256, batch=256),
    "mlp_1024": _make_mlp(1024, batch=256),
    "vit": Network(
        words="VisionTransformer on 3x32x32: width 96, depth 4, 4 heads, hidden 384, patches of 4x4, batch 64",
        model="vit",
        arguments={"width": 96, "depth": 4, "num_heads": 4, "hidden": 384},
        shape=(3, 32, 32),
        batch=64,
    ),
    "resnet": Network(
        words="ResidualConvNet 32-48-96 on 3x32x32, stem of stride 2, channels last, batch 128",
        model="resnet",
        arguments={"widths": [32, 48, 96], "stem_stride": 2},
        shape=(3, 32, 32),
        batch=128,
        is_channels_last=True,
    ),
}
"""The networks that a CPU trains, by name."""

GPU_NETWORKS: Mapping[str, Network] = {
    "mlp_4096": _make_mlp(4096, batch=1024),
    "vit_s": Network(
        words="ViT-S/16 on 3x224x224: width 384, depth 12, 6 heads, hidden 1536, mean of the patches, batch 64",
        model="vit",
        arguments={
            "num_classes": 1000,
            "side": 224,
            "patch": 16,
            "width": 384,
            "depth": 12,
            "num_heads": 6,
            "hidden": 1536,
        },
        shape=(3, 224, 224),
        batch=64,
        num_classes=1000,
    ),
    "resnet_18": Network(
        words="as ResNet-18 on 3x224x224, but with a stem of 3x3 without pooling: 64-128-256-512, 2 blocks each, "
        "batch 64",
        model="resnet",
        arguments={"num_classes": 1000, "widths": [64, 128, 256, 512], "blocks": 2, "stem_stride": 2},
        shape=(3, 224, 224),
        batch=64,
        num_classes=1000,
    ),
}
"""The networks that a GPU trains, by name."""
