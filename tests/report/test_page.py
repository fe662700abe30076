import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.report.samples import make_curve, make_errors, make_point
from widthwise._shared import CurveError
from widthwise.curves import Curve
from widthwise.report import write_report

CURVE = make_curve()


class Outline(HTMLParser):
    """The elements of a page, with a check that each one is closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[tuple[str | None, list[str]]] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "tr":
            self.rows.append((dict(attrs).get("class"), []))
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"td", "th"}:
            self.rows[-1][1].append(data)


def write(tmp_path: Path, curve: Curve = CURVE, **settings: object) -> str:
    write_report(curve, tmp_path / "report.html", **settings)  # pyright: ignore[reportArgumentType]
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_a_page_is_whole_and_holds_the_table_from_full_width_down(tmp_path: Path) -> None:
    outline = Outline(write(tmp_path))
    rows = [cells for _, cells in outline.rows[: len(CURVE) + 1]]

    assert rows[0] == CURVE.cells()[0]
    assert rows[1:] == CURVE.cells()[:0:-1]
    assert [tag for tag, _ in outline.tags].count("svg") == 1


def test_a_page_asks_for_nothing_and_runs_nothing(tmp_path: Path) -> None:
    page = write(tmp_path, point=CURVE.points[2], recipe='name = "mnist-mlp"', others={"other": CURVE})
    outline = Outline(page)

    assert not {tag for tag, _ in outline.tags} & {"script", "link", "img", "iframe", "object", "embed", "base", "a"}
    assert not any(
        name in {"src", "href", "srcset", "style"} or name.startswith("on")
        for _, attrs in outline.tags
        for name in attrs
    )
    assert not re.search(r"https?:|//\w|@import|url\(|@font-face", page)


def test_a_page_follows_light_and_dark(tmp_path: Path) -> None:
    page = write(tmp_path)
    light, dark = re.findall(r":root \{(.*?)\}", page, flags=re.DOTALL)
    names = [set(re.findall(r"--[\w-]+(?=:)", block)) for block in (light, dark)]

    assert "prefers-color-scheme: dark" in page
    assert names[0] == names[1] == set(re.findall(r"var\((--[\w-]+)\)", page))


def test_the_pick_comes_first_and_is_marked_in_the_table(tmp_path: Path) -> None:
    point = CURVE.pick(max_drop=0.01)
    page = write(tmp_path, point=point)
    picked = [cells for kind, cells in Outline(page).rows if kind == "picked"]

    assert [cells[0] for cells in picked] == [point.label]
    tiles = re.findall(r'<div class="tile"><b>(.*?)</b><span>(.*?)</span></div>', page)
    assert tiles == [
        ("0.25", "width picked"),
        ("97.2%", "accuracy, 98.2% at full width"),
        ("55,050", "parameters, 20.4% of full"),
        ("220.0", "kB as .safetensors, 20.5% of full"),
        ("3.6", "kB of activations, 70.4% of full"),
        ("0.017", "ms per sample, 45% of full"),
    ]
    assert page.index("tiles") < page.index("<svg")


def test_without_full_width_or_latency_the_tiles_stand_alone(tmp_path: Path) -> None:
    point = replace(make_point(4, 0.9), latency_ms=None, memory_bytes=None)
    page = write(tmp_path, Curve(points=(point,), name="accuracy"), point=point)

    assert re.findall(r"</b><span>(.*?)</span>", page) == [
        "width picked",
        "accuracy",
        "parameters",
        "kB as .safetensors",
    ]
    assert "Latency" not in page


def test_without_a_pick_nothing_is_marked(tmp_path: Path) -> None:
    assert 'class="tile' not in write(tmp_path)
    assert 'class="picked"' not in write(tmp_path)


def test_the_lead_tells_both_ends_of_the_curve(tmp_path: Path) -> None:
    assert (
        "One trained network at 11 widths: accuracy from 72.7% with 6,442 parameters to 98.2% with 269,322 parameters."
        in write(tmp_path)
    )
    assert "One trained network at 1 width: loss 0.5 with 269,322 parameters." in write(
        tmp_path, make_curve(0.5, name="loss")
    )


def test_recipe_and_environment_are_told(tmp_path: Path) -> None:
    page = write(tmp_path, recipe='name = "mnist-mlp"\n', title="mnist-mlp")

    assert "<h1>mnist-mlp</h1>" in page
    assert "<title>mnist-mlp</title>" in page
    assert "<pre>name = &quot;mnist-mlp&quot;\n</pre>" in page
    assert [cells for _, cells in Outline(page).rows[-2:]] == [["torch", "2.13.0"], ["cores", "2"]]


def test_another_environment_may_stand_for_that_of_the_curve(tmp_path: Path) -> None:
    page = write(tmp_path, environment={"processor": "an abacus"})

    assert [cells for _, cells in Outline(page).rows[-1:]] == [["processor", "an abacus"]]


def test_what_is_not_known_has_no_heading(tmp_path: Path) -> None:
    page = write(tmp_path, environment={})

    assert "Recipe" not in page
    assert "Measured on" not in page


def test_calibration_is_told(tmp_path: Path) -> None:
    sentence = "BatchNorm statistics were measured again"

    assert sentence in write(tmp_path, replace(CURVE, is_calibrated=True))
    assert sentence not in write(tmp_path)


def test_words_from_outside_are_escaped(tmp_path: Path) -> None:
    evil = '</style></svg><script>alert("$title")</script>&amp;'
    point = replace(make_point(1, 0.5, **{evil: 1.0}), width=None, widths={evil: 3})
    curve = Curve(points=(replace(make_point(0, 0.9), scores={evil: 1.0}), point), name=evil + "!")
    page = write(
        tmp_path, curve, point=point, others={evil: curve}, name=evil, title=evil, recipe=evil, environment={evil: evil}
    )

    assert "script" not in {tag for tag, _ in Outline(page).tags}
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;$title&quot;)&lt;/script&gt;&amp;amp;" in page


def test_a_page_needs_no_plotting_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert "<svg" in write(tmp_path)


def test_a_page_that_cannot_be_written_is_an_error_of_curves(tmp_path: Path) -> None:
    with pytest.raises(CurveError, match=r"^expected to be able to write .*report\.html, got: "):
        write_report(CURVE, tmp_path / "absent" / "report.html")


def test_what_the_numbers_mean_is_told_where_they_stand(tmp_path: Path) -> None:
    page = write(tmp_path, make_errors(CURVE), point=CURVE.points[0])

    assert "98.20 ± 0.98" in page
    assert "Behind ± stands half of a band of 95 % confidence" in page
    assert "One MAC is two FLOPs." in page
    assert "Memory is the most that the activations of one sample take at a time, weights left out." in page
    assert "Latency is the median of one pass at batch 1 on one thread." in page
    assert "Behind ±" not in write(tmp_path)
    timed = replace(CURVE, points=tuple(replace(point, latency_device="cuda") for point in CURVE.points))
    assert "at batch 1 on one thread (cuda)." in write(tmp_path, timed)


def test_other_runs_have_tables_of_their_own(tmp_path: Path) -> None:
    page = write(tmp_path, others={"<theirs>": make_curve(0.5)}, name="ours", cost="macs")

    assert "<h3>&lt;theirs&gt;</h3>" in page
    assert len([cells for _, cells in Outline(page).rows if cells[:1] == ["1"]]) == 2
    assert "MACs (beside the points: width)" in page
