from hypothesis import given
from hypothesis import strategies as st

from tests.curves.choices import make_point
from widthwise.curves import Curve, Point
from widthwise.curves.front import find_front

places = st.lists(st.tuples(st.integers(1, 6), st.integers(0, 6)), min_size=1, max_size=8)


def beats(one: Point, other: Point, sign: float) -> bool:
    scores = sign * one.score, sign * other.score
    is_better = one.params < other.params or scores[0] > scores[1]
    return one.params <= other.params and scores[0] >= scores[1] and is_better


@given(places=places, higher_is_better=st.booleans())
def test_the_front_is_what_no_other_point_beats(places: list[tuple[int, int]], higher_is_better: bool) -> None:
    points = [make_point(0.5, score, params) for params, score in places]
    sign = 1.0 if higher_is_better else -1.0

    front = find_front(points, "params", higher_is_better=higher_is_better)

    assert front == [point for point in points if not any(beats(other, point, sign) for other in points)]


def test_the_front_of_a_curve_is_a_curve_by_the_cost_that_is_asked_for() -> None:
    small = make_point(0.25, 0.9, 10, latency_ms=3.0)
    large = make_point(0.5, 0.8, 20, latency_ms=1.0)
    curve = Curve(points=(small, large), name="accuracy", fingerprint="abc")

    assert curve.front().points == (small,)
    assert curve.front("latency_ms") == curve


def test_where_lower_is_better_the_front_goes_down() -> None:
    small, large = make_point(0.25, 3.0, 10), make_point(0.5, 2.0, 20)
    worse = make_point(0.75, 2.5, 30)
    curve = Curve(points=(small, large, worse), higher_is_better=False)

    assert curve.front("macs").points == (small, large)
