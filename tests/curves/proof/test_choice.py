from collections.abc import Iterator
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from tests.conftest import RandomStateCheck
from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError, NoPointError, WidthWarning
from widthwise.curves import Evidence, Point, Score, pick

COUNT = 2000
# Of the samples, a network of so many units in fc1 is wrong on those below its threshold.
WRONG = {32: 0.02, 16: 0.02, 8: 0.025, 4: 0.2, 2: 0.2}
WIDTHS = (0.5, 0.25, 0.125)
Batch = tuple[Tensor, Tensor]


def samples(count: int = COUNT) -> list[Batch]:
    """Evenly spread, and in order, as a data set sorted by class is."""
    rank = (torch.arange(count) + 0.5) / count
    return list(zip(torch.zeros(count, 6).split(200), rank.split(200), strict=True))


def is_right(net: nn.Module, batch: Batch) -> Tensor:
    return batch[1] >= WRONG[net[0].out_features]  # pyright: ignore[reportIndexIssue]


def as_loss(net: nn.Module, batch: Batch) -> Tensor:
    return 1.0 + (~is_right(net, batch)).float()


SCORE = Score(is_right, samples())


def choose(model: StandIn, score: Score[Batch] = SCORE, **settings: object) -> Point:
    return pick(model, score, **{"max_drop": 0.05, "widths": WIDTHS, **settings})  # pyright: ignore[reportArgumentType]


def evidence_of(point: Point) -> Evidence:
    assert point.evidence is not None
    return point.evidence


def test_the_smallest_that_keeps_to_the_limit_is_picked(model: StandIn) -> None:
    point = choose(model)
    evidence = evidence_of(point)
    assert (point.width, point.widths) == (0.25, {"fc1": 8, "fc2": 4})
    assert [(trial.width, trial.verdict) for trial in evidence.trials] == [
        (0.5, "within"),
        (0.25, "within"),
        (0.125, "beyond"),
    ]
    assert (evidence.guarantee, evidence.num_available) == ("any sample size", COUNT)
    assert evidence.num_narrow == sum(trial.num_samples for trial in evidence.trials)
    assert evidence.num_full == max(trial.num_samples for trial in evidence.trials)
    assert evidence.num_samples < COUNT


def test_the_point_is_that_of_the_curve(model: StandIn) -> None:
    point = choose(model)
    net = model.extract(0.25)
    assert point.macs == model.macs(0.25)
    assert point.params == sum(parameter.numel() for parameter in net.parameters())
    assert point.scores == {"accuracy": point.score}
    assert point.score == pytest.approx(1 - WRONG[8], abs=0.03)
    assert Point.from_dict(point.to_dict()) == point


def test_the_order_is_drawn_and_always_the_same(model: StandIn, untouched_random_state: RandomStateCheck) -> None:
    with untouched_random_state():
        point = choose(model)
    assert choose(model) == point
    other = choose(model, generator=torch.Generator().manual_seed(7))
    assert other.width == point.width
    assert evidence_of(other) != evidence_of(point)


@pytest.mark.parametrize("shuffled", [False, True])
def test_a_data_loader_will_do_whatever_its_order(model: StandIn, shuffled: bool) -> None:
    inputs, ranks = (torch.cat(parts) for parts in zip(*samples(), strict=True))
    loader = DataLoader(TensorDataset(inputs, ranks), batch_size=100, shuffle=shuffled)
    assert choose(model, Score(is_right, loader)).width == 0.25  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(("bounds", "guarantee"), [(None, "many samples"), ((1, 2), "any sample size")])
def test_a_loss_is_chosen_by_too(model: StandIn, bounds: tuple[float, float] | None, guarantee: str) -> None:
    point = choose(model, Score(as_loss, samples(), higher_is_better=False, name="loss"), bounds=bounds)
    assert (point.width, evidence_of(point).guarantee) == (0.25, guarantee)


@pytest.mark.parametrize(("max_drop", "width"), [("50%", 0.125), ("5%", 0.25)])
def test_a_limit_may_be_relative(model: StandIn, max_drop: str, width: float) -> None:
    point = choose(model, max_drop=max_drop)
    assert point.width == width
    assert evidence_of(point).max_drop == max_drop


def test_where_nothing_narrower_is_proven_it_is_full_width(model: StandIn) -> None:
    point = choose(model, widths=[0.125])
    assert point.width == 1.0
    assert point.score == pytest.approx(0.98, abs=0.02)
    assert [trial.verdict for trial in evidence_of(point).trials] == ["beyond"]


def test_it_keeps_to_the_passes_that_it_may_spend(model: StandIn) -> None:
    evidence = evidence_of(choose(model, max_drop=0.02, max_passes=0.6))
    assert evidence.num_samples <= 0.6 * COUNT


def test_calibration_batches_reach_the_full_network_too_where_training_seldom_ran_it(model: StandIn) -> None:
    model.law.runs_full = False  # pyright: ignore[reportAttributeAccessIssue]
    choose(model, calibrate=[torch.zeros(2, 6)])
    assert all(calibrate is not None for calibrate in model.calibrations)


