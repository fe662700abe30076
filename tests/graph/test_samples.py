from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.traps import Network
from widthwise.graph import as_example
from widthwise.graph.samples import find_samples, holds_samples

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


def find(function: Any, *inputs: Any, **parts: Any) -> dict[int, bool | None]:
    torch.manual_seed(0)
    net = Network(function, a=nn.Linear(5, 3), **parts).eval()
    return find_samples(net, as_example((torch.randn(BATCH, 5), *inputs)), 0)


def test_only_inputs_as_long_as_the_batch_are_asked_about() -> None:
    assert find(lambda s, x, y, n: s.a(x) * n + y.sum(), torch.zeros(BATCH + 1), 2) == {}


def test_inputs_that_hold_samples_are_found_together() -> None:
    def run(s: Any, x: Tensor, y: Tensor, mask: Tensor) -> Tensor:
        return (s.a(x) + y) * mask[:, None]

    assert find(run, torch.zeros(BATCH, 3), torch.ones(BATCH)) == {1: True, 2: True}


def test_a_table_among_them_is_told_from_them() -> None:
    def run(s: Any, x: Tensor, table: Tensor, mask: Tensor) -> Tensor:
        return (s.a(x) + table.softmax(0).cumsum(0)[-2]) * mask[:, None]

    assert find(run, torch.zeros(BATCH, 3), torch.ones(BATCH)) == {1: False, 2: True}


def test_a_network_that_does_not_run_tells_nothing() -> None:
    assert find(lambda s, x, y: s.a(x) @ y, torch.zeros(BATCH, 3)) == {1: None}


def test_a_network_on_meta_tells_nothing() -> None:
    net = Network(_mask, a=nn.Linear(5, 3)).eval().to("meta")
    example = as_example((torch.zeros(BATCH, 5, device="meta"), torch.ones(BATCH, device="meta")))
    assert find_samples(net, example, 0) == {1: None}


def test_asking_changes_neither_buffers_nor_the_global_generator() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, x: Tensor, mask: Tensor) -> Tensor:
            self.calls.add_(1)
            return x * mask[:, None] + 0 * torch.rand(())

    net, example = Counting(), as_example((torch.randn(BATCH, 5), torch.ones(BATCH)))
    before = torch.random.get_rng_state()
    assert find_samples(net, example, 0) == {1: True}
    assert net.calls == 0
    assert torch.equal(torch.random.get_rng_state(), before)
