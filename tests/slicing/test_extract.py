import pytest
import torch
from torch import fx, nn

from tests.networks import (
    CASES,
    LAW,
    assert_same,
    draw_kept_sets,
    draw_widths,
    kept_of,
    make_generator,
    make_model,
    shared_model,
)
from widthwise._shared import WidthError
from widthwise.elastic import Elastic
from widthwise.graph import indices
from widthwise.slicing import copy_state, extract_network

names = pytest.mark.parametrize("name", CASES)


def gather_by_hand(model: Elastic, kept: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every parameter and buffer at the kept units of the axes that are members of each group."""
    gathered = dict(model.net.named_parameters(remove_duplicate=False)) | dict(model.net.named_buffers())
    for group in model.groups:
        for member in group.members:
            tensor = gathered[member.target]
            assert tensor.shape[member.axis] == group.size
            gathered[member.target] = tensor.index_select(member.axis, kept[group.name])
    return gathered


@pytest.mark.parametrize("name", ["mlp", "mlp-norm", "resnet", "dict", "tokens", "pair", "loss"])
@pytest.mark.parametrize("seed", range(3))
def test_copies_at_scattered_units_are_what_gathering_by_hand_gives(name: str, seed: int) -> None:
    model = shared_model(name)
    kept = draw_kept_sets(model, seed)
    found = copy_state(model._engine.sliced.evaluation, kept_of(model, kept))
    assert_same(found, {key: gather_by_hand(model, kept)[key] for key in found})


@names
@pytest.mark.parametrize("seed", range(2))
def test_networks_at_scattered_units_agree_in_all_forms(name: str, seed: int) -> None:
    model = shared_model(name).eval()
    runner = model._engine.sliced.evaluation
    kept = kept_of(model, draw_kept_sets(model, seed))
    args, kwargs = CASES[name].sample(3, make_generator(seed), torch.float64)
    leaves = [*args, *kwargs.values()]
    _, expected = runner.run(kept, leaves)

    for form in (None, "graph"):
        small = extract_network(
            model.net, runner, kept, copy_state(runner, kept), model._engine.sliced.example, form=form
        )
        assert_same(torch.utils._pytree.tree_leaves(small(*args, **kwargs)), list(expected))


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.is_maskable])
def test_scattered_units_are_the_full_network_with_the_others_masked(name: str) -> None:
    model = make_model(name)
    kept = kept_of(model, draw_kept_sets(model, 1))
    runner = model._engine.sliced.evaluation
    args, kwargs = CASES[name].sample(3, make_generator(1), torch.float64)
    _, expected = runner.run(kept, [*args, *kwargs.values()])

    with torch.no_grad():
        for entry, axes, tensor in zip(runner.program.state, runner.program.axes, runner.state(), strict=True):
            for axis, term in enumerate(axes):
                if isinstance(tensor, nn.Parameter):
                    dropped = torch.ones(tensor.shape[axis], dtype=torch.bool)
                    dropped[indices(term, kept)] = False
                    tensor.index_fill_(axis, dropped.nonzero()[:, 0], 0.0)
            assert entry.target

    assert_same(torch.utils._pytree.tree_leaves(model(*args, **kwargs)), list(expected))


def test_copies_of_tied_names_are_one() -> None:
    copies = copy_state(shared_model("tokens")._engine.sliced.evaluation, {})
    assert copies["table.weight"] is copies["head.weight"]


def test_copies_of_parameters_are_parameters() -> None:
    model = make_model("mlp-norm")
    model.net.fc1.weight.requires_grad_(False)
    copies = copy_state(model._engine.sliced.evaluation, kept_of(model, {"fc1": 3, "fc2": 2}))
    kinds = {name: (isinstance(tensor, nn.Parameter), tensor.requires_grad) for name, tensor in copies.items()}
    assert kinds["fc1.weight"] == (True, False)
    assert kinds["fc2.weight"] == (True, True)
    assert kinds["norm1.running_mean"] == (False, False)
    assert all(tensor.is_contiguous() for tensor in copies.values())


@names
def test_checking_the_own_class_leaves_its_numbers_alone(name: str) -> None:
    model = make_model(name)
    with torch.no_grad():
        for parameter in model.net.parameters():
            # Values that are constant are disturbed while forms are compared.
            parameter.fill_(0.25)
    for form in (None, "graph"):
        for parameter in model.extract(draw_widths(model, 0), form=form).parameters():
            assert (parameter == 0.25).all()


def test_constant_parameters_do_not_hide_that_the_own_class_differs() -> None:
    class FirstTwo(nn.Module):
        """Reads its first two units, a number that is still there when fewer units are."""

        def __init__(self) -> None:
            super().__init__()
            self.fc, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            hidden = torch.relu(self.fc(x))
            return self.head(hidden) * hidden[:, :2].sum(1, keepdim=True)

    model = Elastic(FirstTwo(), (torch.randn(4, 5),), law=LAW)
    for value in (None, 0.0):
        if value is not None:
            with torch.no_grad():
                for parameter in model.net.parameters():
                    parameter.fill_(value)
        assert isinstance(model.extract({group.name: 1 for group in model.groups}), fx.GraphModule)


def test_an_own_class_that_cannot_be_had_is_an_error() -> None:
    with pytest.raises(WidthError) as caught:
        shared_model("literal").extract({"fc": 2}, form="module")
    assert str(caught.value) == (
        "an instance of LiteralNet at this width does not compute what the traced network does (its code holds sizes "
        "that cannot be set from outside); use form='graph'"
    )


def test_an_unknown_form_is_an_error() -> None:
    with pytest.raises(WidthError) as caught:
        shared_model("mlp").extract(0.5, form="class")
    assert str(caught.value) == (
        "form must be 'module', 'graph' or None, got 'class'; leave it out to take the best one"
    )


def test_forward_hooks_of_the_network_come_along_in_its_own_class() -> None:
    model = make_model("mlp")
    model.net.fc1.register_forward_hook(lambda *_: None)
    small = model.extract(0.5, form="module")
    assert len(small.fc1._forward_hooks) == 1


def test_parameters_that_nothing_reads_are_copied_whole() -> None:
    model = shared_model("tokens")
    for form in ("module", "graph"):
        small = model.extract(0.5, form=form)
        assert_same(small.get_submodule("unread").weight.detach(), model.net.unread.weight.detach())


class Waves(nn.Module):
    """Heads of 4 whose units have a rate each, that the network holds without telling or makes anew."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(5, 12), nn.Linear(12, 3)
        self.rates, self.levels = torch.linspace(1, 2, 12), [torch.linspace(-1, 1, 12)]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.sin(self.fc(x) * self.rates) + self.levels[0]
        y = y.view(-1, 3, 4) * torch.arange(self.fc.out_features).view(3, 4)
        return self.head(y.flatten(1))


@pytest.mark.parametrize("widths", [{"fc.0": 2}, {"fc.1": 3}, {"fc.0": 1, "fc.1": 1}])
def test_tables_that_a_network_holds_or_makes_are_cut_as_data(widths: dict[str, int]) -> None:
    net, x = Waves().double(), torch.randn(4, 5, dtype=torch.float64)
    net.rates = net.rates.double()
    model = Elastic(net, (x,), law=LAW).eval()
    kept = torch.arange(12).view(3, 4)[: widths.get("fc.0", 3), : widths.get("fc.1", 4)].flatten()
    with torch.no_grad():
        y = torch.sin(net.fc(x) * net.rates) + net.levels[0]
        expected = net.head.weight[:, kept] @ (y * torch.arange(12))[:, kept].T + net.head.bias[:, None]
        with model.at(widths):
            assert_same(model(x), expected.T)
        assert_same(model.extract(widths)(x), expected.T)
    model.verify()


def test_equal_numbers_that_stand_in_the_code_do_not_keep_a_network_from_its_own_class() -> None:
    class Shifted(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.fc(x))) + x.new_tensor((2.0, 2.0, 2.0))

    x = torch.randn(4, 5)
    model = Elastic(Shifted(), (x,), law=LAW).eval()
    small = model.extract(0.5)
    assert isinstance(small, Shifted)
    assert_same(small(x), model.extract(0.5, form="graph")(x))


