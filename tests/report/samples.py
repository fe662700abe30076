"""Curves as a run leaves them, without a run."""

from dataclasses import replace

from widthwise.curves import Curve, Point

SCORES = (0.982, 0.981, 0.979, 0.976, 0.972, 0.966, 0.957, 0.942, 0.918, 0.84, 0.727)


def make_point(step: int, score: float, **scores: float) -> Point:
    """The point of an MLP 784-256-256-10, half octaves below full width."""
    fraction = 2 ** (-step / 2)
    units = max(1, int(256 * fraction + 0.5))
    macs = 784 * units + units * units + units * 10
    return Point(
        width=fraction,
        widths={"fc1": units, "fc2": units},
        score=score,
        scores=scores,
        params=macs + 2 * units + 10,
        macs=macs,
        bytes=4 * macs + 400,
        latency_ms=0.012 + macs / 1e7,
        memory_bytes=4 * (784 + 2 * units),
    )


def make_errors(curve: Curve, error: float = 0.005) -> Curve:
    """The same curve with a standard error at each point."""
    return replace(curve, points=tuple(replace(point, errors={curve.name: error}) for point in curve.points))


def make_curve(*scores: float, name: str = "accuracy", higher_is_better: bool = True) -> Curve:
    points = tuple(make_point(step, score) for step, score in enumerate(scores or SCORES))
    return Curve(
        points=points,
        name=name,
        higher_is_better=higher_is_better,
        environment={"torch": "2.13.0", "cores": 2, "gpu": None},
    )
