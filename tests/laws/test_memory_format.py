"""Convolutions in channels_last stay so: in views, in gradients, in what is taken home and what is exported."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from widthwise.elastic import Elastic, export

LAST = torch.channels_last
DECLARED = [{"a.weight": "n _ _ _", "a.bias": "n", "b.weight": "_ n _ _"}]


class Pictures(nn.Module):
    """Returns a picture, and numbers of it."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.head = nn.Conv2d(4, 32, 3, padding=1), nn.Conv2d(32, 24, 3), nn.Linear(24 * 16, 5)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.b(self.a(x).relu())
        return x, self.head(x.flatten(1))


def is_last(tensor: Tensor) -> bool:
    return tensor.is_contiguous(memory_format=LAST) and not tensor.is_contiguous()


def make_model(**settings: Any) -> Elastic:
    example = () if "groups" in settings else ((torch.zeros(2, 4, 6, 6),),)
    return Elastic(Pictures().to(memory_format=LAST), *example, **settings)


@pytest.fixture(params=["traced", "declared"])
def model(request: pytest.FixtureRequest) -> Elastic:
    return make_model(groups=DECLARED) if request.param == "declared" else make_model()


def test_a_picture_stays_channels_last_at_every_width_and_in_gradients(model: Elastic) -> None:
    x = torch.randn(8, 4, 6, 6).to(memory_format=LAST)
    with model.eval().at(0.5):
        assert is_last(model(x)[0])
    picture, numbers = model.train()(x)
    assert is_last(picture)
    (picture.sum() + numbers.sum()).backward()
    assert all(is_last(layer.weight.grad) for layer in (model.net.a, model.net.b))


@pytest.mark.parametrize("form", ["module", "graph"])
def test_what_is_taken_home_is_channels_last(form: Any) -> None:
    small = make_model().extract(0.5, form=form)
    weights = {name: tensor for name, tensor in small.named_parameters() if tensor.dim() == 4}
    assert [tuple(tensor.shape[:2]) for tensor in weights.values()] == [(16, 4), (24, 16)]
    assert all(map(is_last, weights.values()))
    assert is_last(small(torch.randn(3, 4, 6, 6))[0])


def test_named_groups_are_taken_home_channels_last() -> None:
    small = make_model(groups=DECLARED).extract(0.5)
    assert is_last(small.a.weight)
    assert is_last(small.b.weight)


def test_a_network_in_the_usual_format_stays_in_that() -> None:
    small = Elastic(Pictures(), (torch.zeros(2, 4, 6, 6),)).extract(0.5)
    assert all(tensor.is_contiguous() for tensor in small.parameters())


@pytest.mark.parametrize("ending", ["pt", "pt2", "safetensors"])
def test_exported_files_are_checked_and_kept(ending: str, tmp_path: Path) -> None:
    file = tmp_path / f"small.{ending}"
    export(make_model().eval(), 0.5, file)
    assert file.stat().st_size > 0
