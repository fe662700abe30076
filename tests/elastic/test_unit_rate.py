import copy
import re
from collections.abc import Callable, Iterable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from tests.elastic.parts import make_pictures
from tests.networks import kept_of, make_generator, make_model, randomize
from tests.untraceable import make_model as make_untraceable
from widthwise._shared import GroupError, WidthError
from widthwise.elastic import Elastic, Law, make_law
from widthwise.slicing.running.cut import cut

EXACT = torch.float64
LEVELS = (0.25, 0.5, 1.0)
# One of three widths in each step: shares of 1, 2/3 and 1/3, to a sample of 4096.
GRID = Law(widths=LEVELS, chunks=1)
CLOSE = 1e-3

MakeOptimizer = Callable[[Iterable[Tensor]], Optimizer]
OPTIMIZERS: dict[str, MakeOptimizer] = {
    "sgd": lambda held: SGD(held, lr=0.1),
    "momentum": lambda held: SGD(held, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adam": lambda held: Adam(held, lr=0.1),
    "adam, l2": lambda held: Adam(held, lr=0.1, weight_decay=0.1),
    "adamw": lambda held: AdamW(held, lr=0.1, weight_decay=0.1),
    "one by one": lambda held: AdamW(held, lr=0.1, weight_decay=0.1, foreach=False),
    "fused": lambda held: AdamW(held, lr=0.1, weight_decay=0.1, fused=True),
}


class Reader(nn.Module):
    """Reads what a layer of 8 units makes of a sequence."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        made = self.layer(x)
        return self.head(made[0] if isinstance(made, tuple) else made)


class Attention(nn.Module):
    """Four heads of queries, keys and values of size 4."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(3, 48), nn.Linear(16, 8)

    def forward(self, x: Tensor) -> Tensor:
        queries, keys, values = (part.unflatten(-1, (4, 4)).permute(1, 2, 0, 3) for part in self.into(x).chunk(3, -1))
        mixed = nn.functional.scaled_dot_product_attention(queries, keys, values)
        return torch.tanh(self.out(mixed.permute(2, 0, 1, 3).flatten(2)))


def make_mlp(law: Law = GRID) -> Elastic:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 2)).to(EXACT)
    return Elastic(net, (torch.zeros(2, 3, dtype=EXACT),), law=law, generator=make_generator(1))


def copies(model: Elastic) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def fill_gradients(model: Elastic, value: float | None = None, seed: int = 3) -> None:
    generator = make_generator(seed)
    for parameter in model.parameters():
        drawn = torch.randn(parameter.shape, generator=generator, dtype=EXACT).to(parameter)
        parameter.grad = drawn if value is None else torch.full_like(parameter, value)


def share_of(size: int) -> Tensor:
    """The share of each unit of a group under the grid."""
    positions = torch.arange(size, dtype=EXACT)
    return sum(((positions < level * size).to(EXACT) for level in LEVELS), torch.zeros(size, dtype=EXACT)) / 3


def change(model: Elastic, optimizer: Optimizer) -> dict[str, Tensor]:
    before = copies(model)
    optimizer.step()
    return {name: after - before[name] for name, after in copies(model).items()}


def test_the_step_of_each_unit_is_that_of_its_share() -> None:
    model = make_mlp()
    optimizer = SGD(model.parameters(), lr=0.1)
    model.unit_rates(optimizer, power=0.5)
    fill_gradients(model, 1.0)
    found = change(model, optimizer)
    first, second = share_of(8), share_of(12)
    expected = {
        "net.0.weight": first[:, None].expand(8, 3),
        "net.0.bias": first,
        "net.2.weight": torch.minimum(second[:, None], first[None, :]),
        "net.2.bias": second,
        "net.4.weight": second[None, :].expand(2, 12),
        "net.4.bias": torch.ones(2, dtype=EXACT),
    }
    assert found.keys() == expected.keys()
    for name, share in expected.items():
        torch.testing.assert_close(found[name], -0.1 * share**-0.5, rtol=CLOSE, atol=0)


