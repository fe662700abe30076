import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.untraceable import make_convolutions, make_model, make_net
from widthwise._shared import DataError, GroupError, TraceError, WidthError
from widthwise.elastic import Elastic, Law


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"stream": True}, GroupError, "expected groups= alone, got stream=, queries=, values=, freeze=, only="),
        ({"freeze": ["a"]}, GroupError, "expected groups= alone"),
        ({"law": "paper"}, WidthError, "expected a law without rescale for named groups, got rescale='inverse'"),
    ],
)
def test_what_needs_a_trace_is_refused(settings: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        make_model(**settings)


def test_an_extract_that_needs_a_trace_is_refused() -> None:
    model = make_model()
    with pytest.raises(GroupError, match="refit needs to know the last layer, but this model is not traced"):
        model.extract(0.5, refit=[])
    with pytest.raises(WidthError, match="form must be 'module' or None, got 'graph': there is no graph"):
        model.extract(0.5, form="graph")


def test_an_empty_calibration_is_an_error() -> None:
    with pytest.raises(DataError, match="calibration needs at least one batch, got an empty loader"):
        make_convolutions().extract(0.5, calibrate=[])
    with pytest.raises(DataError, match=r"more than one value per channel in every batch, got shape \(1, 4, 1, 1\)"):
        make_convolutions().extract(0.5, calibrate=[torch.randn(1, 3, 1, 1)])


def test_neither_an_example_nor_groups_is_an_error() -> None:
    with pytest.raises(TraceError, match=r"expected example_inputs, got none; give .* or name the groups \(groups=\)"):
        Elastic(make_net())


def test_inputs_without_a_batch_axis_are_an_error() -> None:
    model = make_model(batch_dim=3).train()
    with pytest.raises(TraceError, match="inputs must hold a tensor with at least 4 axes, got none"):
        model(torch.randn(4, 5, 8))


class Ending(nn.Module):
    """Hidden units, and what is made of its rows in the end."""

    def __init__(self, end: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.fc, self.norm, self.drop, self.head = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
        self.end = end

    def forward(self, x: Tensor) -> Any:
        return self.end(self.head(self.drop(self.norm(self.fc(x)))))


def make_ending(end: Callable[[Tensor], Any]) -> Elastic:
    names = ("fc.weight", "fc.bias", *(f"norm.{name}" for name in ("weight", "bias", "running_mean", "running_var")))
    shapes: dict[str, Any] = dict(zip(names, ("n _", "n", "n", "n", "n", "n"), strict=True))
    generator = torch.Generator().manual_seed(0)
    return Elastic(Ending(end), groups=[{**shapes, "head.weight": "_ n"}], law=Law(lowest=0.25), generator=generator)


@pytest.mark.parametrize(
    ("end", "text"),
    [
        (
            lambda y: y.T,
            (
                "the batch must be axis 0 of output 0, got the shape (3, 4) for 4 samples and (3, 5) for 5; let the "
                "network return one row per sample, or set batch_dim="
            ),
        ),
        (lambda y: {"a": y, "b": y.flatten()}, "the batch must be axis 0 of output 1, got the shape (12,) for 4"),
        (lambda y: y @ y.T, "the batch must be axis 0 of output 0, got the shape (4, 4) for 4 samples and (5, 5)"),
        (
            list,
            (
                "expected as many outputs for any number of samples, got 4 for 4 and 5 for 5; let the network return "
                "one tensor for all samples"
            ),
        ),
    ],
)
def test_outputs_that_cannot_be_joined_are_refused_before_anything_moves(end: Callable[..., Any], text: str) -> None:
    model = make_ending(end).train()
    before = {**{name: value.clone() for name, value in model.state_dict().items()}}
    states = model.generator.get_state(), torch.get_rng_state()
    with pytest.raises(TraceError, match=re.escape(text)):
        model(torch.ones(16, 6))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(model.generator.get_state(), states[0])
    assert torch.equal(torch.get_rng_state(), states[1])


def test_outputs_as_long_as_a_part_are_no_rows_by_that_alone() -> None:
    # Parts of 3 samples, and 3 classes.
    model = make_ending(lambda y: {"rows": y, "mean": y.mean(0), "classes": torch.arange(3)}).train()
    out = model(torch.ones(12, 6))
    assert out["rows"].shape == (12, 3)
    assert out["mean"].shape == out["classes"].shape == (3,)
    assert torch.allclose(out["mean"], out["rows"].mean(0))
