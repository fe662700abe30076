import re
from typing import Any

import pytest
import torch

from tests.untraceable import make_convolutions, make_model, make_net
from widthwise._shared import DataError, GroupError, TraceError, WidthError
from widthwise.elastic import Elastic


@pytest.mark.parametrize(
    ("settings", "kind", "words"),
    [
        ({"stream": True}, GroupError, "expected groups= alone, got stream=, queries=, values=, freeze=, only="),
        ({"freeze": ["a"]}, GroupError, "expected groups= alone"),
        ({"law": "paper"}, WidthError, "expected a law without rescale for named groups, got rescale='inverse'"),
        (
            {"output_affine": True},
            GroupError,
            "output_affine needs to know the last layer, but this model is not traced",
        ),
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
