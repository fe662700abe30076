import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tests.report.samples import make_curve, make_errors, make_point
from widthwise._shared import CurveError
from widthwise.curves import Cost, Curve
from widthwise.report.chart import draw_chart

CURVE = make_curve()
LOSS = make_curve(1.0, 1.5, 3.0, name="loss", higher_is_better=False)


def texts(svg: str, kind: str) -> list[str]:
    return [text.text or "" for text in ET.fromstring(svg).iter("text") if text.get("class") == kind]


def number(element: ET.Element, name: str) -> float:
    return float(element.get(name) or "nan")


def test_each_point_has_a_marker_that_tells_its_numbers() -> None:
    circles = [
        circle for circle in ET.fromstring(draw_chart(CURVE)).iter("circle") if circle.get("class") == "line-0 mark"
    ]

    assert len(circles) == len(CURVE)
    assert next(circle.findtext("title") for circle in circles) == "width 0.03125: 72.7%, 6,442 parameters"


def test_markers_go_right_with_parameters_and_up_with_scores() -> None:
    circles = list(ET.fromstring(draw_chart(CURVE)).iter("circle"))
    across, down = ([number(circle, name) for circle in circles] for name in ("cx", "cy"))

    assert across == sorted(across)
    assert down == sorted(down, reverse=True)
    assert 62 < across[0] < across[-1] < 744
    assert 36 < down[-1] < down[0] < 378


def test_axes_say_what_they_show() -> None:
    ticks = texts(draw_chart(CURVE), "tick")

    assert {
        "75%",
        "95%",
        "10k",
        "200k",
        "accuracy",
        "full width 98.2%",
        "parameters (beside the points: width)",
    } <= set(ticks)
    assert "loss (lower is better)" in texts(draw_chart(LOSS), "tick")


def test_widths_stand_beside_the_points() -> None:
    assert {"full", "1/2", "1/32", "0.71"} <= set(texts(draw_chart(CURVE), "width"))


def test_widths_stand_below_rising_curves_and_above_falling_ones() -> None:
    for curve, is_below in ((CURVE, True), (LOSS, False)):
        root = ET.fromstring(draw_chart(curve))
        label = next(text for text in root.iter("text") if text.text == "1/2")
        marker = next(c for c in root.iter("circle") if (c.findtext("title") or "").startswith("width 0.5:"))
        assert (number(label, "y") > number(marker, "cy")) is is_below


@pytest.mark.parametrize("curve", [CURVE, LOSS])
def test_the_pick_has_a_ring_at_its_point_and_its_numbers(curve: Curve) -> None:
    point = curve.points[-2]
    svg = draw_chart(curve, point=point)
    root = ET.fromstring(svg)
    ring = next(circle for circle in root.iter("circle") if circle.get("class") == "pick")
    marker = next(c for c in root.iter("circle") if (c.findtext("title") or "").startswith(f"width {point.label}:"))

    assert (ring.get("cx"), ring.get("cy")) == (marker.get("cx"), marker.get("cy"))
    assert texts(svg, "pick") == [f"picked: width 0.7071, 176,847 parameters, {'98.1%' if curve is CURVE else '1.5'}"]


def test_without_a_pick_or_others_there_is_neither_ring_nor_legend() -> None:
    svg = draw_chart(CURVE)

    assert 'class="pick"' not in svg
    assert texts(svg, "legend") == []


def test_other_curves_have_colours_and_names_of_their_own() -> None:
    others = {f"other {index}": CURVE for index in range(5)}
    svg = draw_chart(CURVE, others=others, name="ours")

    assert texts(svg, "legend") == ["ours", *others]
    kinds = [line.get("class") for line in ET.fromstring(svg).iter("polyline")]
    named = ["line-0", "line-1", "line-2", "line-3", "line-4", "line-0"]
    # Ours is drawn last, over the others; then comes the legend.
    assert kinds == [*reversed(named), *named]


