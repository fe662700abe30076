from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.elastic.parts import images, make_pictures
from tests.networks import LAW, assert_same, make_generator, make_model
from tests.untraceable import make_model as make_untraceable
from widthwise._shared import GroupError, WidthWarning
from widthwise.elastic import Elastic
from widthwise.elastic.order import sort_units

EXACT = torch.float64
Loader = list[tuple[Tensor, Tensor]]


def make_loader(*shape: int, classes: int = 3, num_batches: int = 2) -> Loader:
    generator = make_generator(3)
    xs = [torch.randn(20, *shape, generator=generator, dtype=EXACT) for _ in range(num_batches)]
    return [(x, torch.randint(0, classes, (20,), generator=generator)) for x in xs]


def arguments(kind: str, loader: Loader) -> tuple[Any, ...]:
    return {"magnitude": (), "activation": (loader,), "taylor": (loader, functional.cross_entropy)}[kind]


kinds = pytest.mark.parametrize("kind", ["magnitude", "activation", "taylor"])


@kinds
def test_sorting_leaves_the_network_what_it_was_and_tells_where_units_stood(kind: Any) -> None:
    model, loader = make_model("mlp"), make_loader(6)
    x, weight = loader[0][0], model.net.fc2.weight.detach().clone()
    before, modes = model.net(x), [module.training for module in model.modules()]
    flags = [parameter.requires_grad_(i != 1) for i, parameter in enumerate(model.net.parameters())]
    orders = model.sort(*arguments(kind, loader), by=kind)
    assert_same(model.net(x), before)
    assert_same(model.net.fc2.weight.detach(), weight[orders["fc2"]][:, orders["fc1"]])
    assert [module.training for module in model.modules()] == modes
    assert [flag.requires_grad for flag in flags] == [i != 1 for i in range(len(flags))]
    assert all(parameter.grad is None for parameter in model.net.parameters())


@kinds
@pytest.mark.parametrize("name", ["mlp", pytest.param("mlp-norm", marks=pytest.mark.slow)])
def test_a_unit_that_nothing_reads_comes_last(kind: str, name: str) -> None:
    model = make_model(name)
    with torch.no_grad():
        model.net.head.weight[:, 2] = 0
    shape = (6,) if name == "mlp" else (2, 3)
    orders = model.sort(*arguments(kind, make_loader(*shape)))
    assert orders["fc2"][-1] == 2


@kinds
def test_sorting_twice_is_sorting_once(kind: str) -> None:
    model, loader = make_model("mlp"), make_loader(6)
    model.sort(*arguments(kind, loader))
    for order in model.sort(*arguments(kind, loader)).values():
        assert torch.equal(order, torch.arange(len(order)))


def test_taylor_keeps_at_each_width_what_is_needed_there() -> None:
    # Two units do the same work, so that neither is missed alone; the third does a little of its own.
    net = nn.Sequential(nn.Linear(2, 3, bias=False), nn.Linear(3, 1, bias=False)).to(EXACT)
    with torch.no_grad():
        net[0].weight.copy_(torch.tensor([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]]))
        net[1].weight.copy_(torch.tensor([[0.3, 1.0, 1.001]]))
    x = torch.randn(64, 2, generator=make_generator(1), dtype=EXACT)
    model = Elastic(net, (x[:2],), law=LAW)
    orders = model.sort([(x, x[:, :1] * 2 + x[:, 1:] * 0.3)], lambda y, target: (y - target).square().mean() + y.mean())
    assert orders["0"][0] in (1, 2)


def test_what_an_optimizer_keeps_moves_along() -> None:
    model, loader = make_model("mlp"), make_loader(6)
    optimizer = torch.optim.Adam(model.net.parameters())
    model.net(loader[0][0]).sum().backward()
    optimizer.step()
    before = optimizer.state[model.net.fc1.weight]["exp_avg"].clone()
    orders = model.sort(loader, functional.cross_entropy, optimizer=optimizer)
    assert_same(optimizer.state[model.net.fc1.weight]["exp_avg"], before[orders["fc1"]])


@pytest.mark.slow
@kinds
def test_a_part_is_sorted_inside_of_its_network(kind: str) -> None:
    model, loader = make_pictures(), [(images(), torch.arange(8) % 3)]
    with torch.no_grad():
        model.net.encoder.fc2.weight[:, 5] = 0
    before = model.net(loader[0][0])
    orders = model.sort(*arguments(kind, loader))
    assert_same(model.net(loader[0][0]), before)
    # No sample wakes some of the others either.
    assert 5 in orders["encoder.fc1"][-3:]


@pytest.mark.parametrize("kind", ["magnitude", "taylor"])
def test_named_groups_are_sorted(kind: str) -> None:
    model, x = make_untraceable().double(), torch.randn(4, 5, 8, dtype=EXACT)
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(model.net[0].norm, name)[3] = 0
        model.net[0].fc2.weight[:, 3] = 0
        model.net[0].fc1.weight[3], model.net[0].fc1.bias[3] = 0, 0
    before = model.net(x)
    loader: Any = [(x, torch.randint(0, 3, (4, 5), generator=make_generator(0)))]
    criterion: Callable[..., Tensor] = lambda y, t: functional.cross_entropy(y.flatten(0, 1), t.flatten())  # noqa: E731
    orders = model.sort() if kind == "magnitude" else model.sort(loader, criterion)
    assert_same(model.net(x), before)
    assert orders["0.fc1"][-1] == 3


