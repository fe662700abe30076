import warnings

import pytest
import torch
from torch import Tensor, nn

from tests.curves.searchable import make_searchable
from widthwise._shared import CurveError
from widthwise.curves import Score
from widthwise.curves.grid import Candidate
from widthwise.curves.groupwise.tryout import Tryout
from widthwise.elastic import Elastic, Law

INPUTS = torch.randn(32, 8, generator=torch.Generator().manual_seed(0))
HALF = Candidate(width=0.5, widths={"0": 8})
FULL = Candidate(width=1.0, widths={"0": 16})


def squares(net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch).square().mean(dim=1)


def make_elastic(*, batch_norm: bool) -> Elastic:
    norm = [nn.BatchNorm1d(16)] if batch_norm else []
    net = nn.Sequential(nn.Linear(8, 16), *norm, nn.ReLU(), nn.Linear(16, 3)).eval()
    return Elastic(net, (INPUTS[:2],), law=Law(lowest=1 / 4))


def test_a_score_runs_on_views_and_finds_what_the_extracted_network_has() -> None:
    model = make_elastic(batch_norm=False)
    seen: list[nn.Module] = []

    def watched(net: nn.Module, batch: Tensor) -> Tensor:
        seen.append(net)
        return squares(net, batch)

    found = Tryout(model=model, name="loss", evaluate=Score(watched, [INPUTS]), calibrate=None).score(HALF)
    assert seen == [model]
    assert found == pytest.approx(Score(squares, [INPUTS])(model.extract(0.5)), rel=1e-6)


def test_below_what_was_trained_a_view_is_as_silent_as_an_extraction() -> None:
    tryout = Tryout(
        model=make_elastic(batch_norm=False), name="loss", evaluate=Score(squares, [INPUTS]), calibrate=None
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert tryout.score(Candidate(width=None, widths={"0": 1})) > 0


def test_batch_norm_is_calibrated_on_an_extracted_network_but_not_at_full_width() -> None:
    model = make_elastic(batch_norm=True)
    score = Score(squares, [INPUTS])
    tryout = Tryout(model=model, name="loss", evaluate=score, calibrate=[INPUTS])
    assert tryout.score(HALF) == score(model.extract(0.5, calibrate=[INPUTS]))
    assert tryout.score(FULL) == pytest.approx(score(model.net))


def test_a_function_gets_a_network_of_its_own() -> None:
    model = make_searchable()
    tryout = Tryout(model=model, name="score", evaluate=lambda net: net[0].out_features, calibrate=None)
    assert tryout.score(Candidate(width=None, widths={"fc1": 5, "fc2": 3})) == 5.0
    assert model.calls == [{"fc1": 5, "fc2": 3}]


def test_a_score_that_fails_names_its_widths() -> None:
    tryout = Tryout(model=make_searchable(), name="score", evaluate=lambda _net: float("nan"), calibrate=None)
    with pytest.raises(CurveError, match=r"^expected the score at width fc1=5, fc2=3 to be a finite number, got nan; "):
        tryout.score(Candidate(width=None, widths={"fc1": 5, "fc2": 3}))


def test_time_is_that_of_one_sample_on_one_thread() -> None:
    timed = Tryout(model=make_searchable(), name="score", evaluate=lambda _net: 0.0, calibrate=None).time(
        Candidate(width=0.5, widths={"fc1": 16, "fc2": 8})
    )
    assert (timed.batch, timed.threads) == (1, 1)
    assert 0 < timed.low_ms <= timed.median_ms <= timed.high_ms