def test_without_gradients_a_unit_decays_by_its_share() -> None:
    model = make_mlp()
    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=0.2)
    model.unit_rates(optimizer, power=0.5)
    fill_gradients(model, 0.0)
    before = copies(model)
    found = change(model, optimizer)
    for name, share in {"net.0.bias": share_of(8), "net.2.bias": share_of(12)}.items():
        torch.testing.assert_close(found[name], -0.1 * 0.2 * share * before[name], rtol=CLOSE, atol=1e-12)
    torch.testing.assert_close(found["net.4.bias"], -0.1 * 0.2 * before["net.4.bias"], rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("power", [0.25, 1.0])
def test_what_any_optimiser_learns_is_multiplied_and_what_it_decays_is_not(name: str, power: float) -> None:
    model = make_mlp()
    plain, pull = copy.deepcopy(model), 0.0
    optimizer, other = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](plain.parameters())
    model.unit_rates(optimizer, power=power, decay=False)
    for each in (model, plain):
        fill_gradients(each)
    before, found, expected = copies(model), change(model, optimizer), change(plain, other)
    if name in ("adamw", "one by one", "fused"):
        pull = 0.1 * 0.1
    share = share_of(12)
    learned = expected["net.2.bias"] + pull * before["net.2.bias"]
    wanted = share**-power * learned - pull * before["net.2.bias"]
    torch.testing.assert_close(found["net.2.bias"], wanted, rtol=2 * CLOSE, atol=1e-9)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_power_0_without_decay_is_no_correction_at_all(name: str) -> None:
    model = make_mlp(make_law("octaves"))
    plain = copy.deepcopy(model)
    optimizer, other = OPTIMIZERS[name](model.parameters()), OPTIMIZERS[name](plain.parameters())
    model.unit_rates(optimizer, power=0, decay=False)
    for seed in range(3):
        for each, step in ((model, optimizer.step), (plain, other.step)):
            fill_gradients(each, seed=seed)
            step()
    expected = copies(plain)
    assert all(torch.equal(found, expected[key]) for key, found in copies(model).items())


def test_units_that_take_part_always_and_parameters_without_units_stand_bit_for_bit() -> None:
    model = make_mlp()
    plain = copy.deepcopy(model)
    optimizer, other = OPTIMIZERS["adamw"](model.parameters()), OPTIMIZERS["adamw"](plain.parameters())
    model.unit_rates(optimizer, power=0.5)
    for seed in range(3):
        for each, step in ((model, optimizer.step), (plain, other.step)):
            fill_gradients(each, seed=seed)
            step()
    found, expected = copies(model), copies(plain)
    assert torch.equal(found["net.4.bias"], expected["net.4.bias"])
    assert torch.equal(found["net.2.weight"][:3, :2], expected["net.2.weight"][:3, :2])
    assert not torch.equal(found["net.2.weight"][3:], expected["net.2.weight"][3:])


@pytest.mark.parametrize(
    ("law", "power", "decay"),
    [("log_uniform", 0.5, True), ("octaves", 1.0, False), ("paper", 0.3, True), ("fjord", 0.0, True)],
)
def test_rates_rise_and_decays_fall_along_the_units(law: str, power: float, decay: bool) -> None:
    model = make_mlp(make_law(law))
    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=0.2)
    model.unit_rates(optimizer, power=power, decay=decay)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1.0)
    fill_gradients(model, 0.0)
    found = change(model, optimizer)["net.2.bias"]
    assert (found.diff() >= -1e-15).all()
    assert float(found.min()) >= -0.1 * 0.2 - 1e-15
    # From zero nothing decays.
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    fill_gradients(model, -1.0)
    found = change(model, optimizer)["net.2.bias"]
    assert (found.diff() >= -1e-12).all()
    # Shares below a hundredth, such as those of units that are never drawn, count as one.
    assert float(found.max() / found.min()) <= 100**power + 1e-6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv", "tokens", "join", "resnet"])
