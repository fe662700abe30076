import struct
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from tests.report.samples import make_curve, make_errors
from widthwise._shared import CurveError, MissingExtraError
from widthwise.curves import Curve, Point
from widthwise.report import draw_curve

CURVE = make_curve()
LOSS = make_curve(1.0, 1.5, 3.0, name="loss", higher_is_better=False)


def texts(path: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def test_a_png_is_a_picture_of_the_stated_size(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.png")
    content = (tmp_path / "curve.png").read_bytes()

    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (1368, 792)


def test_the_label_at_the_right_edge_stands_clear_of_it(tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    # The demo's network, whose axis ends shortly after 100k.
    narrow, full = (replace(CURVE.points[0], widths={"fc1": count}, params=count) for count in (698, 85_002))
    draw_curve(Curve(points=(narrow, full)), tmp_path / "curve.png")
    is_drawn = image.imread(tmp_path / "curve.png")[..., :3].min(axis=2) < 0.9

    assert is_drawn[720:, -40:].any()
    assert not is_drawn[:, -18:].any()


def test_a_picture_holds_axes_widths_full_width_and_pick(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.svg", point=CURVE.pick(max_drop=0.01), title="mnist-mlp")

    assert {
        "accuracy",
        "parameters (beside the points: width)",
        "95%",
        "10k",
        "full",
        "1/4",
        "1/32",
        "0.71",
        "full width 98.2%",
        "picked: width 0.25, 55,050 parameters, 97.2%",
        "mnist-mlp",
    } <= set(texts(tmp_path / "curve.svg"))


def test_scores_that_fall_are_drawn_too(tmp_path: Path) -> None:
    draw_curve(LOSS, tmp_path / "curve.svg", point=LOSS.pick(max_params=200_000))

    assert {"loss (lower is better)", "full width 1", "picked: width 0.7071, 176,847 parameters, 1.5"} <= set(
        texts(tmp_path / "curve.svg")
    )


def test_without_a_pick_or_others_there_is_neither_pick_nor_legend(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.svg")

    assert not any("picked" in text or "this run" in text for text in texts(tmp_path / "curve.svg"))


def test_other_curves_are_in_the_legend(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.svg", others={"plain, then cut": CURVE}, name="ours")

    assert {"ours", "plain, then cut"} <= set(texts(tmp_path / "curve.svg"))


def test_dollar_signs_are_dollar_signs(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.svg", title=r"costs $5$ and $\frac$")

    assert r"costs $5$ and $\frac$" in texts(tmp_path / "curve.svg")


@pytest.mark.parametrize("points", [CURVE.points[:1], CURVE.points[:2]])
def test_a_curve_of_one_or_two_points_without_full_width_is_drawn(points: tuple[Point, ...], tmp_path: Path) -> None:
    draw_curve(Curve(points=points), tmp_path / "curve.svg")
    drawn = texts(tmp_path / "curve.svg")

    assert "1/32" in drawn
    assert not any(text.startswith("full width") for text in drawn)


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_same_curve_is_the_same_file(ending: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        draw_curve(CURVE, tmp_path / f"{name}.{ending}", point=CURVE.points[3])

    assert (tmp_path / f"first.{ending}").read_bytes() == (tmp_path / f"second.{ending}").read_bytes()


def test_settings_of_matplotlib_are_left_alone(tmp_path: Path) -> None:
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()
        before = dict(mpl.rcParams)
        draw_curve(CURVE, tmp_path / "curve.svg")
        assert dict(mpl.rcParams) == before


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CurveError) as caught:
        draw_curve(CURVE, tmp_path / "curve.jpg")

    assert str(caught.value) == "expected a file name ending in .png, .svg, .pdf, got curve.jpg; choose one of them"


def test_a_missing_folder_is_an_error_of_curves(tmp_path: Path) -> None:
    with pytest.raises(CurveError, match=r"^expected to be able to write .*curve\.png, got: "):
        draw_curve(CURVE, tmp_path / "absent" / "curve.png")


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "curve.svg").write_text("old")

    with pytest.raises(CurveError, match="curves of one score"):
        draw_curve(CURVE, tmp_path / "curve.svg", others={"loss": LOSS})

    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("curve.svg", "old")]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    with pytest.raises(MissingExtraError) as caught:
        draw_curve(CURVE, tmp_path / "curve.png")

    assert str(caught.value) == "plotting needs matplotlib; install it with: pip install 'widthwise[plot]'"
    assert list(tmp_path.iterdir()) == []


def test_the_axis_says_what_the_cost_is(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.svg", point=CURVE.pick(max_drop=0.01), cost="memory_bytes")

    found = set(texts(tmp_path / "curve.svg"))
    assert {"bytes of activations (beside the points: width)", "5k"} <= found
    assert "picked: width 0.25, 3.6 kB of activations, 97.2%" in found


def test_a_band_is_drawn_where_errors_are_known(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "without.svg")
    draw_curve(make_errors(CURVE), tmp_path / "with.svg")

    num_bands = [
        (tmp_path / name).read_text().count("FillBetweenPolyCollection") for name in ("without.svg", "with.svg")
    ]
    assert num_bands == [0, 1]


def test_points_that_others_beat_are_hollow(tmp_path: Path) -> None:
    draw_curve(make_curve(0.9, 0.95, 0.8), tmp_path / "curve.svg")
    draw_curve(make_curve(0.95, 0.9, 0.8), tmp_path / "rising.svg")

    hollow, filled = ((tmp_path / name).read_text() for name in ("curve.svg", "rising.svg"))
    marker = "fill: #ffffff; stroke: #0072b2"
    assert marker in hollow
    assert marker not in filled


def test_several_runs_stand_in_one_legend(tmp_path: Path) -> None:
    draw_curve(CURVE, tmp_path / "curve.svg", others={"theirs": make_curve(0.9, 0.8)}, name="ours")

    assert {"ours", "theirs"} <= set(texts(tmp_path / "curve.svg"))
