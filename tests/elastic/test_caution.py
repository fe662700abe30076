import warnings
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import nn

import widthwise as ww
from widthwise._shared import WidthWarning
from widthwise.elastic import Elastic, Law
from widthwise.elastic.caution import warn_of_width
from widthwise.groups import Group, Groups

GROUPS = Groups(
    [Group(name="fc1", size=64, members=(), key=1), Group(name="block.fc2", size=10, members=(), key=2, lower_bound=3)],
    [],
)
STATISTICS = (
    "expected BatchNorm statistics of the width that is run, got those of the full width, with which a narrower "
    "network scores far too low; "
)


warn = partial(warn_of_width, advice=None, own=(), stacklevel=1)


def warnings_of(*calls: Callable[[], object]) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for call in calls:
            call()
    return [str(each.message) for each in caught]


def make(*, tracks: bool = True, law: Law | None = None) -> Elastic:
    norm = nn.BatchNorm1d(8, track_running_stats=tracks)
    net = nn.Sequential(nn.Linear(3, 8), norm, nn.ReLU(), nn.Linear(8, 2)).eval()
    return Elastic(net, (torch.zeros(4, 3),), law=law or Law(lowest=1 / 8))


def test_a_width_below_what_the_law_draws_is_warned_of_where_it_was_asked_for() -> None:
    with pytest.warns(WidthWarning, match="^the law draws at least") as caught:
        warn({"fc1": 1, "block.fc2": 10}, GROUPS, Law(lowest=1 / 32))
    assert str(caught[0].message) == (
        "the law draws at least 2 units of fc1 (lowest=0.03125), got 1; a width that training never saw scores poorly, "
        "train with a smaller lowest"
    )
    assert caught[0].filename == __file__
    assert len(caught) == 1


def test_widths_that_the_law_draws_are_not_warned_of() -> None:
    assert not warnings_of(
        lambda: warn({"fc1": 2, "block.fc2": 3}, GROUPS, Law(lowest=1 / 32)),
        lambda: warn({"fc1": 1, "block.fc2": 3}, GROUPS, Law(lowest=1 / 64)),
    )
    with pytest.warns(WidthWarning, match="at least 3 units of block.fc2"):
        warn({"fc1": 64, "block.fc2": 2}, GROUPS, Law())


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


def test_full_width_is_warned_of_where_the_law_seldom_draws_it() -> None:
    model = make(law=Law(distribution="uniform_below_full", lowest=1 / 8, chunks=1))
    with pytest.warns(WidthWarning) as caught:
        model.extract(1.0)
    assert len(caught) == 1
    assert str(caught[0].message) == (
        "expected BatchNorm statistics of the width that is run, got a mixture, since the law seldom or never draws "
        "full width; pass calibrate=loader, of training samples"
    )
    assert not warnings_of(lambda: model.extract(1.0, calibrate=[torch.randn(16, 3)]))


def test_statistics_of_the_batch_are_not_warned_of() -> None:
    model = make().train()
    assert not warnings_of(lambda: make(tracks=False).extract(0.5), lambda: model.at(0.5))


def test_a_curve_warns_once_and_not_at_each_width() -> None:
    with pytest.warns(WidthWarning) as caught:
        ww.curve(make(), lambda _: 1.0, latency=False, progress=False)
    assert len(caught) == 1


MISSING = (
    "expected the elastic state of the law beside the weights that were loaded, got none; narrower widths miss what "
    "they learned of their own: call model.load_elastic_state with what elastic_state() gave"
)


def make_affine() -> Elastic:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2)).eval()
    return Elastic(net, (torch.zeros(4, 3),), law=Law(unit_affine=True))


def test_weights_that_were_loaded_without_the_elastic_state_are_warned_of_where_a_narrower_width_is_run() -> None:
    trained, model = make_affine(), make_affine()
    model.load_state_dict(trained.state_dict())
    assert warnings_of(lambda: model.extract(0.5), lambda: model.at(0.5), lambda: model.extract(1.0)) == [MISSING] * 2
    with pytest.warns(UserWarning, match="^expected the elastic state") as caught:
        model.extract(0.5)
    assert caught[0].filename == __file__


def test_weights_that_were_loaded_into_a_parent_are_warned_of_too() -> None:
    model = make_affine()
    nn.ModuleDict({"model": model}).load_state_dict(nn.ModuleDict({"model": make_affine()}).state_dict())
    assert warnings_of(lambda: model.extract(0.5)) == [MISSING]


def test_weights_with_their_elastic_state_in_any_order_are_not_warned_of() -> None:
    trained = make_affine()
    for tensor in trained.elastic_state().values():
        tensor.fill_(0.5)
    after, before, bare = make_affine(), make_affine(), make(tracks=False)
    after.load_state_dict(trained.state_dict())
    after.load_elastic_state(trained.elastic_state())
    before.load_elastic_state(trained.elastic_state())
    before.load_state_dict(trained.state_dict())
    bare.load_state_dict(bare.state_dict())
    assert not warnings_of(*(partial(model.extract, 0.5) for model in (after, before, bare, make_affine())))


def test_weights_that_are_trained_on_need_no_elastic_state() -> None:
    model = make_affine()
    model.load_state_dict(model.state_dict())
    model.train()(torch.zeros(4, 3))
    assert not warnings_of(lambda: model.extract(0.5))
