import itertools
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from widthwise._shared import CurveError
from widthwise.curves import Score
from widthwise.curves.evaluation import (
    Evaluate,
    Evaluation,
    check_repeats,
    evaluate_network,
    find_directions,
    name_scores,
)

NET = nn.Identity()
BATCHES = [torch.arange(3.0), torch.tensor([5.0])]


def numbers(net: nn.Module, batch: Tensor) -> Tensor:
    return net(batch)


SCORE = Score(numbers, BATCHES, name="sum")


def test_a_score_gives_its_mean_and_every_sample_and_a_function_its_number() -> None:
    found = evaluate_network({"sum": SCORE, "one": lambda _net: 1.0}, NET, "0.5")

    assert found.scores == {"sum": SCORE(NET), "one": 1.0}
    assert list(found.samples) == ["sum"]
    assert found.samples["sum"].tolist() == [0.0, 1.0, 2.0, 5.0]


def test_errors_are_those_of_the_mean_and_of_the_paired_difference() -> None:
    full, narrow = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 1.0, 2.0])
    found = Evaluation(scores={"loss": 1.0}, samples={"loss": narrow})

    assert found.errors() == {"loss": pytest.approx(1 / math.sqrt(3))}
    # The same on every sample: the scores are uncertain, their difference is not.
    assert found.drop_errors({"loss": full}) == {"loss": 0.0}
    assert found.drop_errors({"loss": full[:2]}) == found.drop_errors({}) == {}


# The same twice


def alternating(*results: float) -> Evaluate:
    order = itertools.cycle(results)
    return lambda _net: next(order)


def assert_repeats(evaluate: Evaluate, name: str = "score") -> None:
    scores = {name: evaluate}
    check_repeats(scores, evaluate_network(scores, NET, "0.5"), NET, "0.5")


@pytest.mark.parametrize("evaluate", [alternating(0.5), alternating(0.5, 0.5 * (1 + 1e-7)), alternating(0.0), SCORE])
def test_the_same_number_up_to_rounding_is_the_same(evaluate: Evaluate) -> None:
    assert_repeats(evaluate)


def test_a_function_that_says_something_else_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        assert_repeats(alternating(0.5, 0.75))
    assert str(caught.value) == (
        "expected the score of one network to be the same whenever it is asked for, got 0.5 and 0.75 at width 0.5; "
        "seed what it draws (augmentation, a shuffled loader), or allow it with is_noisy=True"
    )


def noisy(_net: nn.Module, batch: Tensor) -> Tensor:
    return torch.rand(len(batch), generator=GENERATOR)


GENERATOR = torch.Generator().manual_seed(0)


def test_a_score_is_asked_for_its_first_batch_alone() -> None:
    seen: list[int] = []

    def per_sample(_net: nn.Module, batch: Tensor) -> Tensor:
        seen.append(len(batch))
        return batch

    assert_repeats(Score(per_sample, BATCHES))
    assert seen == [3, 1, 3]


def test_a_score_that_draws_is_refused() -> None:
    with pytest.raises(CurveError, match=r"^expected the accuracy of one network to be the same on the first batch "):
        assert_repeats(Score(noisy, BATCHES), "accuracy")


class Turning:
    """A loader in another order at every pass."""

    def __init__(self) -> None:
        self.num_passes = 0

    def __iter__(self):  # noqa: ANN204
        self.num_passes += 1
        return iter([torch.arange(4.0).roll(self.num_passes)])


def test_a_loader_in_another_order_is_told_by_its_samples() -> None:
    with pytest.raises(CurveError, match="got other numbers for the same samples at width"):
        assert_repeats(Score(numbers, Turning()))


def test_one_sample_in_a_thousand_may_turn() -> None:
    first, again = torch.zeros(2000), torch.zeros(2000)
    again[:2] = 1
    found = Evaluation(scores={"a": 0.0}, samples={"a": first})
    check_repeats({"a": Score(lambda _net, batch: batch, [again])}, found, NET, "1")
    again[2] = 1
    with pytest.raises(CurveError):
        check_repeats({"a": Score(lambda _net, batch: batch, [again])}, found, NET, "1")


def failing(_net: nn.Module, batch: Tensor) -> Tensor:
    raise RuntimeError("out of luck\nand more")


def test_an_error_inside_of_a_score_names_the_width() -> None:
    with pytest.raises(CurveError) as caught:
        evaluate_network({"a": Score(failing, BATCHES)}, NET, "0.25")
    assert str(caught.value) == (
        "expected the a at width 0.25 to be a finite number, got RuntimeError: out of luck; "
        "check evaluate on that network"
    )
    with pytest.raises(CurveError, match=r"^expected the a at width 0\.25 to be a finite number, got RuntimeError"):
        check_repeats({"a": Score(failing, BATCHES)}, Evaluation(scores={"a": 0.0}), NET, "0.25")


# Names and directions


def test_every_score_has_a_direction() -> None:
    loss = Score(numbers, BATCHES, higher_is_better=False, name="loss")
    function: Callable[[nn.Module], float] = lambda _net: 1.0  # noqa: E731
    scores = name_scores("loss", loss, {"perplexity": function, "psnr": function, "sum": SCORE})

    assert list(scores) == ["loss", "perplexity", "psnr", "sum"]
    assert find_directions(scores, ["perplexity"]) == {"loss": False, "perplexity": False, "psnr": True, "sum": True}
    assert find_directions({"perplexity": function}, "perplexity") == {"perplexity": False}


def test_a_direction_for_what_is_no_function_is_refused() -> None:
    with pytest.raises(CurveError) as caught:
        find_directions({"sum": SCORE, "psnr": lambda _net: 1.0}, ["sum"])
    assert str(caught.value) == (
        "expected lower_is_better to name scores given as functions, got 'sum'; "
        "name one of psnr (higher_is_better=False of a Score)"
    )
    with pytest.raises(CurveError, match="name none, since every Score says it by itself"):
        find_directions({"sum": SCORE}, ["loss"])
