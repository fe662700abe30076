import json
from pathlib import Path
from typing import Any

import pytest

from tests.curves.choices import make_point
from widthwise._shared import CurveError
from widthwise.curves import Curve
from widthwise.curves.groupwise.ledger import Ledger
from widthwise.curves.resume import Header
from widthwise.measure import Latency

HEADER = Header(
    name="accuracy", higher_is_better=True, fingerprint="abc", is_calibrated=False, environment={}, directions={}
)
POINT = make_point(0.5, 0.9, 100)


def make_ledger(path: Path | None, **changes: Any) -> Ledger:
    return Ledger(**{"header": HEADER, "groups": ("fc1",), "num_samples": None, "path": path, **changes})


def fill(path: Path) -> Ledger:
    ledger = make_ledger(path)
    latency = Latency(median_ms=1.5, low_ms=1.25, high_ms=0.1 + 0.2, threads=1, batch=1, repeats=5)
    ledger.add_point(POINT)
    ledger.add_latency((7,), latency)
    ledger.add_score((7,), 1 / 3)
    return ledger


def test_a_file_gives_back_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    before = fill(path)
    after = make_ledger(path)
    after.read([POINT])
    assert (after.scores, after.latencies, after.points) == (before.scores, before.latencies, before.points)
    assert after.scores == {(7,): 1 / 3}
    assert after.latencies == {(7,): (1.5, 1.25, 0.1 + 0.2, "cpu")}


def test_the_file_is_one_of_a_curve(tmp_path: Path) -> None:
    fill(tmp_path / "search.json")
    assert Curve.load(tmp_path / "search.json") == HEADER.make_curve([POINT])


def test_a_curve_in_that_place_has_points_to_go_on_with(tmp_path: Path) -> None:
    HEADER.make_curve([POINT]).save(tmp_path / "search.json")
    ledger = make_ledger(tmp_path / "search.json")
    ledger.read([POINT])
    assert ledger.points == {(POINT.widths["fc1"],): POINT}
    assert ledger.scores == {}


def test_nothing_is_written_without_a_path_or_a_point(tmp_path: Path) -> None:
    make_ledger(tmp_path / "search.json").add_score((7,), 0.5)
    make_ledger(None).add_point(POINT)
    assert list(tmp_path.iterdir()) == []


def test_scores_on_other_samples_are_not_taken_over(tmp_path: Path) -> None:
    fill(tmp_path / "search.json")
    ledger = make_ledger(tmp_path / "search.json", num_samples=64)
    with pytest.warns(UserWarning, match="to hold scores on") as caught:
        ledger.read([POINT])
    assert str(caught[0].message) == (
        f"expected {tmp_path / 'search.json'} to hold scores on at most 64 samples, got them on all samples; every "
        "network is scored again on the way"
    )
    assert ledger.scores == {}
    assert ledger.latencies != {}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"scores": {"seven": 0.5}}, "ValueError"),
        ({"scores": 3}, "AttributeError"),
        ({"scores": {"7": "good"}}, "ValueError"),
        ({"latencies": {"7": "1.5 2.5"}}, "ValueError"),
        ({"groups": ["fc2"]}, "ValueError('other groups')"),
    ],
)
def test_a_damaged_entry_is_refused(tmp_path: Path, changes: dict[str, object], cause: str) -> None:
    path = tmp_path / "search.json"
    fill(path)
    content = json.loads(path.read_text())
    content["search"] |= changes
    path.write_text(json.dumps(content))
    with pytest.raises(CurveError) as caught:
        make_ledger(path).read([POINT])
    message = str(caught.value)
    assert message.startswith(f"search: expected scores by widths in {path}, got {cause}")
    assert message.endswith("; the file is damaged: move it away, and search again")
