"""Networks that cannot be traced as a whole, with a part that can."""

from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from tests.networks import make_generator
from widthwise.elastic import Elastic, Law

FOUR = Law(lowest=1 / 10)
EXACT = torch.float64


class Encoder(nn.Module):
    """A convolutional encoder with a batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.fc1, self.fc2 = nn.Linear(8, 16), nn.Linear(16, 5)

    def forward(self, image: Tensor, *, scale: float = 1.0) -> Tensor:
        pooled = torch.relu(self.norm(self.conv(image))).mean((2, 3))
        return self.fc2(torch.relu(self.fc1(scale * pooled)))


class Attending(nn.Module):
    """An encoder of token vectors with a mask."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 12, dropout=0.0, batch_first=True)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        return self.layer(x, src_key_padding_mask=mask)


class Pictures(nn.Module):
    """Asks a value which way to go, so that it cannot be traced; a batch norm and a head come after its encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = Encoder()
        self.norm, self.head = nn.BatchNorm1d(5), nn.Linear(5, 3)

    def forward(self, image: Tensor) -> Tensor:
        found = self.encoder(image, scale=0.5)
        if float(image.detach().sum()) > 0:
            found = -found
        return self.head(self.norm(found))


class Sentences(nn.Module):
    """Drops the rows of a batch that hold nothing before it encodes the others."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.encoder, self.head = nn.Embedding(7, 8), Attending(), nn.Linear(8, 3)

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        rows = [i for i, row in enumerate(tokens.tolist()) if any(row)]
        known = tokens[rows]
        encoded = self.encoder(self.table(known), mask=known == 0)
        return {"scores": self.head(encoded.mean(1)), "rows": torch.tensor(rows)}


def images(batch: int = 8, seed: int = 1, dtype: torch.dtype = EXACT) -> Tensor:
    return torch.randn(batch, 1, 6, 6, generator=make_generator(seed), dtype=torch.float64).to(dtype)


def disturb(net: nn.Module) -> nn.Module:
    """Give statistics and gains of norms values that are all different."""
    generator = make_generator(5)
    with torch.no_grad():
        for tensor in (*net.parameters(), *net.buffers()):
            if tensor.is_floating_point() and tensor.dim() == 1:
                tensor.add_(torch.rand(tensor.shape, generator=generator, dtype=torch.float64).to(tensor))
    return net


def make_pictures(**options: Any) -> Elastic:
    net = disturb(Pictures().double())
    options = {"law": FOUR, "submodule": "encoder", "generator": make_generator(0), **options}
    return Elastic(net, (images(4),), **options).eval()


@cache
def shared_pictures() -> Elastic:
    return make_pictures()


def wrap(net: nn.Module, x: Any, **options: Any) -> Elastic:
    return Elastic(net.double().eval(), x, law=FOUR, **{"submodule": "encoder", **options})