def test_constants_that_a_network_holds_go_along_in_its_own_class() -> None:
    class Held(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.head = nn.Linear(5, 8), nn.Linear(8, 3)
            self.rates, self.levels = torch.linspace(1, 2, 8), [torch.linspace(-1, 1, 8)]

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.fc(x) * self.rates + self.levels[0]
            return self.head(y * torch.arange(y.shape[-1]))

    model = Elastic(Held(), (torch.randn(4, 5),), law=LAW).eval()
    small = model.extract(0.5, form="module")
    assert_same(small.rates, model.net.rates[:4])
    assert_same(small.levels[0], model.net.levels[0][:4])
    assert small.rates.untyped_storage().data_ptr() != model.net.rates.untyped_storage().data_ptr()
    assert model.net.rates.shape == (8,)


@pytest.mark.parametrize("form", [None, "graph"])
def test_tables_are_cut_at_scattered_units_too(form: str | None) -> None:
    net, x = nn.Sequential(nn.Linear(5, 8), Ramp(), nn.Linear(8, 3)).double(), torch.randn(4, 5, dtype=torch.float64)
    model = Elastic(net, (x,), law=LAW).eval()
    units = torch.tensor([1, 2, 6])
    runner, kept = model._engine.sliced.evaluation, kept_of(model, {"0": units})
    with torch.no_grad():
        hidden = net[1](net[0](x))[:, units]
        expected = hidden @ net[2].weight[:, units].T + net[2].bias
        small = extract_network(net, runner, kept, copy_state(runner, kept), model._engine.sliced.example, form=form)
        assert_same(small(x), expected)
        assert_same(runner.run(kept, [x])[1][0], expected)


class Ramp(nn.Module):
    """Gives each unit a gain of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.linspace(0, 1, 8, dtype=x.dtype)
