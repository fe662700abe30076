"""Networks on which the laws are held, each with a sampler of its inputs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils import _pytree as pytree

from widthwise.elastic import Elastic, Law
from widthwise.slicing import Kept
from widthwise.zoo.models import MLP, ResidualConvNet

TOLERANCES = {torch.float64: 1e-12, torch.float32: 1e-5}
# Lowest enough for tests to ask for a single unit without a warning.
LAW = Law(lowest=1e-6)
Sampler = Callable[[int, torch.Generator, torch.dtype], tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A network, its inputs, and whether dropped units may be masked in its parameters (class L, with ReLU)."""

    name: str
    make: Callable[[], nn.Module]
    sample: Sampler
    is_maskable: bool = True

    def __str__(self) -> str:
        return self.name


class ConvNet(nn.Module):
    """Plain, grouped and depthwise convolutions, a transposed one, group norm, and a flattened picture."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.pointwise = nn.Conv2d(8, 12, 1)
        self.grouped = nn.Conv2d(12, 6, 3, padding=1, groups=3)
        self.up = nn.ConvTranspose2d(6, 4, 2, stride=2)
        self.fc = nn.Linear(4 * 8 * 8, 7)
        self.head = nn.Linear(7, 3)

    def forward(self, image: Tensor) -> Tensor:
        out = torch.relu(self.norm(self.stem(image)))
        out = torch.relu(self.pointwise(self.depthwise(out)))
        out = torch.relu(self.up(torch.relu(self.grouped(out))))
        return self.head(torch.relu(self.fc(out.flatten(1))))


class JoinNet(nn.Module):
    """Concatenates, splits, slices and flattens hidden units, with sizes written into its code."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(5, 6), nn.Linear(5, 4)
        self.mix = nn.Linear(10, 8)
        self.lower = nn.Linear(4, 4)
        self.head = nn.Linear(24, 3)

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([torch.relu(self.left(x)), torch.relu(self.right(x))], dim=-1)
        one, other = torch.relu(self.mix(joined)).split(4, dim=-1)
        picture = torch.stack(
            [one[:, None] * x[:, :2, None], torch.relu(self.lower(other))[:, None].expand(-1, 2, -1)], 1
        )
        picture = torch.cat(
            [picture.flatten(1), joined[:, :6] + 0, joined[:, 6:].sum(-1, keepdim=True).expand(-1, 2)], 1
        )
        return self.head(picture)


class DictNet(nn.Module):
    """Takes keyword inputs and returns nested outputs, one of them a mean over the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.mask_embed = nn.Linear(4, 9), nn.Linear(2, 9)
        self.head, self.side = nn.Linear(9, 3), nn.Linear(9, 2)

    def forward(self, x: Tensor, mask: Tensor, scale: float = 2.0) -> dict[str, Any]:
        hidden = torch.relu(self.embed(x)) + scale * torch.relu(self.mask_embed(mask))
        return {"logits": self.head(hidden), "more": (self.side(hidden), [self.head(hidden).mean()], scale)}


class TokenNet(nn.Module):
    """An embedding classifier whose table is also its last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(11, 6)
        self.fc = nn.Linear(6, 10)
        self.back = nn.Linear(10, 6)
        self.head = nn.Linear(6, 11, bias=False)
        self.head.weight = self.table.weight
        self.unread = nn.Linear(3, 3)

    def forward(self, tokens: Tensor) -> Tensor:
        return self.head(self.back(torch.relu(self.fc(self.table(tokens).sum(1)))))


class PairNet(nn.Module):
    """Two inputs, dropout inside, and one hidden layer used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.other = nn.Linear(3, 8), nn.Linear(2, 8)
        self.twice = nn.Linear(8, 8)
        self.dropout = nn.Dropout(0.4)
        self.head = nn.Linear(8, 2)

    def forward(self, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
        hidden = torch.relu(self.one(one)) * torch.relu(self.other(other))
        hidden = torch.relu(self.twice(torch.relu(self.twice(self.dropout(hidden)))))
        return self.head(hidden), hidden.sum(-1)


class LossNet(nn.Module):
    """Computes its own loss."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        return functional.cross_entropy(self.head(torch.relu(self.fc(x))), labels)


