from collections.abc import Callable, Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from widthwise._shared import CurveError
from widthwise.curves import Score

Batch = tuple[Tensor, Tensor]


def is_right(net: nn.Module, batch: Batch) -> Tensor:
    return net(batch[0]).argmax(dim=1) == batch[1]


def make_score(
    result: Callable[[Tensor], object], batches: list[Tensor] | None = None, name: str = "accuracy"
) -> Score:
    return Score(lambda _net, batch: result(batch), [torch.zeros(4, 2)] if batches is None else batches, name=name)


@given(sizes=st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_score_is_the_mean_over_samples_and_not_over_batches(sizes: list[int]) -> None:
    values = torch.arange(sum(sizes), dtype=torch.float64)
    score = Score(lambda _net, batch: batch, list(values.split(sizes)), name="index")

    assert score(nn.Identity()) == pytest.approx((sum(sizes) - 1) / 2, rel=1e-12)


def test_accuracy_of_a_known_network_is_pinned() -> None:
    inputs, labels = torch.eye(4), torch.tensor([0, 1, 2, 0])
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=3)

    assert Score(is_right, loader)(nn.Identity()) == 0.75


def test_the_defaults_are_accuracy_and_higher_is_better() -> None:
    score = Score(is_right, [])

    assert (score.name, score.higher_is_better) == ("accuracy", True)


def test_samples_are_doubles_in_the_order_of_the_loader() -> None:
    batches = [torch.tensor([3, 1]), torch.tensor([2])]
    samples = list(Score(lambda _net, batch: batch, batches).samples(nn.Identity()))

    assert [scores.tolist() for scores in samples] == [[3.0, 1.0], [2.0]]
    assert {scores.dtype for scores in samples} == {torch.float64}


def test_samples_are_scored_one_batch_at_a_time() -> None:
    scored: list[int] = []

    def note(net: nn.Module, batch: Tensor) -> Tensor:
        scored.append(len(batch))
        return batch

    samples = Score(note, [torch.zeros(2), torch.zeros(3)]).samples(nn.Identity())
    next(samples)

    assert scored == [2]


def test_the_network_is_scored_in_eval_mode_and_is_then_as_it_was() -> None:
    net = nn.Sequential(nn.Dropout(), nn.BatchNorm1d(2)).train()
    net[1].eval()
    seen: list[tuple[bool, bool]] = []

    def witness(net: nn.Module, batch: Tensor) -> Tensor:
        seen.append((net.training, torch.is_inference_mode_enabled()))
        return net(batch).sum(dim=1)

    Score(witness, [torch.zeros(4, 2)])(net)

    assert seen == [(False, True)]
    assert [module.training for module in net.modules()] == [True, True, False]


def test_the_network_is_as_it_was_between_two_batches() -> None:
    net = nn.Dropout().train()
    for _ in Score(lambda _net, batch: batch, [torch.zeros(2), torch.zeros(2)]).samples(net):
        assert net.training
        assert not torch.is_inference_mode_enabled()


def test_batches_without_a_common_size_are_scored_unchecked() -> None:
    graph = {"edges": torch.zeros(2, 9), "nodes": torch.zeros(5, 3)}

    assert Score(lambda _net, _batch: torch.ones(7), [graph])(nn.Identity()) == 1.0


def test_an_empty_batch_counts_for_nothing() -> None:
    score = Score(lambda _net, batch: batch, [torch.ones(2), torch.zeros(0)])

    assert score(nn.Identity()) == 1.0


def one_way() -> Iterator[Tensor]:
    yield torch.zeros(1)


PER_SAMPLE = "accuracy: expected per_sample to return one number per sample, a tensor [B], got"


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (lambda _batch: 0.5, f"{PER_SAMPLE} float; return a tensor"),
        (
            lambda batch: batch.mean(),
            f'{PER_SAMPLE} a single number; leave out the mean over the batch (reduction="none" in losses)',
        ),
        (lambda batch: batch, f"{PER_SAMPLE} shape [4, 2]; reduce it over every axis but the first"),
        (lambda batch: batch[1:, 0], f"{PER_SAMPLE} 3 numbers for a batch of 4; check per_sample"),
        (lambda batch: batch[:, 0].to(torch.complex64), f"{PER_SAMPLE} complex numbers; return real ones"),
        (
            lambda _batch: torch.tensor([0.0, float("nan"), float("inf"), 1.0]),
            (
                "accuracy: expected finite numbers, got 2 of 4 in batch 0 NaN or infinite; "
                "check the network and per_sample on that batch"
            ),
        ),
    ],
)
def test_what_is_not_one_finite_number_per_sample_is_refused(result: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(CurveError) as caught:
        make_score(result)(nn.Identity())

    assert str(caught.value) == message


def test_a_bad_batch_is_named_by_its_number() -> None:
    score = Score(lambda _net, batch: batch, [torch.zeros(2), torch.full((2,), float("nan"))], name="loss")

    with pytest.raises(CurveError, match=r"^loss: expected finite numbers, got 2 of 2 in batch 1 NaN"):
        score(nn.Identity())


def test_a_score_without_samples_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        make_score(lambda batch: batch, batches=[])(nn.Identity())

    assert str(caught.value) == (
        "expected at least one sample to compute the accuracy from, got an empty loader; check the data"
    )


def test_a_loader_that_can_be_gone_through_only_once_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        Score(is_right, one_way())

    assert str(caught.value) == (
        "expected a loader that can be gone through once per width, got the one-way generator; "
        "pass a list of batches or a DataLoader"
    )


def test_a_score_without_a_name_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        Score(is_right, [], name="")

    assert str(caught.value) == 'expected a name for the score, got ""; give it a word such as "accuracy"'


def test_all_samples_are_those_of_every_batch() -> None:
    score = Score(lambda _net, batch: batch, [torch.tensor([3, 1]), torch.tensor([2])])

    assert score.all_samples(nn.Identity()).tolist() == [3.0, 1.0, 2.0]
    assert score(nn.Identity()) == 2.0
