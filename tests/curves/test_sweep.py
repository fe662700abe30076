import math
import warnings

import pytest
import torch
from torch import Tensor, nn

from tests.curves.evaluations import BATCH, fails_below, first_output, short_time_latency
from tests.curves.stand_in import StandIn
from widthwise._shared import CurveError, WidthError, WidthWarning
from widthwise.curves import Score, curve, plan
from widthwise.elastic import Elastic
from widthwise.measure import count_parameters
from widthwise.slicing.formats import exported_bytes

# What is measured


def test_default_widths_are_half_octaves_from_the_lowest_trained_to_full(model: StandIn) -> None:
    found = curve(model, first_output, latency=False)

    assert [point.width for point in found] == [2 ** (-step / 2) for step in range(6, -1, -1)]


def test_every_score_is_of_the_extracted_network(model: StandIn) -> None:
    for point in curve(model, first_output, widths=[1.0, 0.5, 0.25], latency=False):
        assert point.score == first_output(model.extract(point))


def test_costs_are_those_of_the_extracted_network(model: StandIn) -> None:
    for point in curve(model, first_output, widths=[1.0, 0.5, {"fc1": 5}], latency=False):
        small = model.extract(point)
        assert point.params == count_parameters(small)
        assert point.bytes == exported_bytes(small, point.widths)
        assert point.macs == model.macs(point) == sum(p.numel() for p in small.parameters() if p.dim() == 2)
        assert point.widths == model.widths(point)


def test_points_can_be_given_as_widths_again(model: StandIn) -> None:
    first = curve(model, first_output, widths=[0.5, {"fc1": 5}], latency=False)

    assert curve(model, first_output, widths=first.points, latency=False).points == first.points


def test_the_same_network_is_measured_once(model: StandIn) -> None:
    found = curve(model, first_output, widths=[0.5, 0.501, {"fc1": 16, "fc2": 8}], latency=False)

    assert len(found) == len(model.calls) == 1


def test_the_network_is_scored_in_eval_mode(model: StandIn) -> None:
    model.net.train()

    assert [
        point.score for point in curve(model, lambda net: float(not net.training), widths=[0.5], latency=False)
    ] == [1.0]


def test_costs_are_taken_before_an_evaluation_that_changes_the_network(model: StandIn) -> None:
    def spoil(net: nn.Module) -> float:
        net.append(nn.Linear(1000, 1000))
        return 1.0

    assert curve(model, spoil, widths=[1.0], latency=False).points[0].params < 1000


def test_a_score_gives_the_curve_its_name_and_direction(model: StandIn) -> None:
    def loss(net: nn.Module, batch: Tensor) -> Tensor:
        return net(batch).square().mean(dim=1)

    score = Score(loss, [BATCH], higher_is_better=False, name="loss")
    found = curve(model, score, widths=[0.5], latency=False)

    assert (found.name, found.higher_is_better) == ("loss", False)
    assert found.points[0].score == score(model.extract(0.5))
    assert found.points[0].scores == {"loss": found.points[0].score}


def test_a_function_is_a_score_where_higher_is_better(model: StandIn) -> None:
    found = curve(model, first_output, widths=[0.5], latency=False)

    assert (found.name, found.higher_is_better) == ("score", True)


def test_a_tensor_of_one_number_is_a_score(model: StandIn) -> None:
    found = curve(model, lambda net: net(BATCH).sum().detach(), widths=[0.5], latency=False)

    assert isinstance(found.points[0].score, float)


def test_more_scores_are_kept_beside_the_first(model: StandIn) -> None:
    found = curve(
        model, first_output, widths=[0.5], latency=False, extra_scores={"units": lambda net: net[0].out_features}
    )

    assert found.points[0].scores == {"score": found.points[0].score, "units": 16.0}


def test_latency_is_of_one_sample_on_one_thread(model: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[list[int], int]] = []
    model.net.register_forward_pre_hook(lambda _net, args: seen.append((list(args[0].shape), torch.get_num_threads())))
    monkeypatch.setattr(plan, "time_latency", short_time_latency)

    point = curve(model, lambda _net: 0.5, widths=[0.5]).points[0]

    assert {tuple(shape) for shape, _ in seen} == {(1, 6)}
    assert {threads for _, threads in seen} == {1}
    assert point.latency_ms is not None
    assert point.latency_range_ms is not None
    assert 0 < point.latency_range_ms[0] <= point.latency_ms <= point.latency_range_ms[1]


def test_without_latency_none_is_stored(model: StandIn) -> None:
    point = curve(model, first_output, widths=[0.5], latency=False).points[0]

    assert (point.latency_ms, point.latency_range_ms) == (None, None)


def test_the_curve_says_what_it_was_measured_on(model: StandIn) -> None:
    found = curve(model, first_output, widths=[0.5], latency=False)

    assert {"torch", "processor", "cores"} <= set(found.environment)