def test_a_position_is_corrected_by_how_often_it_is_kept(name: str) -> None:
    model = make_model(name, law=GRID).train()
    assert_shares_are_those_of_cuts(model)


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: nn.LSTM(3, 8, 2), lambda: nn.GRU(3, 8), Attention])
def test_gates_and_heads_are_corrected_by_how_often_they_are_kept(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    model = Elastic(
        Reader(make()).to(EXACT),
        (torch.randn(5, 4, 3, generator=make_generator(0), dtype=EXACT),),
        law=GRID,
        batch_dim=1,
        values=True,
    )
    randomize(model.net, 0)
    assert_shares_are_those_of_cuts(model.train())


def assert_shares_are_those_of_cuts(model: Elastic) -> None:
    """Each position is corrected by the share of widths at which the network is cut to a part that holds it."""
    took = {name: torch.ones_like(parameter) for name, parameter in model.named_parameters()}
    names = {parameter: name for name, parameter in model.named_parameters()}
    for place in (place for place in model._engine.units().places if place.is_parameter):
        share = torch.zeros(place.tensor.numel(), dtype=EXACT)
        for level in LEVELS:
            numbers = torch.arange(place.tensor.numel()).reshape(place.tensor.shape)
            share[cut(numbers, place.axes, kept_of(model, model.widths(level))).flatten()] += 1 / 3
        took[names[place.tensor]] = share.reshape(place.tensor.shape)
    optimizer = SGD(model.parameters(), lr=1.0)
    model.unit_rates(optimizer, power=1)
    fill_gradients(model, -1.0)
    found = change(model, optimizer)
    for name, share in took.items():
        torch.testing.assert_close(found[name], 1 / share, rtol=2 * CLOSE, atol=1e-9)
    assert sum(int((share < 0.9).sum()) for share in took.values()) > 10


@pytest.mark.slow
@pytest.mark.parametrize("make", [make_pictures, make_untraceable])
def test_networks_that_are_traced_in_part_or_not_at_all_are_corrected_too(make: Callable[..., Elastic]) -> None:
    model = make(law=GRID).to(EXACT)
    assert_shares_are_those_of_cuts(model)


def test_an_optimiser_of_some_parameters_corrects_these() -> None:
    model = make_mlp()
    optimizer = SGD([model.net[2].bias, nn.Parameter(torch.zeros(3, dtype=EXACT))], lr=0.1)
    model.unit_rates(optimizer)
    fill_gradients(model, 1.0)
    found = change(model, optimizer)
    torch.testing.assert_close(found["net.2.bias"], -0.1 * share_of(12) ** -0.5, rtol=CLOSE, atol=0)
    assert all(not values.any() for name, values in found.items() if name != "net.2.bias")


def test_a_parameter_without_a_gradient_keeps_its_value() -> None:
    model = make_mlp()
    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=0.1)
    model.unit_rates(optimizer)
    fill_gradients(model)
    model.net[2].bias.grad = None
    found = change(model, optimizer)
    assert not found["net.2.bias"].any()
    assert found["net.0.bias"].all()


def test_a_step_with_a_closure_is_corrected() -> None:
    model = make_mlp()
    optimizer = SGD(model.parameters(), lr=0.1)
    model.unit_rates(optimizer)
    before = copies(model)

    def closure() -> float:
        fill_gradients(model, 1.0)
        return 1.0

    assert optimizer.step(closure) == 1.0
    found = model.net[2].bias.detach() - before["net.2.bias"]
    torch.testing.assert_close(found, -0.1 * share_of(12) ** -0.5, rtol=CLOSE, atol=0)


def test_a_step_that_a_fused_optimiser_skips_is_not_corrected() -> None:
    model = make_mlp()
    optimizer = AdamW(model.parameters(), lr=0.1, weight_decay=0.1, fused=True)
    model.unit_rates(optimizer)
    fill_gradients(model)
    # As torch.amp.GradScaler tells an optimiser of gradients that overflowed.
    optimizer.grad_scale, optimizer.found_inf = torch.ones(()), torch.ones(())  # type: ignore[attr-defined]
    assert not any(values.any() for values in change(model, optimizer).values())


def test_gains_and_biases_of_octaves_are_left_alone() -> None:
    model = make_mlp(make_law("octaves"))
    optimizer = SGD(model.parameters(), lr=1.0)
    model.unit_rates(optimizer)
    fill_gradients(model, -1.0)
    rows = {name: values for name, values in change(model, optimizer).items() if "unit_affine" in name}
    assert rows
    assert all(torch.equal(values, torch.ones_like(values)) for values in rows.values())


def test_what_is_removed_corrects_no_more() -> None:
    model = make_mlp()
    optimizer = SGD(model.parameters(), lr=0.1)
    model.unit_rates(optimizer).remove()
    fill_gradients(model, 1.0)
    torch.testing.assert_close(change(model, optimizer)["net.2.bias"], torch.full((12,), -0.1, dtype=EXACT))


@pytest.mark.parametrize("power", [-0.1, 1.5, True, "a"])
def test_a_power_out_of_range_is_refused(power: Any) -> None:
    model = make_mlp()
    expected = f"power must lie in [0, 1], got {power!r}; use 0 to leave learning rates as they are"
    with pytest.raises(WidthError, match=re.escape(expected)):
        model.unit_rates(SGD(model.parameters()), power=power)


def test_an_optimiser_of_something_else_is_refused() -> None:
    model = make_mlp()
    with pytest.raises(GroupError) as caught:
        model.unit_rates(SGD([model.net[4].bias]))
    assert str(caught.value) == (
        "an optimizer must hold parameters with units of the model, got none of them; make it of model.parameters()"
    )


def test_a_weight_decay_in_the_gradient_cannot_be_corrected() -> None:
    model = make_mlp()
    with pytest.raises(GroupError) as caught:
        model.unit_rates(SGD(model.parameters(), weight_decay=0.1))
    assert str(caught.value) == (
        "a weight decay to be corrected must be decoupled, got 0.1 of SGD, which is part of the gradient; use "
        "torch.optim.AdamW, or decay=False"
    )