def test_calibration_batches_reach_every_network_but_the_full_one(model: StandIn) -> None:
    batches = [torch.zeros(2, 6)]
    choose(model, calibrate=batches)
    assert model.calibrations[0] is None
    seen = list(zip(model.calls, model.calibrations, strict=True))
    assert all((calibrate is None) == (units["fc1"] == 32) for units, calibrate in seen)


def test_a_plain_function_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        choose(model, lambda _: 0.5)  # pyright: ignore[reportArgumentType]
    assert str(caught.value) == (
        "expected a ww.Score, which gives one number per sample, got function; two networks are compared sample by "
        "sample: write ww.Score(per_sample, loader)"
    )


def test_too_few_samples_are_refused_with_the_number_it_takes(model: StandIn) -> None:
    with pytest.raises(NoPointError) as caught:
        choose(model, Score(is_right, samples(60)))
    assert str(caught.value) == (
        "no width can be proven to keep to max_drop=0.05 with confidence 0.95 on 60 samples; it takes at least 72 "
        "where a network errs on no other sample than full width does, and some times as many where it does: give "
        "score more samples, or raise max_drop"
    )


def test_a_drop_of_nothing_is_refused(model: StandIn) -> None:
    with pytest.raises(NoPointError, match="expected a max_drop above 0, got 0: no number of samples proves"):
        choose(model, max_drop=0)


@pytest.mark.parametrize("max_passes", [0.05, 0.0, -1.0, float("nan")])
def test_too_few_passes_are_refused(model: StandIn, max_passes: float) -> None:
    with pytest.raises(CurveError) as caught:
        choose(model, max_passes=max_passes)
    assert str(caught.value) == (
        "expected max_passes to pay for 144 forward passes of samples, which the shortest proof takes, "
        f"got {max_passes:g} x 2,000; raise it to 0.072 or more"
    )


def test_an_empty_loader_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError, match="expected at least one sample to compute the accuracy from, got an empty"):
        choose(model, Score(is_right, []))


@pytest.mark.parametrize("bounds", [None, (0, 1)])
def test_a_score_that_is_random_is_refused(model: StandIn, bounds: tuple[float, float] | None) -> None:
    generator = torch.Generator().manual_seed(0)
    score = Score(lambda _, batch: torch.rand(len(batch[1]), generator=generator) < 0.5, samples())
    with pytest.raises(CurveError) as caught:
        choose(model, score, bounds=bounds)
    assert str(caught.value) == (
        "expected the same accuracy of the same network on the same samples, got another one when asked again; "
        "take out what is random in per_sample or in the data (augmentation, dropout)"
    )


def test_a_score_that_raises_is_named_with_its_width(model: StandIn) -> None:
    def fail(net: nn.Module, batch: Batch) -> Tensor:
        if net[0].out_features == 8:  # pyright: ignore[reportIndexIssue]
            raise RuntimeError("no such thing\nand more")
        return is_right(net, batch)

    with pytest.raises(CurveError) as caught:
        choose(model, Score(fail, samples()))
    assert str(caught.value) == (
        "expected the accuracy of each sample at width 0.25, got RuntimeError: no such thing; "
        "check per_sample on that network"
    )


def test_a_score_of_nan_is_named_with_its_width(model: StandIn) -> None:
    def fail(net: nn.Module, batch: Batch) -> Tensor:
        return as_loss(net, batch) * (torch.nan if net[0].out_features == 16 else 1)  # pyright: ignore[reportIndexIssue]

    with pytest.raises(CurveError, match=r"^width 0.5: accuracy: expected finite numbers, got 32 of 32 in batch 0 NaN"):
        choose(model, Score(fail, samples()))


def test_a_score_out_of_its_bounds_is_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        choose(model, Score(as_loss, samples(), name="loss"), bounds=(0, 1.5))
    assert str(caught.value).startswith("expected every loss to lie in bounds=(0, 1.5), got 2 at width ")
    assert str(caught.value).endswith("; give bounds that hold for all samples, or None")


class Once:
    """Batches that are gone the third time that they are asked for, in an order that nobody can change."""

    def __init__(self) -> None:
        self.times = 0

    def __iter__(self) -> Iterator[Batch]:
        self.times += 1
        yield from samples() if self.times < 5 else []


def test_a_loader_that_runs_dry_is_refused(model: StandIn) -> None:
    with pytest.warns(WidthWarning, match="can be put in a random order"), pytest.raises(CurveError) as caught:
        choose(model, replace(SCORE, loader=Once()))
    assert str(caught.value) == (
        "expected the loader of accuracy to give as many batches at width 1 as before, got fewer; "
        "give one that can be gone through again"
    )


def test_widths_that_were_not_trained_are_warned_of(model: StandIn) -> None:
    with pytest.warns(WidthWarning, match="the smallest fraction that was trained"):
        pick(model, SCORE, max_drop=0.05, widths=[0.25, 1 / 16])
