import json
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import CurveError
from widthwise.curves import Point

POINT = Point(
    width=0.25,
    widths={"fc1": 64, "fc2": 16},
    score=0.875,
    scores={"accuracy": 0.875, "loss": 0.4},
    params=1234,
    macs=1200,
    bytes=5200,
    latency_ms=0.021,
    latency_range_ms=(0.02, 0.03),
)

finite = st.floats(allow_nan=False, allow_infinity=False)
points = st.builds(
    Point,
    width=st.none() | st.floats(0.001, 1.0),
    widths=st.dictionaries(st.text(max_size=4), st.integers(1, 999), max_size=3),
    score=finite,
    scores=st.dictionaries(st.text(max_size=4), finite, max_size=3),
    params=st.integers(0, 10**12),
    macs=st.integers(0, 10**12),
    bytes=st.integers(0, 10**12),
    latency_ms=st.none() | st.floats(0, 1e6),
    latency_range_ms=st.none() | st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)),
    latency_device=st.none() | st.text(max_size=4),
    memory_bytes=st.none() | st.integers(0, 10**12),
    bytes_by_dtype=st.dictionaries(st.text(max_size=4), st.integers(0, 999), max_size=3),
    errors=st.dictionaries(st.text(max_size=4), finite, max_size=3),
    drop_errors=st.dictionaries(st.text(max_size=4), finite, max_size=3),
)


@given(point=points)
def test_a_point_survives_json(point: Point) -> None:
    assert Point.from_dict(json.loads(json.dumps(point.to_dict()))) == point


def test_a_width_is_labelled_by_its_fraction() -> None:
    assert POINT.label == "0.25"
    assert replace(POINT, width=2**-0.5).label == "0.7071"
    assert replace(POINT, width=1.0).label == "1"
    assert replace(POINT, width=1 / 32).label == "0.03125"


def test_widths_given_by_group_are_labelled_by_group() -> None:
    assert replace(POINT, width=None).label == "fc1=64, fc2=16"


def test_a_point_is_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        POINT.score = 1.0  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("width", "wide", "width of a point to be a finite number, got 'wide'"),
        ("widths", None, "widths of a point to be an object, got None"),
        ("widths", {"fc1": 1.5}, "fc1 of a point to be a non-negative integer, got 1.5"),
        ("score", float("nan"), "score of a point to be a finite number, got nan"),
        ("score", True, "score of a point to be a finite number, got True"),
        ("scores", {"loss": None}, "loss of a point to be a finite number, got None"),
        ("params", -1, "params of a point to be a non-negative integer, got -1"),
        ("macs", 1.0, "macs of a point to be a non-negative integer, got 1.0"),
        ("bytes", True, "bytes of a point to be a non-negative integer, got True"),
        ("latency_ms", "fast", "latency_ms of a point to be a finite number, got 'fast'"),
        ("latency_range_ms", [1.0], "latency_range_ms of a point to be two numbers, got [1.0]"),
        ("latency_range_ms", [1.0, None], "latency_range_ms of a point to be a finite number, got None"),
    ],
)
def test_a_damaged_entry_is_refused_by_name(name: str, value: object, expected: str) -> None:
    with pytest.raises(CurveError) as caught:
        Point.from_dict({**POINT.to_dict(), name: value})

    assert str(caught.value) == f"expected {expected}; the curve is damaged: measure it again"


@pytest.mark.parametrize("name", ["widths", "score", "scores", "params", "macs", "bytes"])
def test_a_missing_entry_is_refused_by_name(name: str) -> None:
    content = POINT.to_dict()
    del content[name]

    with pytest.raises(CurveError, match=rf"^expected {name} of a point to be .*, got None; the curve is damaged"):
        Point.from_dict(content)


def test_a_point_of_an_earlier_version_reads_back_with_less_in_it() -> None:
    content = POINT.to_dict()
    for name in ("latency_device", "memory_bytes", "bytes_by_dtype", "errors", "drop_errors"):
        del content[name]

    assert Point.from_dict(content) == POINT


@pytest.mark.parametrize(
    ("entry", "value", "message"),
    [
        ("latency_device", 3, "expected latency_device of a point to be a string, got 3"),
        ("memory_bytes", -1, "expected memory_bytes of a point to be a non-negative integer, got -1"),
        ("bytes_by_dtype", [1], "expected bytes_by_dtype of a point to be an object, got [1]"),
        ("errors", {"accuracy": "x"}, "expected accuracy of a point to be a finite number, got 'x'"),
        ("drop_errors", 0.5, "expected drop_errors of a point to be an object, got 0.5"),
    ],
)
def test_damage_in_what_is_optional_is_found_too(entry: str, value: object, message: str) -> None:
    with pytest.raises(CurveError) as caught:
        Point.from_dict({**POINT.to_dict(), entry: value})
    assert str(caught.value) == f"{message}; the curve is damaged: measure it again"
