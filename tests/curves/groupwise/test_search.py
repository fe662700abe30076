import warnings
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.conftest import RandomStateCheck
from tests.curves.evaluations import BATCH, first_output
from tests.curves.searchable import Searchable, counted, make_searchable, worth
from widthwise._shared import CurveError, NoPointError, WidthWarning
from widthwise.curves import Curve, Point, Score, curve, search
from widthwise.curves.groupwise.lattice import make_lattice
from widthwise.elastic import Elastic, Law
from widthwise.zoo import MLP

find = partial(search, latency=False)
FULL_MACS = 6 * 32 + 32 * 16 + 16 * 3


@pytest.fixture
def model() -> Searchable:
    return make_searchable()


def searched(model: Searchable, **settings: Any) -> Curve:
    return find(model, worth, **settings)


# Laws


@pytest.mark.parametrize("method", ["greedy", "evolution"])
@given(budgets=st.lists(st.integers(50, FULL_MACS), min_size=1, max_size=4))
def test_no_budget_is_exceeded_and_a_larger_one_is_never_worse(method: Any, budgets: list[int]) -> None:
    found = searched(make_searchable(), max_macs=budgets, method=method, max_trials=40)
    answers = [found.pick(max_macs=budget) for budget in sorted(budgets)]
    assert all(answer.macs <= budget for answer, budget in zip(answers, sorted(budgets), strict=True))
    assert [answer.score for answer in answers] == sorted(answer.score for answer in answers)


@pytest.mark.parametrize("budget", [80, 150, 300, 600])
def test_greedy_finds_what_trying_everything_finds_within_a_rung(model: Searchable, budget: int) -> None:
    lattice = make_lattice(model, 1 / 8)
    every = [(first, second) for first in lattice.rungs[0] for second in lattice.rungs[1]]
    scores = {units: -32 / units[0] - 3 * 16 / units[1] for units in every}
    fitting = [units for units in every if model.macs(lattice.name(units)) <= budget]
    best = max(fitting, key=scores.__getitem__)
    found = searched(model, max_macs=budget).pick(max_macs=budget)
    # As good as the best network that is a rung narrower in some group.
    below = [lattice.shift(best, group, -1 / 8) for group in (0, 1)]
    assert scores[best] >= found.score >= min(scores[units] for units in below if units is not None)


@pytest.mark.parametrize("method", ["greedy", "evolution"])
def test_it_is_never_worse_than_the_common_fraction(model: Searchable, method: Any) -> None:
    found = searched(model, max_macs=[60, 200, 400], method=method)
    lattice = make_lattice(model, 1 / 8)
    for budget in (60, 200, 400):
        common = lattice.find_common(lambda units: model.macs(lattice.name(units)) / budget)  # noqa: B023 called here
        assert found.pick(max_macs=budget).score >= -32 / common[0] - 48 / common[1]


def test_points_are_those_that_the_curve_would_measure(model: Searchable) -> None:
    found = searched(model, max_macs=[200, 100])
    assert curve(make_searchable(), worth, widths=found.points, latency=False).points == found.points


def test_full_width_and_the_narrowest_network_are_among_the_points(model: Searchable) -> None:
    found = searched(model, max_macs=200)
    assert found.full is not None
    assert found.points[0].width == 1 / 8
    assert found.pick(max_drop="100%").score <= found.full.score


def test_the_result_is_pinned(model: Searchable) -> None:
    assert searched(model, max_macs=200).pick(max_macs=200).widths == {"fc1": 9, "fc2": 12}


def test_one_group_gives_what_the_curve_gives() -> None:
    torch.manual_seed(0)
    model = Elastic(MLP([6, 32, 3]), (BATCH[:2],), law=Law(lowest=1 / 4))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = find(model, first_output, max_macs=[200, 100])
    fractions = [2 ** (-step / 8) for step in range(17)]
    drawn = curve(model, first_output, widths=fractions, latency=False)
    for budget in (200, 100):
        assert found.pick(max_macs=budget).score == drawn.pick(max_macs=budget).score
    assert {point.width for point in found} <= set(fractions)


# Budgets


@pytest.mark.parametrize(
    ("limit", "cost", "amount"),
    [
        ("max_params", "params", 300),
        ("max_bytes", "bytes", 4000),
        ("max_macs", "macs", 300),
        ("max_latency_ms", "latency_ms", 1e9),
        ("max_memory", "memory_bytes", 100),
    ],
)
def test_any_cost_is_a_budget(model: Searchable, limit: str, cost: str, amount: float) -> None:
    found = searched(model, **{limit: amount})
    point = found.pick(**{limit: amount})
    assert getattr(point, cost) <= amount


