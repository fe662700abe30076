from dataclasses import replace

import pytest

from tests.report.samples import make_curve, make_point
from widthwise.curves import Point
from widthwise.report.words import band_words, cost_words, count_words, is_share, score_words, tick_words, width_words


@pytest.mark.parametrize(
    ("width", "words"),
    [
        (1.0, "full"),
        (0.5, "1/2"),
        (1 / 3, "1/3"),
        (1 / 32, "1/32"),
        (2**-0.5, "0.71"),
        (2**-4.5, "0.044"),
        (0.75, "0.75"),
        (None, ""),
    ],
)
def test_widths_are_words_short_enough_for_a_marker(width: float | None, words: str) -> None:
    assert width_words(Point(width=width, widths={"a": 1, "b": 2}, score=0.0, params=1, macs=1, bytes=1)) == words


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (1, "1"),
        (999, "999"),
        (999.4, "999"),
        (1000, "1k"),
        (2314, "2.31k"),
        (999_499, "999k"),
        (999_500, "1M"),
        (1_500_000, "1.5M"),
        (2e9, "2G"),
        (2e13, "2e+04G"),
    ],
)
def test_counts_have_three_digits_and_a_letter(count: float, words: str) -> None:
    assert count_words(count) == words


def test_accuracies_within_zero_and_one_are_shares() -> None:
    assert is_share([make_curve(), make_curve(1.0, 0.0, name="Test accuracy")])
    assert not is_share([make_curve(97.0, 95.0)])
    assert not is_share([make_curve(0.5, name="loss")])
    assert not is_share([make_curve(), make_curve(0.5, name="loss")])


def test_scores_are_percent_where_they_are_shares() -> None:
    score = make_point(0, 0.98254).score

    assert (score_words(score, as_share=True), score_words(score, as_share=False)) == ("98.3%", "0.9825")
    assert (tick_words(0.975, as_share=True), tick_words(0.975, as_share=False)) == ("97.5%", "0.975")


def test_costs_have_their_unit() -> None:
    point = make_point(0, 0.5)
    assert [cost_words(point, cost) for cost in ("params", "macs", "bytes", "memory_bytes", "latency_ms")] == [
        "269,322 parameters",
        "268,800 MACs",
        "1,075.6 kB of .safetensors",
        "5.2 kB of activations",
        "0.0389 ms per sample",
    ]


def test_a_band_is_half_of_it_or_nothing() -> None:
    point = replace(make_point(0, 0.5), errors={"accuracy": 0.01})
    assert band_words(point, "accuracy", as_share=True) == " ± 2.0%"
    assert band_words(point, "loss", as_share=False) == ""
