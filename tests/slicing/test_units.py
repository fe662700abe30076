import pytest
import torch
from torch import Tensor, nn

from tests.networks import LAW, make_model
from widthwise._shared import GroupError
from widthwise.elastic import Elastic
from widthwise.graph import Atom, Frozen, Product
from widthwise.graph import Sum as Segments
from widthwise.groups import Group
from widthwise.slicing import permute
from widthwise.slicing.units import _is_symmetric, sum_by_unit

GROUP = Group(name="a", size=3, members=(), key=7)
ATOM, OTHER = Atom(7, 3), Atom(8, 2)


class Ramp(nn.Module):
    """Tells its units apart by a constant of its own, or does not."""

    def __init__(self, *, is_symmetric: bool) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(5, 4), nn.Linear(4, 2)
        self.is_symmetric = is_symmetric

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.fc(x))
        return self.head(hidden * (torch.ones(4) if self.is_symmetric else torch.linspace(0.0, 1.0, 4)))


class Rare(nn.Module):
    """Reads one layer in training alone, and cannot be traced there."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head, self.side = nn.Linear(5, 4), nn.Linear(4, 2), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.relu(self.fc(x))
        if self.training and x.sum().item() > 0:
            return self.side(hidden)
        return self.head(hidden)


def make(net: nn.Module) -> Elastic:
    return Elastic(net.eval(), (torch.randn(3, 5),), law=LAW)


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        (ATOM, [0, 1, 2]),
        (Product((OTHER, ATOM)), [0, 1, 2, 0, 1, 2]),
        (Product((ATOM, Frozen(2, ""))), [0, 0, 1, 1, 2, 2]),
        (Segments((ATOM, OTHER, ATOM)), [0, 1, 2, -1, -1, 0, 1, 2]),
        (Product((Frozen(2, ""), Segments((ATOM, Frozen(1, ""))))), [0, 1, 2, -1, 0, 1, 2, -1]),
    ],
)
def test_values_are_added_to_the_unit_that_they_belong_to(term: Atom, expected: list[int]) -> None:
    values = torch.randn(2, len(expected), 3, dtype=torch.float64)
    owners = torch.tensor(expected)
    wanted = torch.stack([values[:, owners == unit].sum() for unit in range(3)])
    torch.testing.assert_close(sum_by_unit(values, 1, term, GROUP), wanted)


def test_every_tensor_is_listed_once_under_all_its_names() -> None:
    places = make_model("tokens", stream=True)._engine.units().places
    assert len({id(place.tensor) for place in places}) == len(places)


def test_what_layers_read_is_told_from_what_they_write() -> None:
    model = make_model("mlp")
    read = {id(place.tensor): place.summed for place in model._engine.units().places}
    assert read[id(model.net.fc2.weight)] == 1
    assert read[id(model.net.fc2.bias)] is None


def test_units_that_a_constant_tells_apart_are_fixed() -> None:
    model = make(Ramp(is_symmetric=False))
    units = model._engine.units()
    assert units.fixed == {"fc": "a constant of the network tells its units apart"}
    with pytest.raises(GroupError, match=r"^the units of fc must stay in their order \(a constant .*\), got another"):
        permute(units, {"fc": torch.arange(4).flip(0)})


def test_a_constant_that_is_the_same_in_every_order_fixes_nothing() -> None:
    assert make(Ramp(is_symmetric=True))._engine.units().fixed == {}


def test_a_table_must_be_the_same_after_a_swap_too() -> None:
    # Turning the units in a circle leaves both alone.
    assert _is_symmetric(torch.eye(3), (ATOM, ATOM), GROUP)
    assert not _is_symmetric(torch.eye(3).roll(1, 0), (ATOM, ATOM), GROUP)


def test_units_of_a_spectral_norm_are_fixed() -> None:
    norm = nn.utils.parametrizations.spectral_norm
    model = make(nn.Sequential(norm(nn.Linear(5, 4)), nn.ReLU(), nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)))
    assert model._engine.units().fixed == {"0": "a spectral norm keeps vectors in their order"}


def test_parameters_that_only_an_untraceable_training_reads_are_refused() -> None:
    with pytest.raises(GroupError, match=r"^every parameter must be read by what can be traced, but side.bias is not"):
        make(Rare())._engine.units()
