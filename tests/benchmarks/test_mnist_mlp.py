import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.elastic import mnist_mlp
from benchmarks.elastic.mnist_mlp import KINDS, RATES, ROWS, Plan, carry_over, check_rates, confirm, find_kind, tune
from benchmarks.record import Record
from widthwise._shared import RunError
from widthwise.training import Recipe

OLD = RATES[:5]
Trained = list[tuple[str, float]]


class FakeState:
    training_cost_epochs = 8.0
    training_seconds = 1.0


class FakeRun:
    """The run of a recipe, of which only the rate and the width matter."""

    state = FakeState()

    def __init__(self, recipe: Recipe) -> None:
        self.recipe = recipe


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Trained:
    """The names and rates of what is trained; the accuracy is best at a rate of 1.2e-2 (alone) or 5e-3 (ours)."""
    found: Trained = []

    def train(plan: Plan, recipe: Recipe, name: str) -> FakeRun:
        found.append((name, recipe.training.learning_rate))
        return FakeRun(recipe)

    def score(run: FakeRun, row: str, widths: tuple[int, ...], split: str = "test") -> Mapping[str, float]:
        best = 1.2e-2 if row == "alone" else 5e-3
        return {str(width): 90 - 1000 * abs(run.recipe.training.learning_rate - best) for width in widths}

    monkeypatch.setattr(Plan, "train", train)
    monkeypatch.setattr(mnist_mlp, "score_widths", score)
    return found


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(data=tmp_path, runs=tmp_path / "runs", results=tmp_path, widths=(256, 8), seeds=(0,))


def test_each_row_has_the_rate_of_its_kind() -> None:
    assert [find_kind({"row": row}) for row in ROWS] == ["alone", "alone", "ours", "ours", "alone", "paper"]


def test_a_second_start_trains_nothing(plan: Plan, trained: Trained) -> None:
    rates = tune(plan)
    assert rates == {"alone": 1.2e-2, "ours": 5e-3}
    confirm(plan, rates)
    assert len(trained) == 3 * len(RATES) + 2 * 2 + 4
    trained.clear()
    confirm(plan, tune(plan))
    assert trained == []


def test_no_two_runs_of_other_rates_share_a_folder(plan: Plan, trained: Trained) -> None:
    confirm(plan, tune(plan))
    assert len(dict(trained)) == len(set(trained))


def test_a_longer_list_of_rates_trains_only_the_new_ones(plan: Plan, trained: Trained) -> None:
    with pytest.raises(RunError):
        tune(replace(plan, rates=OLD))
    trained.clear()
    tune(plan)
    assert sorted({rate for _, rate in trained}) == [1.2e-2, 2e-2]
    assert len(trained) == 2 * 3
    assert json.loads((plan.results / "mnist_mlp_tuning.json").read_text())["settings"]["rates"] == list(RATES)


def test_another_rate_of_one_kind_trains_the_rows_of_that_kind_alone(plan: Plan, trained: Trained) -> None:
    confirm(replace(plan, rates=OLD), {"alone": 8e-3, "ours": 5e-3})
    trained.clear()
    confirm(plan, {"alone": 1.2e-2, "ours": 5e-3})
    assert {rate for _, rate in trained} == {1.2e-2}
    assert len(trained) == 2 * 2 + 1
    record = Record.read(plan.results / "mnist_mlp.json")
    assert record.settings["chosen_rates"] == {"alone": 1.2e-2, "ours": 5e-3}
    assert len(record.cells) == 2 * 2 + 4


def test_cells_of_other_settings_are_not_carried_over(plan: Plan, trained: Trained) -> None:
    confirm(plan, dict.fromkeys(KINDS, 5e-3))
    with pytest.raises(RunError, match=r"got ones with another settings\.widths"):
        confirm(replace(plan, widths=(256, 16)), dict.fromkeys(KINDS, 5e-3))
    assert trained


def test_the_committed_results_can_be_gone_on_with(tmp_path: Path) -> None:
    for name in ("mnist_mlp_tuning.json", "mnist_mlp.json"):
        there = Record.read(mnist_mlp.RESULTS / name)
        path = tmp_path / name
        replace(there, path=path).write()
        carry_over(path, {"rates": list(RATES)}, lambda _: True)
        found = Record.read(path)
        assert len(found.cells) == len(there.cells)
        assert found.settings.items() >= Plan(data=tmp_path, runs=tmp_path).settings().items()


def test_a_rate_at_an_end_of_the_list_is_one_line() -> None:
    check_rates({"alone": RATES[1]}, RATES)
    with pytest.raises(RunError) as caught:
        check_rates({"ours": RATES[1], "alone": RATES[-1]}, RATES)
    assert str(caught.value) == (
        "expected the best learning rate of 'alone' between 0.001 and 0.02, got 0.02, an end of the list; "
        "put more into RATES and start again"
    )
