from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.traps import Network
from widthwise.graph import as_example
from widthwise.graph.samples import holds_samples

BATCH = 4


def ask(function: Any, *inputs: Any, leaf: int = 1, axis: int = 0) -> bool | None:
    """Whether an input holds samples, where the first one is known to."""
    torch.manual_seed(0)
    net = Network(function, a=nn.Linear(5, 3)).eval()
    return holds_samples(net, as_example((torch.randn(BATCH, 5), *inputs)), {0: 0}, leaf, axis)


def _mask(s: Any, x: Tensor, mask: Tensor) -> Tensor:
    return s.a(x) * mask[:, None]


def _look_up(s: Any, x: Tensor, table: Tensor) -> Tensor:
    """A mean over a table that happens to be as long as the batch."""
    return s.a(x) + table.softmax(0).cumsum(0)[-2]


def _score(s: Any, x: Tensor, y: Tensor) -> Tensor:
    """Scores of all pairs of samples."""
    return s.a(x) @ s.a(y).t()


def _mix(s: Any, x: Tensor, y: Tensor) -> Tensor:
    """Each sample of the one is added to the next one of the other, in the order in which they lie."""
    return s.a(x) + y.cumsum(0)


def test_a_mask_holds_samples() -> None:
    assert ask(_mask, torch.ones(BATCH)) is True
    assert ask(_mask, torch.arange(BATCH)) is True
    assert ask(_mask, torch.tensor([True, False, True, True])) is True


def test_a_table_that_is_as_long_as_the_batch_does_not() -> None:
    assert ask(_look_up, torch.zeros(BATCH, 3)) is False


def test_scores_of_all_pairs_move_along_both_axes() -> None:
    assert ask(_score, torch.zeros(BATCH, 5)) is True


def test_a_trial_may_not_tell() -> None:
    assert ask(_mix, torch.zeros(BATCH, 3)) is None


def test_samples_may_lie_along_another_axis() -> None:
    assert ask(lambda s, x, y: s.a(x) * y.t(), torch.zeros(3, BATCH), axis=1) is True


@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_values_are_drawn_anew_since_constant_ones_would_tell_nothing(constant: float) -> None:
    assert ask(_mix, torch.full((BATCH, 3), constant)) is None
    assert ask(_look_up, torch.full((BATCH, 3), constant)) is False


def test_other_leaves_and_known_ones_are_let_be() -> None:
    def run(s: Any, x: Tensor, number: int, known: Tensor, y: Tensor) -> tuple[Tensor, int]:
        return s.a(x) * number + known + y, number

    torch.manual_seed(0)
    net = Network(run, a=nn.Linear(5, 3)).eval()
    example = as_example((torch.randn(BATCH, 5), 2, torch.randn(BATCH, 3), torch.zeros(BATCH, 1)))
    assert holds_samples(net, example, {0: 0, 2: 0}, 3, 0) is True
    # With an input unmoved that does hold samples, nothing can be told.
    assert holds_samples(net, example, {0: 0}, 3, 0) is None


def test_the_network_and_its_example_are_not_touched() -> None:
    net = Network(_mask, a=nn.Linear(5, 3)).eval()
    example = as_example((torch.randn(BATCH, 5), torch.randn(BATCH)))
    before = [leaf.clone() for leaf in example.leaves()]
    assert holds_samples(net, example, {0: 0}, 1, 0) is True
    assert all(torch.equal(one, other) for one, other in zip(example.leaves(), before, strict=True))