def test_progress_is_drawn_where_it_is_asked_for(model: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    curve(model, first_output, widths=[0.5], latency=False, progress=False)
    assert capsys.readouterr().err == ""

    curve(model, first_output, widths=[0.5], latency=False, progress=True)
    assert "measuring the curve" in capsys.readouterr().err


# BatchNorm and untrained widths


def test_calibration_goes_to_every_width_but_full(model: StandIn) -> None:
    batches = [BATCH]
    curve(model, first_output, widths=[1.0, 0.5], calibrate=batches, latency=False)

    assert model.calibrations == [None, batches]


def test_calibration_goes_to_full_width_too_where_training_seldom_ran_it(model: StandIn) -> None:
    model.law.runs_full = False  # pyright: ignore[reportAttributeAccessIssue]
    batches = [BATCH]
    curve(model, first_output, widths=[1.0, 0.5], calibrate=batches, latency=False)
    assert model.calibrations == [batches, batches]

    model.net.append(nn.BatchNorm1d(3))
    with pytest.warns(WidthWarning, match="expected calibrate for a network with BatchNorm, got none"):
        curve(model, first_output, widths=[1.0], latency=False)


def test_batch_norm_without_calibration_is_warned_of(model: StandIn) -> None:
    model.net.append(nn.BatchNorm1d(3))

    with pytest.warns(UserWarning, match="BatchNorm") as caught:
        curve(model, first_output, widths=[0.5], latency=False)

    assert [str(warning.message) for warning in caught] == [
        (
            "expected calibrate for a network with BatchNorm, got none; its running statistics are those of full "
            "width, so every narrower score is far too low: pass some 2,000 training samples as calibrate"
        )
    ]
    assert caught[0].filename == __file__


def test_calibration_or_full_width_alone_or_no_statistics_are_not_warned_of(model: StandIn) -> None:
    model.net.append(nn.BatchNorm1d(3))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        calibrated = curve(model, first_output, widths=[0.5], calibrate=[BATCH], latency=False)
        plain = curve(model, first_output, widths=[1.0], latency=False)
        model.net[5] = nn.BatchNorm1d(3, track_running_stats=False)
        without = curve(model, first_output, widths=[0.5], calibrate=[BATCH], latency=False)

    assert (calibrated.is_calibrated, plain.is_calibrated, without.is_calibrated) == (True, False, False)


class Functional(nn.Module):
    """Normalises by statistics that no BatchNorm module holds."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(6, 8), nn.Linear(8, 3)
        self.register_buffer("mean", torch.zeros(8))
        self.register_buffer("variance", torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.batch_norm(self.fc(x), self.mean, self.variance, training=self.training)
        return self.head(x.relu())


def test_a_batch_norm_that_is_no_module_is_warned_of_and_calibrated() -> None:
    model = Elastic(Functional(), (torch.zeros(2, 6),))
    batches = [torch.randn(64, 6, generator=torch.Generator().manual_seed(0))]
    with pytest.warns(UserWarning, match="^expected calibrate for a network with BatchNorm, got none; "):
        plain = curve(model, first_output, widths=[1.0, 0.5], latency=False)
    calibrated = curve(model, first_output, widths=[1.0, 0.5], calibrate=batches, latency=False)
    assert (plain.is_calibrated, calibrated.is_calibrated) == (False, True)
    (before, full), (after, same) = ([point.score for point in found] for found in (plain, calibrated))
    assert before != after
    assert full == same


def test_widths_below_those_trained_are_warned_of(model: StandIn) -> None:
    with pytest.warns(UserWarning, match=r"^expected widths of at least 0\.125, .* got 0\.03125; ") as caught:
        found = curve(model, first_output, widths=[0.5, 1 / 32], latency=False)

    assert len(found) == 2
    assert caught[0].filename == __file__


def test_calibration_batches_that_can_be_gone_through_only_once_are_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, calibrate=iter([BATCH]), latency=False)

    assert str(caught.value) == (
        "expected calibration batches that can be gone through once per width, got the one-way list_iterator; "
        "pass a list of batches or a DataLoader"
    )


# Scores that fail


@pytest.mark.parametrize(
    ("result", "got"),
    [
        (float("nan"), "nan"),
        (math.inf, "inf"),
        (None, "TypeError: float() argument must be a string or a real number, not 'NoneType'"),
        (RuntimeError("out of luck\nand more"), "RuntimeError: out of luck"),
        (KeyError(), "KeyError: "),
    ],
)
def test_a_score_that_fails_names_its_width(model: StandIn, result: object, got: str) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, fails_below(20, result), widths=[1.0, 0.5], latency=False)

    message = str(caught.value)
    assert message.startswith(f"expected the score at width 0.5 to be a finite number, got {got}")
    assert message.endswith(
        ("; check evaluate on that network", "; check evaluate on that network, or leave that width out")
    )
    assert "\n" not in message


def test_an_error_of_ours_is_repeated_with_its_width(model: StandIn) -> None:
    score = Score(lambda net, batch: net(batch).sum(), [BATCH])

    with pytest.raises(CurveError) as caught:
        curve(model, score, widths=[0.5], latency=False)

    assert str(caught.value) == (
        "width 0.5: accuracy: expected per_sample to return one number per sample, a tensor [B], got a single number; "
        'leave out the mean over the batch (reduction="none" in losses)'
    )


def test_an_error_of_a_score_is_kept_as_its_cause(model: StandIn) -> None:
    reason = RuntimeError("out of luck")

    with pytest.raises(CurveError) as caught:
        curve(model, fails_below(99, reason), widths=[1.0], latency=False)

    assert caught.value.__cause__ is reason


def test_an_interrupt_is_no_failed_score(model: StandIn) -> None:
    def interrupt(net: nn.Module) -> float:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        curve(model, interrupt, widths=[1.0], latency=False)


def test_two_scores_of_one_name_are_refused(model: StandIn) -> None:
    with pytest.raises(CurveError) as caught:
        curve(model, first_output, latency=False, extra_scores={"score": first_output})

    assert str(caught.value) == "expected every score under a name of its own, got 'score' twice; rename the extra one"


def test_a_width_that_the_model_refuses_is_refused(model: StandIn) -> None:
    with pytest.raises(WidthError):
        curve(model, first_output, widths=[1.5], latency=False)
