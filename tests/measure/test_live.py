import torch
from torch import Tensor, nn

from widthwise.measure import watch_peak_bytes

X = torch.zeros(4, 3)


def test_inputs_outputs_and_what_lies_between_are_added_up() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    # A Sequential lets go of a value once it has the next one.
    assert watch_peak_bytes(net, (X,), {}) == 4 * 4 * (3 + 8 + 8)


class Holding(nn.Module):
    """Keeps every value in a variable of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Linear(3, 8), nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        first = self.one(x)
        second = self.two(first)
        third = second.relu()
        return third[:, :2].sum() * torch.ones(())


def test_what_python_holds_on_to_counts() -> None:
    assert watch_peak_bytes(Holding(), (X,), {}) == 4 * (4 * (3 + 8 + 8 + 8) + 3)


def test_parameters_views_and_writes_in_place_take_nothing() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(inplace=True), nn.Flatten(), nn.Unflatten(1, (2, 4)))
    assert watch_peak_bytes(net, (X,), {}) == 4 * 4 * (3 + 8)


def test_keyword_inputs_count_and_modes_stay() -> None:
    net = nn.Sequential(nn.Dropout()).train()
    assert watch_peak_bytes(net, (), {"input": X}) == X.numel() * 4
    assert net.training


def test_one_storage_counts_once() -> None:
    net = nn.Identity()
    assert watch_peak_bytes(net, (X[:2],), {}) == X.numel() * 4
