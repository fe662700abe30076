import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.octave_biases import OctaveBiases

X = torch.randn(12, 6, generator=make_generator(1), dtype=torch.float64)
Y = torch.randint(0, 4, (12,), generator=make_generator(2))


def make_net(*, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    middle: list[nn.Module] = [nn.LayerNorm(32)] if norm else []
    return nn.Sequential(nn.Linear(6, 32), *middle, nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 4)).double()


def make(*, norm: bool = False) -> Elastic:
    net = make_net(norm=norm)
    return Elastic(net, (X,), law=Law(lowest=1 / 8), octave_biases=True, stream=True, generator=make_generator(3))


def disturb(model: Elastic) -> Elastic:
    assert model.octave_biases is not None
    with torch.no_grad():
        for shift in model.octave_biases.shifts:
            shift.normal_(generator=make_generator(4))
    return model


def test_at_first_nothing_changes() -> None:
    model, plain = make(), Elastic(make_net(), (X,))
    for width in (1.0, 0.5, 0.2):
        with model.at(width), plain.at(width):
            assert_same(model(X), plain(X))


def test_full_width_is_the_network_itself() -> None:
    model = disturb(make()).train()
    assert_same(model.eval()(X), make_net()(X))
    with model.train().at(1.0):
        assert_same(model(X), make_net()(X))


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("width", [0.9, 0.5, 0.25, 0.125])
@pytest.mark.parametrize("form", ["module", "graph"])
def test_what_is_extracted_has_them_folded_in(norm: bool, width: float, form: str) -> None:
    model = disturb(make(norm=norm)).eval()
    with model.at(width):
        expected = model(X)
    assert_same(model.extract(width, form=form)(X), expected)  # pyright: ignore[reportArgumentType]


def test_each_octave_adds_its_own_row() -> None:
    model = disturb(make()).eval()
    assert model.octave_biases is not None
    with torch.no_grad(), model.at(0.25):
        found = model(X)
    plain = make_net()
    with torch.no_grad():
        for name, shift in zip(model.octave_biases.names, model.octave_biases.shifts, strict=True):
            plain.get_parameter(name).add_(shift[1])
        with (bare := Elastic(plain, (X,))).at(0.25):
            assert_same(found, bare(X))


def test_all_of_them_learn_in_training() -> None:
    model = make().train()
    for _ in range(20):
        cross_entropy(model(X), Y).backward()
    assert model.octave_biases is not None
    for shift in model.octave_biases.shifts:
        assert shift.grad is not None
        assert shift.grad.abs().sum(dim=1).min() > 0


def test_they_are_saved_beside_the_network() -> None:
    model, other = disturb(make()), make()
    assert model.state_dict().keys() == make_net().state_dict().keys()
    other.load_elastic_state(model.elastic_state())
    with model.eval().at(0.5), other.eval().at(0.5):
        assert_same(other(X), model(X))


def test_sorting_the_units_moves_them_along() -> None:
    model = disturb(make()).eval()
    before = model(X)
    assert model.octave_biases is not None
    shifts = [shift.detach().clone() for shift in model.octave_biases.shifts]
    orders = model.sort()
    assert_same(model(X), before)
    for name, old, new in zip(model.octave_biases.names, shifts, model.octave_biases.shifts, strict=True):
        assert_same(new.detach(), old[:, orders[name.removesuffix(".bias")]])


def test_the_optimiser_sees_them() -> None:
    assert sum(p.numel() for p in make().parameters()) == sum(p.numel() for p in make_net().parameters()) + 3 * 56


def test_a_network_without_biases_is_refused() -> None:
    net = nn.Sequential(nn.Linear(6, 8, bias=False), nn.ReLU(), nn.Linear(8, 2))
    text = "^octave_biases need layers or norms with a bias whose units shrink, got none; leave out octave_biases=$"
    with pytest.raises(GroupError, match=text):
        Elastic(net, (torch.zeros(2, 6),), octave_biases=True)


def test_named_groups_have_none() -> None:
    groups = [{"0.weight": "n _", "0.bias": "n", "1.weight": "_ n"}]
    with pytest.raises(GroupError, match=r"^octave_biases need to know what is a bias, but "):
        Elastic(nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2)), groups=groups, octave_biases=True)


def test_rows_are_the_octaves_below_full() -> None:
    biases = OctaveBiases(3, {"a": torch.zeros(4)})
    assert [biases.row(f) for f in (1.0, 0.8, 0.7, 0.5, 0.25, 0.125, 0.01)] == [None, None, 0, 0, 1, 2, 2]
