"""A training that stops early keeps its best epoch, however often it was interrupted."""

import shutil
from pathlib import Path

import pytest
import torch

from tests.training.conftest import TINY
from tests.training.test_loop import assert_same_weights, before_step, interrupt, metrics_of, weights_of
from widthwise.training import Recipe, Run, parse_recipe, train
from widthwise.training.patience import Patience
from widthwise.training.session import Session

WEIGHTS = {"w": torch.zeros(2)}


def see(patience: Patience, *scores: float) -> list[bool]:
    over: list[bool] = []
    for epoch, score in enumerate(scores, start=1):
        patience.see(epoch, {"a": score, "a_lowest": score}, {"w": torch.full((2,), score)}, {})
        over.append(patience.is_over(epoch))
    return over


@pytest.mark.parametrize(
    ("higher", "scores", "over", "best"),
    [
        (True, (0.1, 0.3, 0.2, 0.3), [False, False, False, True], 2),
        (True, (0.1, 0.3, 0.2, 0.4), [False, False, False, False], 4),
        (False, (3.0, 2.0, 2.5, 2.5), [False, False, False, True], 2),
    ],
)
def test_it_is_over_so_many_epochs_after_the_best(
    higher: bool, scores: tuple[float, ...], over: list[bool], best: int
) -> None:
    patience = Patience(2, higher_is_better=higher)
    assert see(patience, *scores) == over
    assert patience.best is not None
    assert (patience.best.epoch, patience.best.score) == (best, scores[best - 1])
    assert float(patience.best.weights["w"][0]) == pytest.approx(scores[best - 1])


def test_full_and_narrowest_width_count_alike() -> None:
    patience = Patience(9, higher_is_better=True)
    patience.see(1, {"a": 0.9, "a_lowest": 0.1}, WEIGHTS, {})
    patience.see(2, {"a": 0.7, "a_lowest": 0.5}, WEIGHTS, {})
    assert patience.best is not None
    assert (patience.best.epoch, patience.best.score) == (2, pytest.approx(0.6))


def test_what_is_remembered_does_not_change_with_the_weights() -> None:
    weights, patience = {"w": torch.zeros(2)}, Patience(1, higher_is_better=True)
    patience.see(1, {"a": 1.0}, weights, weights)
    weights["w"].add_(1)
    assert patience.best is not None
    assert not patience.best.weights["w"].any()
    assert not patience.best.elastic["w"].any()


def test_without_a_limit_nothing_is_remembered() -> None:
    patience = Patience(None, higher_is_better=True)
    assert see(patience, 0.3, 0.2, 0.1) == [False] * 3
    assert patience.best is None
    assert patience.state() == {}


def test_a_loaded_state_goes_on() -> None:
    one, other = Patience(2, higher_is_better=True), Patience(2, higher_is_better=True)
    see(one, 0.3, 0.2)
    other.load_state(one.state())
    assert other.best == one.best
    assert other.is_over(3)
    other.load_state({})
    assert other.best is None


@pytest.fixture
def scripted(tiny: Recipe, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """The tiny recipe with patience for two of six epochs, whose second epoch is told to be the best."""
    seen: dict[bytes, float] = {}

    def validate(session: Session) -> dict[str, float]:
        # By the weights, so that a resumed training sees what the whole one saw.
        key = session.model.net.get_parameter("fc1.weight").detach().numpy().tobytes()
        if key not in seen:
            seen[key] = [0.5, 0.9, 0.8, 0.7, 0.6, 0.5][len(seen)]
        return {"accuracy": seen[key], "accuracy_lowest": seen[key] / 2}

    monkeypatch.setattr(Session, "validate", validate)
    return parse_recipe(TINY, overrides=["epochs=6", "patience=2", "elastic.unit_affine=true"])


@pytest.mark.slow
def test_an_early_stop_keeps_the_best_weights_and_resumes_bit_equal(scripted: Recipe, tmp_path: Path) -> None:
    whole = train(scripted, tmp_path / "whole")
    state = whole.state
    assert (state.status, state.finished_epochs, state.epochs, state.best_epoch) == ("finished", 4, 6, 2)
    cost = Run.open(tmp_path / "whole").state.training_cost_epochs
    assert cost is not None
    assert 0 < cost < 4

    best = train(parse_recipe(TINY, overrides=["epochs=6", "elastic.unit_affine=true"]), tmp_path / "last")
    assert best.state.best_epoch is None
    assert not torch.equal(weights_of(best)["fc1.weight"], weights_of(whole)["fc1.weight"])

    for epoch in (2, 3, 4):
        path = tmp_path / f"parts {epoch}"
        with before_step(epoch, 2, interrupt), pytest.raises(KeyboardInterrupt):
            train(scripted, path)
        found = train(scripted, path)
        assert found.state.best_epoch == 2
        assert_same_weights(found, whole)
        assert metrics_of(found) == metrics_of(whole)

    # Killed after the last epoch was kept, and before the run was finished.
    shutil.copytree(whole.path, tmp_path / "killed")
    Run.open(tmp_path / "killed").advance(status="running", best_epoch=None, weights_sha256={})
    assert_same_weights(train(scripted, tmp_path / "killed"), whole)
    assert Run.open(tmp_path / "killed").state.best_epoch == 2

    (whole.path / "model.safetensors").write_bytes(b"half")
    assert_same_weights(train(scripted, whole.path), Run.open(tmp_path / "killed"))
