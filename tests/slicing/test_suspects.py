import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from widthwise.elastic import Elastic
from widthwise.slicing.suspects import has_suspects


class Scaled(nn.Module):
    """A hidden layer of 16 units that is scaled on the way."""

    def __init__(self, scale: Callable[["Scaled", Tensor], Tensor], held: object) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 16), nn.Linear(16, 2)
        self.scale, self.held = scale, held

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.scale(self, self.a(x)))


class Attention(nn.Module):
    """Four heads of width sixteen: 1 / sqrt(16) is 1 / 4 too."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.out = nn.Linear(6, 3 * 64), nn.Linear(64, 6)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, _ = x.shape
        q, k, v = self.qkv(x).view(batch, length, 3, 4, 16).permute(2, 0, 3, 1, 4)
        scores = (q @ k.transpose(-2, -1)) * k.size(-1) ** -0.5
        return self.out((scores.softmax(dim=-1) @ v).transpose(1, 2).flatten(2))


def suspects(net: nn.Module, x: Tensor, *, queries: bool = False) -> bool:
    sliced = Elastic(net.eval(), (x,), queries=queries)._engine.sliced
    return has_suspects(net, sliced.evaluation.program.inference, sliced.groups)


@pytest.mark.parametrize(
    ("scale", "held", "expected"),
    [
        (lambda _, y: y * 0.3, None, False),
        (lambda _, y: y / y.shape[-1], None, True),
        (lambda _, y: y * y.shape[-1] ** -0.5, None, True),
        (lambda s, y: y * s.held, 0.25, False),
        (lambda s, y: y * -s.held, 0.25, False),
        # A whole number that a module holds is as likely a size.
        (lambda s, y: y / int(str(s.held)), 16, True),
    ],
)
def test_a_number_like_a_size_is_a_suspect_unless_the_module_holds_it(
    scale: Callable[[Scaled, Tensor], Tensor], held: object, expected: bool
) -> None:
    assert suspects(Scaled(scale, held), torch.randn(3, 6)) is expected


class Written(nn.Module):
    """A hidden layer of 16 units that is scaled by what a line of `forward` makes."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.a, self.b, self.way, self.width = nn.Linear(6, 16), nn.Linear(16, 2), way, 16
        self.half = -0.5

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x)
        if self.way == "attribute":
            y = y * self.width**-0.5
        elif self.way == "root":
            y = y / math.sqrt(self.a.out_features)
        elif self.way == "literal":
            y = y * (1 / 16)
        elif self.way == "shape":
            y = y * y.shape[-1] ** -0.5
        elif self.way == "power":
            y = y * y.shape[-1] ** self.half
        elif self.way == "both":
            y = y * self.b.weight.shape[1] ** -0.5 + self.width
        elif self.way == "lines":
            y = (
                y
                * self.width**-0.5
            )  # fmt: skip
        return self.b(y)


@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("attribute", False),
        ("root", False),
        ("shape", True),
        ("both", True),
        ("power", True),
        # What is not told by one line stays a suspect, and so do literals, which stand in exponents too.
        ("literal", True),
        ("lines", True),
    ],
)
def test_what_a_line_makes_of_attributes_is_no_suspect(way: str, expected: bool) -> None:
    assert suspects(Written(way), torch.randn(3, 6)) is expected


def test_the_scale_of_scores_is_explained_by_queries_that_keep_their_width() -> None:
    assert not suspects(Attention(), torch.randn(2, 5, 6))


def test_the_scale_of_scores_is_a_suspect_where_queries_shrink() -> None:
    assert suspects(Attention(), torch.randn(2, 5, 6), queries=True)
