"""Scores in other processes; what is sent there has to stand at the top of a module."""

import os

import pytest
import torch
from torch import Tensor, nn

from tests.curves.evaluations import BATCH, first_output
from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError
from widthwise.curves import Score, curve
from widthwise.curves.workers import open_workers

pytestmark = pytest.mark.slow


def squares(net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch).square().mean(dim=1)


SCORE = Score(squares, list(BATCH.split(6)), higher_is_better=False, name="loss")


def die(net: nn.Module) -> float:
    os._exit(1)


def fail_when_narrow(net: nn.Module) -> float:
    if net[0].out_features < 20:
        raise RuntimeError("out of luck")
    return 0.5


def test_two_processes_give_the_curve_that_one_gives(model: StandIn) -> None:
    widths = [0.25, 0.5, 1.0, 0.125]
    one = curve(model, SCORE, widths=widths, latency=False, extra_scores={"sum": first_output})
    two = curve(model, SCORE, widths=widths, latency=False, extra_scores={"sum": first_output}, processes=2)

    # The same code on the same numbers, in one thread each.
    assert two == one
    assert all(point.drop_errors for point in two)


def test_networks_are_timed_before_any_process_runs(model: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    from widthwise.curves import plan, workers

    order: list[str] = []
    time_latency, submit = plan.time_latency, workers.ProcessPoolExecutor.submit

    def note_time(net: nn.Module, args: tuple[object, ...], **settings: object) -> object:
        order.append("time")
        return time_latency(net, args, budget_s=0.01, repeats=5, **settings)  # pyright: ignore[reportArgumentType]

    def note_submit(self: object, *args: object) -> object:
        order.append("submit")
        return submit(self, *args)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(plan, "time_latency", note_time)
    monkeypatch.setattr(workers.ProcessPoolExecutor, "submit", note_submit)
    curve(model, SCORE, widths=[1.0, 0.5, 0.25], processes=2)

    assert order == ["time"] * 3 + ["submit"] * 3


def test_a_score_that_cannot_be_sent_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, lambda _net: 1.0, widths=[0.5], latency=False, processes=2)
    message = str(caught.value)
    assert message.startswith("expected the score to be something that other processes can be sent, got ")
    assert message.endswith("; write it as a function or class at the top of a module, or leave out processes")
    assert "\n" not in message


def test_a_score_that_fails_elsewhere_names_its_width(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, fail_when_narrow, widths=[1.0, 0.5], latency=False, processes=2)
    assert str(caught.value) == (
        "expected the score at width 0.5 to be a finite number, got RuntimeError: out of luck; "
        "check evaluate on that network"
    )


def test_a_process_that_dies_is_told(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, die, widths=[0.5], latency=False, processes=2, is_noisy=True)
    assert str(caught.value) == (
        "expected processes that score networks until the end, got one that died; give them more memory, start them "
        'below `if __name__ == "__main__":` in a script, or leave out processes'
    )


def test_processes_share_the_threads() -> None:
    class Job:
        label = "1"

    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        with open_workers({"threads": count_threads}, 2) as workers:
            ((_, found),) = workers.evaluate([(Job(), nn.Identity())])
    finally:
        torch.set_num_threads(before)
    assert found.scores == {"threads": 2.0}


def count_threads(net: nn.Module) -> float:
    return float(torch.get_num_threads())