def test_named_groups_have_no_activations() -> None:
    with pytest.raises(GroupError, match=r'^by="activation" needs to know where units are read, but this model is not'):
        make_untraceable().sort([torch.randn(4, 5, 8)])


def test_a_pretrained_network_is_sorted_by_magnitude_at_once() -> None:
    net, other = make_model("mlp").net, make_model("mlp")
    model = Elastic(net, (torch.zeros(2, 6, dtype=EXACT),), law=LAW, start="pretrained")
    assert other.sort()["fc1"].tolist() != list(range(10))
    assert_same(dict(model.state_dict()), dict(other.state_dict()))
    assert model.net is net


def test_units_that_something_else_tells_apart_stay_and_a_warning_says_so() -> None:
    class Ramp(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.other, self.head = nn.Linear(5, 4), nn.Linear(4, 6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.other(self.fc(x) * torch.linspace(0.5, 1.0, 4))))

    net, x = Ramp(), torch.randn(3, 5)
    before = net(x)
    expected = r"^expected units that may stand in any order, got some that keep theirs: fc \(a constant"
    with pytest.warns(WidthWarning, match=expected) as caught:
        model = Elastic(net, (x,), law=LAW, start="pretrained")
    assert caught[0].filename == __file__
    with pytest.warns(WidthWarning, match=expected) as caught:
        orders = model.sort()
    assert caught[0].filename == __file__
    assert orders["fc"].tolist() == [0, 1, 2, 3]
    assert_same(net(x), before)


def test_a_network_that_would_compute_something_else_is_refused_and_put_back() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2)).to(EXACT)
    # The second layer's reading of the units is left out.
    model = Elastic(net, (torch.randn(3, 4, dtype=EXACT),), groups=[{"0.weight": 0}])
    before = {key: value.clone() for key, value in net.state_dict().items()}
    with pytest.raises(GroupError, match=r"^a network must compute the same with its units in another order, but this"):
        model.sort()
    assert_same(dict(net.state_dict()), before)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"by": "size"},
            r"^by must be one of magnitude, activation, taylor, got 'size'; leave it out to take",
        ),
        ({"by": "taylor"}, r"^by='taylor' takes a loader and a criterion, got no data; pass that, or leave out by="),
        ({"by": "magnitude", "loader": []}, r"^by='magnitude' takes no data, got a loader alone; pass that, or leave"),
        ({"criterion": functional.mse_loss}, r"^criterion needs samples to be computed on, got no loader; pass both"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: Any, message: str) -> None:
    with pytest.raises(GroupError, match=message):
        sort_units(make_model("mlp")._engine, **settings)


def test_another_start_is_refused() -> None:
    start: Any = "warm"
    with pytest.raises(GroupError, match=r"^start must be one of random, pretrained, got 'warm'; leave it out to"):
        Elastic(make_model("mlp").net, (torch.zeros(2, 6, dtype=EXACT),), start=start)


def test_numbers_that_are_not_finite_are_refused() -> None:
    model = make_model("mlp")
    with torch.no_grad():
        model.net.fc1.weight[0, 0] = torch.nan
    with pytest.raises(GroupError, match=r"^importances must be finite, got some of fc1 that are not; look for NaN"):
        model.sort()


@pytest.mark.parametrize("criterion", [lambda y, _: y, lambda _y, _t: torch.zeros(()), lambda _y, _t: 0.5])
def test_a_criterion_that_gives_no_loss_is_refused(criterion: Any) -> None:
    with pytest.raises(GroupError, match=r"^criterion must return one number that depends on the outputs, got "):
        make_model("mlp").sort(make_loader(6), criterion)


@pytest.mark.slow
def test_a_plainly_trained_network_keeps_more_of_its_accuracy_once_it_is_sorted() -> None:
    datasets = pytest.importorskip("sklearn.datasets")
    digits = datasets.load_digits()
    x, y = torch.tensor(digits.data / 16).float(), torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=make_generator(0))
    x, y, test_x, test_y = x[order[:1200]], y[order[:1200]], x[order[1200:]], y[order[1200:]]
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = torch.optim.Adam(net.parameters())
    loader = list(zip(x.split(64), y.split(64), strict=True))
    for batch, labels in loader * 20:
        optimizer.zero_grad()
        functional.cross_entropy(net(batch), labels).backward()
        optimizer.step()
    model = Elastic(net, (x[:2],), law=LAW).eval()

    def score() -> float:
        with torch.no_grad(), model.at(0.25):
            return float((model(test_x).argmax(1) == test_y).float().mean())

    before = score()
    model.sort(loader, functional.cross_entropy)
    assert score() > before + 0.2
