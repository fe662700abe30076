import warnings
from collections.abc import Callable

import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise._shared import WidthWarning
from widthwise.elastic import Elastic, Law
from widthwise.elastic.caution import warn_of_untrained
from widthwise.groups import Group, Groups

GROUPS = Groups(
    [Group(name="fc1", size=64, members=(), key=1), Group(name="block.fc2", size=10, members=(), key=2, lower_bound=3)],
    [],
)
STATISTICS = (
    "expected BatchNorm statistics of the width that is run, got those of the full width, with which a narrower "
    "network scores far too low; "
)


def warnings_of(*calls: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in calls:
            call()
    return [str(each.message) for each in caught]


def make(*, tracks: bool = True) -> Elastic:
    norm = nn.BatchNorm1d(8, track_running_stats=tracks)
    net = nn.Sequential(nn.Linear(3, 8), norm, nn.ReLU(), nn.Linear(8, 2)).eval()
    return Elastic(net, (torch.zeros(4, 3),), law=Law(lowest=1 / 8))


def test_a_width_below_what_the_law_draws_is_warned_of_where_it_was_asked_for() -> None:
    with pytest.warns(WidthWarning, match="^the law draws at least") as caught:
        warn_of_untrained({"fc1": 1, "block.fc2": 10}, GROUPS, Law(lowest=1 / 32), stacklevel=1)
    assert str(caught[0].message) == (
        "the law draws at least 2 units of fc1 (lowest=0.03125), got 1; a width that training never saw scores poorly, "
        "train with a smaller lowest"
    )
    assert caught[0].filename == __file__
    assert len(caught) == 1


def test_widths_that_the_law_draws_are_not_warned_of() -> None:
    assert not warnings_of(
        lambda: warn_of_untrained({"fc1": 2, "block.fc2": 3}, GROUPS, Law(lowest=1 / 32), stacklevel=1),
        lambda: warn_of_untrained({"fc1": 1, "block.fc2": 3}, GROUPS, Law(lowest=1 / 64), stacklevel=1),
    )
    with pytest.warns(WidthWarning, match="at least 3 units of block.fc2"):
        warn_of_untrained({"fc1": 64, "block.fc2": 2}, GROUPS, Law(), stacklevel=1)


def test_extract_without_calibration_warns_of_statistics_where_it_was_asked() -> None:
    with pytest.warns(WidthWarning) as caught:
        make().extract(0.5)
    assert [str(each.message) for each in caught] == [STATISTICS + "pass calibrate=loader, of training samples"]
    assert caught[0].filename == __file__


def test_running_a_narrower_width_in_evaluation_warns_of_statistics_where_it_was_asked() -> None:
    with pytest.warns(WidthWarning) as caught:
        make().at(0.5)
    advice = "take the network as model.extract(width, calibrate=loader)"
    assert [str(each.message) for each in caught] == [STATISTICS + advice]
    assert caught[0].filename == __file__


def test_export_without_calibration_warns_of_statistics(tmp_path: object) -> None:
    with pytest.warns(WidthWarning, match="BatchNorm"):
        ww.export(make(), 0.5, f"{tmp_path}/net.safetensors")


def test_calibrated_and_full_networks_are_not_warned_of() -> None:
    model = make()
    loader = [torch.randn(16, 3)]
    assert not warnings_of(
        lambda: model.extract(0.5, calibrate=loader), lambda: model.extract(1.0), lambda: model.at(1.0)
    )


def test_statistics_of_the_batch_are_not_warned_of() -> None:
    model = make().train()
    assert not warnings_of(lambda: make(tracks=False).extract(0.5), lambda: model.at(0.5))


def test_a_curve_warns_once_and_not_at_each_width() -> None:
    with pytest.warns(WidthWarning) as caught:
        ww.curve(make(), lambda _: 1.0, latency=False, progress=False)
    assert len(caught) == 1
