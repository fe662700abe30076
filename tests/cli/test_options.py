import pytest
import typer

from widthwise.cli.options import make_limits, parse_drop
from widthwise.curves import Limits

NONE = {
    "max_params": None,
    "max_macs": None,
    "max_bytes": None,
    "max_latency_ms": None,
    "max_memory": None,
    "min_score": None,
    "max_drop": None,
}


def test_no_option_is_no_limit() -> None:
    assert make_limits(**NONE) is None


@pytest.mark.parametrize("name", ["max_params", "max_macs", "max_bytes", "max_latency_ms", "max_memory", "min_score"])
def test_each_option_is_the_limit_of_its_name(name: str) -> None:
    assert make_limits(**{**NONE, name: 7}) == Limits(**{name: 7})  # pyright: ignore[reportArgumentType]


def test_a_score_of_nothing_is_a_limit_too() -> None:
    assert make_limits(**{**NONE, "min_score": 0.0}) == Limits(min_score=0.0)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("text", "drop"), [("0.01", 0.01), ("0", 0.0), ("1%", "1%")])
def test_a_drop_is_a_number_or_a_percentage(text: str, drop: float | str) -> None:
    assert parse_drop(text) == drop
    assert make_limits(**{**NONE, "max_drop": text}) == Limits(max_drop=drop)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("text", ["much", "-0.1", "nan", "x%"])
def test_a_drop_that_is_none_is_bad_usage(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="max_drop"):
        make_limits(**{**NONE, "max_drop": text})  # pyright: ignore[reportArgumentType]