def test_a_curve_without_full_width_has_no_line_for_it() -> None:
    svg = draw_chart(Curve(points=CURVE.points[:3], name="accuracy"))

    assert 'class="full"' not in svg


def test_words_from_outside_are_escaped() -> None:
    name = '<b>&"accuracy"'
    point = replace(make_point(1, 0.5), width=None, widths={"<fc&1>": 3})
    curve = Curve(points=(make_point(0, 0.9), point), name=name)
    svg = draw_chart(curve, point=point, others={"<i>": curve}, name="</svg>")

    assert name in texts(svg, "tick")
    assert texts(svg, "legend") == ["</svg>", "<i>"]
    assert "width <fc&1>=3" in texts(svg, "pick")[0]


def test_curves_of_different_scores_are_refused() -> None:
    with pytest.raises(CurveError, match="expected curves of one score in a picture"):
        draw_chart(CURVE, others={"loss": LOSS})


def test_a_band_encloses_the_line_where_errors_are_known() -> None:
    root = ET.fromstring(draw_chart(make_errors(CURVE), others={"other": CURVE}))
    (band,) = root.iter("polygon")
    assert band.get("class") == "line-0 band"
    corners = [tuple(map(float, corner.split(","))) for corner in (band.get("points") or "").split()]
    # The last one is that of the legend.
    markers = [c for c in root.iter("circle") if c.get("class") == "line-0 mark"][:-1]
    assert len(corners) == 2 * len(CURVE)
    lower, upper = corners[: len(CURVE)], corners[len(CURVE) :]
    for marker, (x, low), (_, high) in zip(markers, lower, reversed(upper), strict=True):
        assert number(marker, "cx") == x
        assert high < number(marker, "cy") < low
    assert markers[0].findtext("title") == "width 0.03125: 72.7% ± 1.0%, 6,442 parameters"


def test_without_errors_there_is_no_band() -> None:
    assert "polygon" not in draw_chart(CURVE)


def test_points_that_others_beat_are_hollow() -> None:
    curve = make_curve(0.9, 0.95, 0.8)
    kinds = [circle.get("class") for circle in ET.fromstring(draw_chart(curve)).iter("circle")]
    assert kinds == ["line-0 mark", "line-0 mark", "line-0 mark beaten"]


@pytest.mark.parametrize(
    ("cost", "words", "title"),
    [
        ("macs", "MACs", "width 1: 98.2%, 268,800 MACs"),
        ("bytes", "bytes of .safetensors", "width 1: 98.2%, 1,075.6 kB of .safetensors"),
        ("memory_bytes", "bytes of activations", "width 1: 98.2%, 5.2 kB of activations"),
        ("latency_ms", "ms per sample", "width 1: 98.2%, 0.0389 ms per sample"),
    ],
)
def test_scores_are_drawn_against_any_cost(cost: Cost, words: str, title: str) -> None:
    svg = draw_chart(CURVE, cost=cost, point=CURVE.points[3])
    circles = [circle for circle in ET.fromstring(svg).iter("circle") if circle.get("class") != "pick"]
    across = [number(circle, "cx") for circle in circles]

    assert f"{words} (beside the points: width)" in texts(svg, "tick")
    assert across == sorted(across)
    assert 62 < across[0] < across[-1] < 744
    assert circles[-1].findtext("title") == title


def test_a_line_does_not_run_back_where_a_cost_does_not_follow_the_parameters() -> None:
    slow = replace(CURVE.points[0], latency_ms=0.1)
    root = ET.fromstring(draw_chart(replace(CURVE, points=(slow, *CURVE.points[1:])), cost="latency_ms"))
    (line,) = root.iter("polyline")
    across = [float(corner.split(",")[0]) for corner in (line.get("points") or "").split()]
    assert across == sorted(across)


def test_a_cost_that_is_not_known_is_refused() -> None:
    curve = replace(CURVE, points=(replace(CURVE.points[0], memory_bytes=None),))
    with pytest.raises(CurveError, match="expected a curve whose points know their memory_bytes, got none"):
        draw_chart(curve, cost="memory_bytes")