def test_limits_on_several_costs_hold_together(model: Searchable) -> None:
    point = searched(model, max_macs=300, max_params=200).pick(max_macs=300, max_params=200)
    assert point.params <= 200
    assert point.params > 150


def test_latency_is_measured_on_the_way_and_kept_with_the_points(model: Searchable, tmp_path: Path) -> None:
    found = searched(model, max_latency_ms=1e6, max_params=300, path=tmp_path / "search.json", max_trials=2)
    assert all(point.latency_ms is not None and point.latency_range_ms is not None for point in found)


def test_full_width_is_the_answer_where_it_fits(model: Searchable) -> None:
    calls: list[tuple[int, int]] = []
    found = find(model, counted(worth, calls), max_macs=10_000)
    assert found.pick(max_macs=10_000).width == 1.0
    assert len(calls) <= 4


def test_a_budget_under_the_narrowest_network_names_it_before_the_search(model: Searchable) -> None:
    calls: list[tuple[int, int]] = []
    with pytest.raises(NoPointError) as caught:
        find(model, counted(worth, calls), max_macs=[200, 10])
    assert str(caught.value) == (
        "no point has at most 10 MACs; the nearest is width 0.125 with 38 MACs (score -32); "
        "ask for max_macs=38 or train with a smaller `lowest`"
    )
    # The narrowest is asked about twice: whether a score repeats itself is looked at there.
    assert calls == [(32, 16), (4, 2), (4, 2)]


# Scores


def per_sample(net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch).square().mean(dim=1)


def test_a_score_is_compared_on_some_samples_and_told_on_all() -> None:
    torch.manual_seed(0)
    model = Elastic(MLP([6, 16, 8, 3]), (BATCH[:2],), law=Law(lowest=1 / 4, sharing="jittered"))
    sizes: list[int] = []

    def watched(net: nn.Module, batch: Tensor) -> Tensor:
        sizes.append(len(batch))
        return per_sample(net, batch)

    score = Score(watched, list(BATCH.split(5)), higher_is_better=False, name="loss")
    found = find(model, score, max_macs=100, num_samples=10)
    assert found.name == "loss"
    assert not found.higher_is_better
    for point in found:
        assert point.score == pytest.approx(Score(per_sample, [BATCH])(model.extract(point)), rel=1e-5)
    assert len(sizes) > 2 * len(found)


def test_extra_scores_stand_beside_and_have_no_say(model: Searchable) -> None:
    found = searched(model, max_macs=200, extra_scores={"width": lambda net: net[0].out_features})
    assert all(point.scores["width"] == point.widths["fc1"] for point in found)
    assert [point.widths for point in found] == [point.widths for point in searched(model, max_macs=200)]


def test_batch_norm_is_calibrated_for_every_network_but_the_full_one(model: Searchable) -> None:
    model.net.append(nn.BatchNorm1d(3))
    batches = [BATCH[:8], BATCH[8:]]
    find(model, worth, max_macs=200, calibrate=batches, max_trials=3)
    narrow = [each for units, each in zip(model.calls, model.calibrations, strict=True) if units["fc1"] < 32]
    assert len(narrow) > 3
    assert all(each is not None for each in narrow)


def test_a_score_that_is_none_names_its_widths(model: Searchable) -> None:
    def fail(net: nn.Module) -> float:
        return float("nan") if net[0].out_features == 29 else worth(net)

    with pytest.raises(CurveError, match=r"^expected the score at width fc1=29, fc2=16 to be a finite number, got nan"):
        find(model, fail, max_macs=200)


# Going on


@pytest.mark.parametrize("method", ["greedy", "evolution"])
@pytest.mark.parametrize("stop_after", [1, 5, 20])
def test_a_search_that_was_stopped_goes_on_to_the_same_answer(
    model: Searchable, tmp_path: Path, method: Any, stop_after: int
) -> None:
    settings: dict[str, Any] = {"max_macs": [300, 100], "method": method, "max_trials": 30}
    whole: list[tuple[int, int]] = []
    expected = find(make_searchable(), counted(worth, whole), **settings)
    path, calls = tmp_path / "search.json", list[tuple[int, int]]()
    with pytest.raises(KeyboardInterrupt):
        find(model, counted(worth, calls, stop_after=stop_after), path=path, **settings)
    found = find(model, counted(worth, calls), path=path, **settings)
    assert found.points == expected.points
    assert calls == whole


