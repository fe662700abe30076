from dataclasses import replace

import pytest

from tests.curves.choices import make_point
from widthwise._shared import CurveError
from widthwise.curves.cost import COST_WORDS, check_cost, cost_of

POINT = replace(make_point(0.5, 0.9, 100), memory_bytes=640)


def test_a_cost_is_the_attribute_of_its_name() -> None:
    assert {cost: cost_of(POINT, cost) for cost in COST_WORDS} == {
        "params": 100,
        "macs": 200,
        "bytes": 400,
        "memory_bytes": 640,
        "latency_ms": 0.1,
    }


def test_a_name_that_is_no_cost_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        check_cost("flops")
    assert str(caught.value) == (
        "expected a cost among params, macs, bytes, memory_bytes, latency_ms, got 'flops'; choose one of them"
    )


def test_a_cost_that_was_not_measured_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        cost_of(replace(POINT, latency_ms=None), "latency_ms")
    assert str(caught.value) == (
        "expected a curve whose points know their latency_ms, got none at width 0.5; "
        "measure the curve again with latency=True"
    )
    with pytest.raises(CurveError, match=r"got none at width 0\.5; measure the curve again$"):
        cost_of(replace(POINT, memory_bytes=None), "memory_bytes")
