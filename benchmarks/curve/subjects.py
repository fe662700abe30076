"""The networks of the zoo whose files and whose switching are measured, untrained: neither depends on the numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

import widthwise as ww
from widthwise.zoo import build_model

__all__ = ["SUBJECTS", "Subject"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Subject:
    """A network of the zoo and one sample of it.

    Attributes:
        words: What it is, for the result file.
        model: Its name in the zoo.
        shape: Of one sample.
        arguments: Its sizes there.
        num_tokens: The words of its vocabulary; None for inputs of real numbers.
        batch_dim: The axis along which samples stand.
    """

    words: str
    model: str
    shape: tuple[int, ...]
    arguments: Mapping[str, object] = field(default_factory=dict[str, object])
    num_tokens: int | None = None
    batch_dim: int = 0

    def draw(self, num_samples: int, generator: torch.Generator) -> Tensor:
        """Return random samples."""
        shape = (*self.shape[: self.batch_dim], num_samples, *self.shape[self.batch_dim :])
        if self.num_tokens is None:
            return torch.rand(shape, generator=generator)
        return torch.randint(self.num_tokens, shape, generator=generator)

    def build(self, generator: torch.Generator, law: str = "log_uniform") -> ww.Elastic:
        """Return the network as an elastic model in evaluation mode, its parameters drawn by the generator."""
        net = build_model(self.model, generator=generator, **self.arguments).eval()
        return ww.Elastic(net, (self.draw(2, generator),), law=law, batch_dim=self.batch_dim)


SUBJECTS: Mapping[str, Subject] = {
    "mlp": Subject(words="MLP 784-256-256-10", model="mlp", shape=(784,), arguments={"sizes": [784, 256, 256, 10]}),
    "resnet": Subject(words="ResidualConvNet 16-24-48 on 3x32x32", model="resnet", shape=(3, 32, 32)),
    "vit": Subject(
        words="VisionTransformer on 3x32x32: width 128, depth 6, 4 heads, hidden 512", model="vit", shape=(3, 32, 32)
    ),
    "pointnet": Subject(words="PointNet on 64 points", model="pointnet", shape=(64, 3)),
    "lstm_lm": Subject(
        words="LSTMLanguageModel: 10,000 words, 2 x 200, sequence 35, without a carried state",
        model="lstm_lm",
        shape=(35,),
        arguments={"carries_state": False},
        num_tokens=10_000,
        batch_dim=1,
    ),
}
"""By name."""
