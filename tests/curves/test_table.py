from dataclasses import replace

from widthwise.curves import Point
from widthwise.curves.table import is_share, make_cells


def make_point(score: float, *, params: int = 10, latency_ms: float | None = None, **scores: float) -> Point:
    return Point(
        width=0.5,
        widths={"fc1": 1},
        score=score,
        scores=scores,
        params=params,
        macs=5000,
        bytes=12_500,
        latency_ms=latency_ms,
    )


def test_a_table_is_pinned() -> None:
    points = [make_point(0.5, params=2314, latency_ms=0.0213), make_point(0.97512, params=1_000_000, latency_ms=1.5)]

    assert make_cells(points, "accuracy") == [
        ["width", "accuracy %", "parameters", "MACs", "kB", "latency ms"],
        ["0.5", "50.00", "2,314", "5,000", "12.5", "0.021"],
        ["0.5", "97.51", "1,000,000", "5,000", "12.5", "1.500"],
    ]


def test_latencies_that_nobody_measured_have_no_column() -> None:
    assert make_cells([make_point(0.5)], "accuracy")[0] == ["width", "accuracy %", "parameters", "MACs", "kB"]


def test_a_latency_that_is_missing_is_left_blank() -> None:
    cells = make_cells([make_point(0.5), make_point(0.5, latency_ms=1.0)], "accuracy")

    assert [row[-1] for row in cells] == ["latency ms", "", "1.000"]


def test_large_scores_have_fewer_decimals() -> None:
    assert [row[1] for row in make_cells([make_point(12.345), make_point(99.0)], "perplexity")] == [
        "perplexity",
        "12.35",
        "99.00",
    ]
    assert make_cells([make_point(12345.67)], "perplexity")[1][1] == "12,345.7"


def test_a_share_is_in_percent_and_an_accuracy_beyond_one_is_not() -> None:
    assert is_share("Test accuracy", [0.0, 1.0])
    assert not is_share("accuracy", [0.5, 1.5])
    assert [row[1] for row in make_cells([make_point(97.5)], "accuracy")] == ["accuracy", "97.50"]
    assert [row[1] for row in make_cells([make_point(0.975)], "recall")] == ["recall", "0.9750"]


def test_other_scores_that_all_points_share_follow_the_first() -> None:
    points = [make_point(0.5, accuracy=0.5, loss=1.5, extra=3.0), make_point(0.5, accuracy=0.5, loss=2.5)]

    assert [row[:3] for row in make_cells(points, "accuracy")] == [
        ["width", "accuracy %", "loss"],
        ["0.5", "50.00", "1.5000"],
        ["0.5", "50.00", "2.5000"],
    ]


def test_errors_stand_behind_the_score_as_half_a_band() -> None:
    points = [replace(make_point(0.9, accuracy=0.9, loss=1.5), errors={"accuracy": 0.01, "loss": 0.25})]
    points.append(make_point(0.8, accuracy=0.8, loss=2.5))

    assert [row[1:3] for row in make_cells(points, "accuracy")] == [
        ["accuracy %", "loss"],
        ["90.00 ± 1.96", "1.5000 ± 0.4900"],
        ["80.00", "2.5000"],
    ]


def test_memory_has_a_column_where_it_is_known() -> None:
    cells = make_cells([replace(make_point(0.5), memory_bytes=12_345), make_point(0.5, latency_ms=1.0)], "accuracy")

    assert [row[-2:] for row in cells] == [["memory kB", "latency ms"], ["12.3", ""], ["", "1.000"]]