class LiteralNet(nn.Module):
    """Cuts its hidden units at a number written into the code."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(5, 8), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.fc(x))
        return self.head(hidden[:, 4:] + 2 * hidden[:, :4])


def floats(*shape: int) -> Sampler:
    """One positional input of random numbers."""

    def sample(batch: int, generator: torch.Generator, dtype: torch.dtype) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (torch.randn(batch, *shape, generator=generator, dtype=dtype),), {}

    return sample


def _tokens(batch: int, generator: torch.Generator, dtype: torch.dtype) -> tuple[tuple[Any, ...], dict[str, Any]]:
    return (torch.randint(0, 11, (batch, 3), generator=generator),), {}


def _pair(batch: int, generator: torch.Generator, dtype: torch.dtype) -> tuple[tuple[Any, ...], dict[str, Any]]:
    (one,), _ = floats(3)(batch, generator, dtype)
    (other,), _ = floats(2)(batch, generator, dtype)
    return (one, other), {}


def _named(batch: int, generator: torch.Generator, dtype: torch.dtype) -> tuple[tuple[Any, ...], dict[str, Any]]:
    (x,), _ = floats(4)(batch, generator, dtype)
    (mask,), _ = floats(2)(batch, generator, dtype)
    return (), {"x": x, "mask": mask}


def _labelled(batch: int, generator: torch.Generator, dtype: torch.dtype) -> tuple[tuple[Any, ...], dict[str, Any]]:
    (x,), _ = floats(4)(batch, generator, dtype)
    return (x, torch.randint(0, 3, (batch,), generator=generator)), {}


CASES = {
    case.name: case
    for case in (
        Case(name="mlp", make=lambda: MLP([6, 10, 7, 3]), sample=floats(6)),
        Case(name="mlp-norm", make=lambda: MLP([6, 10, 7, 3], batch_norm=True), sample=floats(2, 3)),
        Case(name="resnet", make=lambda: ResidualConvNet(2, 3, widths=(4, 6)), sample=floats(2, 6, 6)),
        Case(name="conv", make=ConvNet, sample=floats(2, 4, 4)),
        Case(name="join", make=JoinNet, sample=floats(5)),
        Case(name="dict", make=DictNet, sample=_named),
        Case(name="tokens", make=TokenNet, sample=_tokens, is_maskable=False),
        Case(name="pair", make=PairNet, sample=_pair),
        Case(name="loss", make=LossNet, sample=_labelled),
        Case(name="literal", make=LiteralNet, sample=floats(5)),
    )
}
DETERMINISTIC = [name for name in CASES if name != "pair"]


def make_model(name: str, dtype: torch.dtype = torch.float64, law: Law = LAW, **settings: Any) -> Elastic:
    """A new elastic model of a case, with random parameters and statistics."""
    case = CASES[name]
    net = case.make().to(dtype).eval()
    randomize(net, 0)
    args, kwargs = case.sample(4, make_generator(0), dtype)
    return Elastic(net, kwargs or args, law=law, **settings)


@cache
def shared_model(name: str, dtype: torch.dtype = torch.float64, law: Law = LAW, **settings: Any) -> Elastic:
    """A model that several tests share, since tracing takes its time; they change its parameters and modes only."""
    return make_model(name, dtype, law, **settings)


def reset_model(name: str, law: Law = LAW, **settings: Any) -> Elastic:
    """The shared model as if it were new, in training mode."""
    model = shared_model(name, law=law, **settings)
    randomize(model.net, 0)
    for buffer in model.net.buffers():
        if not buffer.is_floating_point():
            buffer.zero_()
    model.generator.manual_seed(0)
    return model.train()


@torch.no_grad()
def randomize(net: nn.Module, seed: int) -> None:
    """Draw all parameters and statistics anew; none of them is constant, variances are positive."""
    generator = make_generator(seed)
    for parameter in net.parameters():
        parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64) * 0.5)
        parameter.grad = None
    for buffer in net.buffers():
        if buffer.is_floating_point():
            buffer.copy_(torch.rand(buffer.shape, generator=generator, dtype=torch.float64) + 0.5)


def make_generator(seed: int) -> torch.Generator:
    """A generator of one seed."""
    return torch.Generator().manual_seed(seed)


def draw_widths(model: Elastic, seed: int) -> dict[str, int]:
    """A width for each group, one of them often a single unit or full."""
    generator = make_generator(seed)
    widths: dict[str, int] = {}
    for group in model.groups:
        kind = int(torch.randint(0, 5, (), generator=generator))
        uniform = int(torch.randint(1, group.size + 1, (), generator=generator))
        widths[group.name] = {0: 1, 1: group.size}.get(kind, uniform)
    return widths


def draw_kept_sets(model: Elastic, seed: int) -> dict[str, Tensor]:
    """Sorted units of each group that are no prefix."""
    generator = make_generator(seed)
    return {
        group.name: torch.randperm(group.size, generator=generator)[: max(1, group.size // 2)].sort().values
        for group in model.groups
    }


def kept_of(model: Elastic, widths: Mapping[str, Any]) -> Kept:
    """Kept sets by atom, as the room of slicing takes them."""
    return {group.key: widths[group.name] for group in model.groups}


def assert_same(one: Any, other: Any) -> None:
    """Equal within rounding, relative to the largest entry of each tensor; nested structures alike."""
    left, left_spec = pytree.tree_flatten(one)
    right, right_spec = pytree.tree_flatten(other)
    assert left_spec == right_spec
    for a, b in zip(left, right, strict=True):
        if not isinstance(a, Tensor):
            assert a == b
            continue
        assert a.shape == b.shape
        assert a.dtype == b.dtype
        tolerance = TOLERANCES.get(a.dtype, 0.0) * max(1e-30, float(b.detach().abs().max()) if b.numel() else 0.0)
        torch.testing.assert_close(a, b, rtol=0.0, atol=tolerance)
