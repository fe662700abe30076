"""Causal channels: no width changes the value of a unit."""

import copy
import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError
from widthwise.elastic import Elastic, Law, make_causal
from widthwise.slicing.causal_mask import CausalMask

X = torch.randn(12, 6, generator=make_generator(1), dtype=torch.float64)
Y = torch.randint(0, 4, (12,), generator=make_generator(2))
IMAGES = torch.randn(4, 3, 8, 8, generator=make_generator(3), dtype=torch.float64)


def make_mlp(*sizes: int) -> nn.Sequential:
    torch.manual_seed(0)
    layers: list[nn.Module] = []
    for read, made in itertools.pairwise(sizes):
        layers += [nn.Linear(read, made), nn.ReLU()]
    return nn.Sequential(*layers[:-1]).double()


class Residual(nn.Module):
    """A convolutional network with a residual stream, batch norms and a grouped convolution."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.inner = nn.Conv2d(8, 12, 3, padding=1)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.outer = nn.Conv2d(12, 8, 1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(self.stem(x)).relu()
        x = x + self.outer(self.depthwise(self.inner(x).relu()).relu())
        return self.head(x.mean(dim=(2, 3)))


def weight_of(net: nn.Module) -> torch.Tensor:
    """The weight between the two hidden layers of an MLP, masked where it is."""
    layer = net.get_submodule("2")
    assert isinstance(layer, nn.Linear)
    return layer.weight.detach()


def hidden_of(model: Elastic, name: str, width: float, x: torch.Tensor) -> torch.Tensor:
    """What a module of the network taken at a width yields."""
    small = model.extract(width, form="module")
    found: list[torch.Tensor] = []
    small.get_submodule(name).register_forward_hook(lambda *call: found.append(call[-1]))
    small(x)
    return found[0].detach()


@given(sizes=st.lists(st.integers(1, 20), min_size=2, max_size=3), width=st.floats(0.01, 0.99))
def test_units_have_the_same_value_at_every_width(sizes: list[int], width: float) -> None:
    try:
        net = make_causal(make_mlp(6, *sizes, 4), (X,))
    except GroupError:
        # A group of one unit cannot be told from a size that is fixed.
        assert min(sizes) == 1
        return
    model = Elastic(net, (X,)).eval()
    for layer in range(0, 2 * len(sizes), 2):
        full = hidden_of(model, str(layer), 1.0, X)
        narrow = hidden_of(model, str(layer), width, X)
        assert_same(narrow, full[:, : narrow.shape[1]])


@pytest.mark.parametrize("width", [0.7, 0.5, 0.2])
def test_so_have_channels_with_a_stream_and_groups(width: float) -> None:
    net = make_causal(Residual().double().eval(), (IMAGES,))
    model = Elastic(net, (IMAGES,)).eval()
    assert {"stem", "inner"} <= set(model.groups.sizes) or len(model.groups) == 2
    for name in ("inner", "depthwise", "outer"):
        full, narrow = hidden_of(model, name, 1.0, IMAGES), hidden_of(model, name, width, IMAGES)
        assert narrow.shape[1] < full.shape[1]
        assert_same(narrow, full[:, : narrow.shape[1]])


def test_without_it_they_have_not() -> None:
    model = Elastic(make_mlp(6, 16, 16, 4), (X,)).eval()
    full, narrow = hidden_of(model, "2", 1.0, X), hidden_of(model, "2", 0.5, X)
    assert not torch.allclose(narrow, full[:, :8])


def test_the_network_that_was_given_stays_as_it_is() -> None:
    net = make_mlp(6, 16, 16, 4)
    before = copy.deepcopy(net.state_dict())
    causal = make_causal(net, (X,))
    assert_same(net.state_dict(), before)
    # The first layer reads no units, and the last one makes none.
    assert [name for name, module in causal.named_modules() if isinstance(module, CausalMask)] == [
        "2.parametrizations.weight.0"
    ]


def test_the_mask_of_equal_groups_is_a_triangle_and_rows_keep_their_variance() -> None:
    net = make_mlp(6, 16, 16, 4)
    weight, left = weight_of(make_causal(net, (X,))), torch.ones(16, 16, dtype=torch.float64).tril()
    assert torch.equal(weight != 0, left.bool())
    assert_same(weight, weight_of(net) * left / (left.mean(dim=1, keepdim=True)).sqrt())


def test_what_is_taken_home_is_plain() -> None:
    model = Elastic(make_causal(make_mlp(6, 16, 16, 4), (X,)), (X,)).eval()
    with model.at(0.5):
        expected = model(X)
    small = model.extract(0.5)
    assert type(small.get_submodule("2")) is nn.Linear
    assert {name for name, _ in small.named_parameters()} == {
        f"{i}.{kind}" for i in (0, 2, 4) for kind in ("weight", "bias")
    }
    assert not list(small.buffers())
    assert_same(small(X), expected)
    assert_same(model.extract(0.5, form="graph")(X), expected)


def test_masked_weights_stay_zero_in_training() -> None:
    model = Elastic(make_causal(make_mlp(6, 16, 16, 4), (X,)), (X,)).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        cross_entropy(model(X), Y).backward()
        optimizer.step()
    assert torch.equal(weight_of(model.net) != 0, torch.ones(16, 16).tril().bool())


def test_all_widths_cost_one_pass_and_the_heads() -> None:
    law = Law(sandwich=6)
    causal = Elastic(make_causal(make_mlp(6, 64, 64, 4), (X,)), (X,), law=law)
    plain = Elastic(make_mlp(6, 64, 64, 4), (X,), law=law)
    assert causal.macs() == plain.macs()
    heads = causal.training_macs() - causal.macs()
    assert 0 < heads < 5 * 64 * 4
    # Without it the first layer alone is common to all.
    assert plain.training_macs() > causal.training_macs() + 64 * 64 / 4


def test_the_loss_of_a_sandwich_is_that_of_separate_passes() -> None:
    for net in (make_causal(make_mlp(6, 16, 12, 4), (X,)), make_mlp(6, 16, 12, 4)):
        model = Elastic(net, (X,), law=Law(sandwich=4), generator=make_generator(5)).train()
        generator = torch.Generator()
        generator.set_state(model.generator.get_state())
        draws = model.law.draw(model.groups.sizes, generator)
        found = model.loss((X, Y), cross_entropy)
        found.backward()
        gradients = [parameter.grad for parameter in model.parameters()]
        model.zero_grad()
        losses = []
        for draw in draws:
            with model.at(draw):
                losses.append(cross_entropy(model(X), Y))
        torch.stack(losses).mean().backward()
        assert_same(found, torch.stack(losses).mean())
        for one, parameter in zip(gradients, model.parameters(), strict=True):
            assert_same(one, parameter.grad)


def test_widths_that_are_no_common_fraction_run_too() -> None:
    law = Law(sandwich=4, sharing="independent")
    model = Elastic(make_causal(make_mlp(6, 16, 16, 4), (X,)), (X,), law=law, generator=make_generator(6)).train()
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    draws = model.law.draw(model.groups.sizes, generator)
    found = model.loss((X, Y), cross_entropy)
    losses = []
    for draw in draws:
        with model.at(draw):
            losses.append(cross_entropy(model(X), Y))
    assert_same(found, torch.stack(losses).mean())


def test_widths_that_are_multiples_share_no_more_than_holds_for_them() -> None:
    law = Law(sandwich=3, lowest=0.2)
    net = make_causal(make_mlp(6, 64, 16, 4), (X,))
    model = Elastic(net, (X,), law=law, round_to=8, generator=make_generator(6)).train()
    found = model.loss((X, Y), cross_entropy)
    losses = []
    for widths in model.last_widths:
        with model.at(widths):
            losses.append(cross_entropy(model(X), Y))
    assert len(losses) == 3
    assert_same(found, torch.stack(losses).mean())


def test_a_network_without_weights_between_groups_is_refused() -> None:
    with pytest.raises(GroupError) as caught:
        make_causal(make_mlp(6, 16, 4), (X,))
    assert str(caught.value) == (
        "causal channels need a weight that leads from one width group to another, got none in Sequential: its widths "
        "change nothing but its outputs as it is"
    )


def test_a_norm_over_units_is_refused() -> None:
    net = nn.Sequential(nn.Linear(6, 16), nn.LayerNorm(16), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 4)).double()
    with pytest.raises(GroupError) as caught:
        make_causal(net, (X,), stream=True)
    assert str(caught.value).startswith(
        "causal channels need units that read units through linear layers and convolutions alone, but "
    )
    assert str(caught.value).endswith(
        "sums over them in another way or into an axis that keeps its size, and units are made of that; keep its units "
        "with freeze=, or let that axis shrink (stream=True)"
    )


def test_a_weight_with_a_parametrization_is_refused() -> None:
    net = make_mlp(6, 16, 16, 4)
    nn.utils.parametrizations.weight_norm(net[2])
    with pytest.raises(GroupError, match=r"^causal channels need "):
        make_causal(net, (X,))