def test_a_finished_search_is_read_back(model: Searchable, tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    found = searched(model, max_macs=200, path=path)
    calls: list[tuple[int, int]] = []
    assert find(model, counted(worth, calls), max_macs=200, path=path) == found
    assert calls == []
    assert Curve.load(path) == found


def test_another_budget_goes_on_from_what_is_known_and_keeps_the_points(model: Searchable, tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    before = searched(model, max_macs=200, path=path)
    after = searched(model, max_macs=100, path=path)
    assert all(point in after.points for point in before.points)
    assert after.pick(max_macs=100).macs <= 100


def test_a_file_of_another_model_is_replaced_with_a_warning(model: Searchable, tmp_path: Path) -> None:
    path = tmp_path / "search.json"
    searched(model, max_macs=200, path=path, fingerprint="one")
    with pytest.warns(UserWarning, match="differs in weights; every point is measured again") as caught:
        searched(model, max_macs=200, path=path, fingerprint="two")
    assert caught[0].filename == __file__


def test_evolution_draws_from_the_generator_it_is_given(
    model: Searchable, untouched_random_state: RandomStateCheck
) -> None:
    calls: dict[int, list[tuple[int, int]]] = {}
    with untouched_random_state():
        for run, seed in enumerate((1, 1, 2)):
            generator = torch.Generator().manual_seed(seed)
            settings: dict[str, Any] = {"method": "evolution", "generator": generator, "max_trials": 20}
            find(model, counted(worth, calls.setdefault(run, [])), max_macs=200, **settings)
    assert calls[0] == calls[1] != calls[2]


# What is said


def test_widths_that_were_never_trained_together_are_warned_of() -> None:
    with pytest.warns(WidthWarning) as caught:
        searched(make_searchable(sharing="shared"), max_macs=200)
    assert str(caught[0].message) == (
        "expected a law that draws widths which differ between groups, got sharing='shared'; those that are found "
        "were never trained together and score less than they could: train with Law(sharing='jittered')"
    )
    assert caught[0].filename == __file__
    assert len(caught) == 1


def test_batch_norm_without_calibration_is_warned_of_once(model: Searchable) -> None:
    model.net.append(nn.BatchNorm1d(3))
    with pytest.warns(WidthWarning, match="^expected calibrate for a network with BatchNorm, got none; ") as caught:
        searched(model, max_macs=200, max_trials=3)
    assert len(caught) == 1
    assert caught[0].filename == __file__


def test_progress_is_drawn_where_it_is_asked_for(model: Searchable, capsys: pytest.CaptureFixture[str]) -> None:
    searched(model, max_macs=200, progress=False)
    assert capsys.readouterr().err == ""
    searched(model, max_macs=200, progress=True)
    assert "searching widths" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "random"}, "expected method to be one of greedy, evolution, got 'random'; use one of these"),
        ({"max_trials": 0}, "expected max_trials to be a whole number, at least 1, got 0; leave it out"),
        (
            {"num_samples": 5},
            (
                "expected a Score to take 5 samples of, got a function, which takes its own; leave out num_samples, or "
                "pass a ww.Score"
            ),
        ),
        (
            {"generator": torch.Generator()},
            "expected a generator for method=\"evolution\" alone, got one for 'greedy'; leave it out",
        ),
        (
            {"calibrate": iter([BATCH])},
            (
                "expected calibration batches that can be gone through once per width, got the one-way list_iterator; "
                "pass a list of batches or a DataLoader"
            ),
        ),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(model: Searchable, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(CurveError) as caught:
        searched(model, max_macs=200, **settings)
    assert str(caught.value) == message


def test_no_budget_and_a_folder_that_is_not_there_are_refused(model: Searchable, tmp_path: Path) -> None:
    with pytest.raises(CurveError, match=r"^expected a budget to search under, got none; "):
        searched(model)
    with pytest.raises(CurveError, match=r"^expected a folder to write search.json into, got none at "):
        searched(model, max_macs=200, path=tmp_path / "none" / "search.json")


def test_a_point_that_is_found_is_a_width_to_take_home() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(6, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 8), nn.ReLU(), nn.Linear(8, 3))
    model = Elastic(net, (BATCH[:2],), law=Law(lowest=1 / 4, sharing="jittered"))
    score = Score(per_sample, [BATCH], higher_is_better=False, name="loss")
    found = find(model, score, max_params=150, calibrate=[BATCH], max_trials=4)
    point: Point = found.pick(max_params=150)
    small = model.extract(point, calibrate=[BATCH])
    assert sum(parameter.numel() for parameter in small.parameters()) == point.params <= 150
    assert score(small) == pytest.approx(point.score)
    assert found.is_calibrated
