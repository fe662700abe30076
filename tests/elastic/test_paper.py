import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from widthwise._shared import WidthError
from widthwise.elastic.layer import StructuralDropout, draw_kept
from widthwise.elastic.paper import MNIST_RECIPE, PaperMLP, PaperRecipe, draw_cut, pre_apply_linear

SEEDS = st.integers(0, 2**32 - 1)


def make_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def make_net(sizes: tuple[int, ...] = (6, 9, 7, 3), *, seed: int = 0, **settings: Any) -> PaperMLP:
    """A PaperMLP in float64 with weights from a generator of their own; norms get uneven weights and statistics."""
    net = PaperMLP(sizes, generator=make_generator(seed), **settings).double()
    generator = make_generator(seed + 1)
    with torch.no_grad():
        for tensor in net.parameters():
            tensor.copy_(torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype))
        for norm in net.norms or []:
            norm.running_mean.copy_(torch.randn(norm.num_features, generator=generator))
            norm.running_var.copy_(0.5 + torch.rand(norm.num_features, generator=generator))
    return net


def make_input(batch: int = 5, size: int = 6, seed: int = 9) -> Tensor:
    return torch.randn(batch, size, generator=make_generator(seed), dtype=torch.float64)


def run_with_layers(net: PaperMLP, x: Tensor, layers: list[StructuralDropout]) -> Tensor:
    """The same network in module form: a StructuralDropout behind each Linear [and norm]."""
    h = x
    for i, (linear, layer) in enumerate(zip(net.hidden, layers, strict=True)):
        z = functional.linear(h, linear.weight[:, : h.shape[1]], linear.bias)
        z = z if net.norms is None else net.norms[i](z)
        h = functional.leaky_relu(layer(z), 0.01)
    return functional.linear(h, net.output.weight[:, : h.shape[1]], net.output.bias)


def assert_close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-12 * max(1.0, float(b.detach().abs().max())))


def copy_gradients(net: PaperMLP) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in net.parameters()]


# --- the fused path beside the module form ----------------------------------------------------------------------------


@given(seed=st.integers(0, 10_000), p=st.sampled_from([0.5, 1.0]), batch_norm=st.booleans(), zero_pad=st.booleans())
def test_the_fused_path_equals_the_layer_behind_a_linear(seed: int, p: float, batch_norm: bool, zero_pad: bool) -> None:
    net = make_net(seed=seed, p=p, batch_norm=batch_norm)
    twin = make_net(seed=seed, p=p, batch_norm=batch_norm)
    generator = make_generator(seed)
    layers = [StructuralDropout(p, zero_pad=zero_pad, generator=generator) for _ in net.hidden]
    for step in range(4):
        x = make_input(seed=step)
        out, expected = net(x), run_with_layers(twin, x, layers)
        assert_close(out, expected)
        out.square().sum().backward()
        expected.square().sum().backward()
        for gradient, expected_gradient in zip(copy_gradients(net), copy_gradients(twin), strict=True):
            assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_both_forms_train_to_the_same_weights(batch_norm: bool) -> None:
    net, twin = make_net(batch_norm=batch_norm), make_net(batch_norm=batch_norm)
    generator = make_generator()
    layers = [StructuralDropout(1.0, zero_pad=False, generator=generator) for _ in net.hidden]
    for step in range(30):
        x, labels = make_input(seed=step), torch.arange(5) % 3
        for model, out in [(net, net(x)), (twin, run_with_layers(twin, x, layers))]:
            loss = functional.cross_entropy(out, labels)
            gradients = torch.autograd.grad(loss, list(model.parameters()))
            with torch.no_grad():
                for parameter, gradient in zip(model.parameters(), gradients, strict=True):
                    parameter -= 1e-3 * gradient
    for ours, theirs in zip(net.parameters(), twin.parameters(), strict=True):
        # Each of thirty steps adds a rounding error.
        torch.testing.assert_close(ours, theirs, rtol=0, atol=30 * 1e-12)


@given(c=st.integers(1, 9), batch_norm=st.booleans(), training=st.booleans())
def test_dropped_units_get_exactly_zero_gradient(c: int, batch_norm: bool, training: bool) -> None:
    linear, norm = nn.Linear(6, 9).double(), nn.BatchNorm1d(9).double().train(training) if batch_norm else None
    pre_apply_linear(make_input(), linear, c, norm=norm).square().sum().backward()
    tensors = [linear.weight, linear.bias, *(norm.parameters() if norm else [])]
    for tensor in tensors:
        assert torch.equal(tensor.grad[c:], torch.zeros_like(tensor.grad[c:]))
    assert bool((linear.weight.grad[:c] != 0).all()) or batch_norm


@given(c=st.integers(1, 6))
def test_columns_of_units_that_were_dropped_before_get_exactly_zero_gradient(c: int) -> None:
    linear = nn.Linear(6, 4).double()
    pre_apply_linear(make_input()[:, :c], linear, 2).sum().backward()
    assert torch.equal(linear.weight.grad[:, c:], torch.zeros_like(linear.weight.grad[:, c:]))


@given(seed=st.integers(0, 10_000), batch_norm=st.booleans(), training=st.booleans(), e=st.integers(1, 9))
def test_truncating_and_padding_are_equal(seed: int, batch_norm: bool, training: bool, e: int) -> None:
    cut, padded = (make_net(seed=seed, batch_norm=batch_norm, zero_pad=zero_pad) for zero_pad in (False, True))
    outputs = []
    for net in (cut, padded):
        net.train(training)
        net.eval_size = e
        outputs.append(net(make_input()))
        outputs[-1].square().sum().backward()
    assert_close(*outputs)
    for ours, theirs in zip(copy_gradients(cut), copy_gradients(padded), strict=True):
        assert_close(ours, theirs)


def test_the_fused_path_is_the_formula() -> None:
    linear, norm = nn.Linear(6, 8).double(), nn.BatchNorm1d(8).double().eval()
    with torch.no_grad():
        norm.running_mean.copy_(torch.arange(8))
        norm.running_var.copy_(1 + torch.arange(8))
        norm.weight.copy_(2 + torch.arange(8))
        norm.bias.copy_(3 + torch.arange(8))
    x = make_input()[:, :4]
    z = x @ linear.weight[:3, :4].T + linear.bias[:3]
    i = torch.arange(3, dtype=torch.float64)
    expected = ((z - i) / torch.sqrt(1 + i + norm.eps) * (2 + i) + 3 + i) * (8 / 3)
    assert_close(pre_apply_linear(x, linear, 3, norm=norm), expected)


@given(c=st.integers(1, 8))
def test_padding_puts_zeros_behind_what_is_kept(c: int) -> None:
    linear = nn.Linear(6, 8).double()
    z, padded = (pre_apply_linear(make_input(), linear, c, zero_pad=zero_pad) for zero_pad in (False, True))
    assert z.shape == (5, c)
    assert torch.equal(padded, torch.cat([z, torch.zeros(5, 8 - c, dtype=z.dtype)], dim=1))


def test_full_width_is_the_plain_layer() -> None:
    linear = nn.Linear(6, 8).double()
    x = make_input()
    assert torch.equal(pre_apply_linear(x, linear, None), linear(x))


def test_a_linear_without_bias_works() -> None:
    linear = nn.Linear(6, 8, bias=False).double()
    x = make_input()
    assert_close(pre_apply_linear(x, linear, 2), 4 * x @ linear.weight[:2].T)


def test_training_updates_the_prefix_of_the_running_statistics_only() -> None:
    net = make_net(batch_norm=True)
    before = [norm.running_mean.clone() for norm in net.norms]
    twin = make_generator()
    cuts = [draw_cut(U, p=1.0, lb=1, s=1, generator=twin) for U in (9, 7)]
    net(make_input())
    for norm, old, c in zip(net.norms, before, cuts, strict=True):
        assert bool((norm.running_mean[:c] != old[:c]).all())
        assert torch.equal(norm.running_mean[c:], old[c:])
        assert int(norm.num_batches_tracked) == 1


def test_evaluation_updates_no_statistics() -> None:
    net = make_net(batch_norm=True).eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    net.eval_size = 3
    net(make_input())
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())


# --- how it draws -----------------------------------------------------------------------------------------------------


@given(U=st.integers(1, 60), lb=st.integers(1, 70), s=st.integers(1, 9), p=st.floats(0, 1), seed=SEEDS)
def test_the_layer_draws_as_the_publication(U: int, lb: int, s: int, p: float, seed: int) -> None:
    generator, twin = make_generator(seed), make_generator(seed)
    for _ in range(3):
        c = draw_cut(U, p=p, lb=lb, s=s, generator=generator)
        assert draw_kept(U, p=p, lower_bound=lb, step=s, generator=twin) == (U if c is None else c)


@pytest.mark.parametrize("p", [0.0, 0.4, 1.0])
def test_cuts_are_uniform_below_full(p: float) -> None:
    generator, n = make_generator(), 12_000
    drawn = [draw_cut(14, p=p, lb=2, s=4, generator=generator) for _ in range(n)]
    for c, probability in [(None, 1 - p), (2, p / 3), (6, p / 3), (10, p / 3)]:
        assert abs(drawn.count(c) / n - probability) <= 5 * math.sqrt(probability * (1 - probability) / n) + 1e-12
    assert set(drawn) <= {None, 2, 6, 10}


@given(U=st.integers(1, 20), more=st.integers(0, 5), seed=SEEDS)
def test_a_layer_not_wider_than_the_lower_bound_stays_full(U: int, more: int, seed: int) -> None:
    assert draw_cut(U, p=1.0, lb=U + more, s=1, generator=make_generator(seed)) is None


def test_layers_draw_independently_and_samples_alike() -> None:
    net = PaperMLP((1, 8, 8, 1), generator=make_generator())
    generator, n = make_generator(), 8_000
    cuts = [(net._cut(8), net._cut(8)) for _ in range(n)]
    assert cuts[:2] == [tuple(draw_cut(8, p=1.0, lb=1, s=1, generator=generator) for _ in range(2)) for _ in range(2)]
    for pair in {(a, b) for a in range(1, 8) for b in range(1, 8)}:
        assert abs(cuts.count(pair) / n - 1 / 49) <= 5 * math.sqrt(1 / 49 * 48 / 49 / n)


def test_global_random_state_is_untouched_by_running() -> None:
    net = make_net()
    before = torch.get_rng_state()
    net(make_input())
    assert torch.equal(torch.get_rng_state(), before)


# --- evaluation and counts --------------------------------------------------------------------------------------------


def test_evaluation_without_a_size_is_the_plain_network() -> None:
    net = make_net().eval()
    plain = nn.Sequential(net.hidden[0], nn.LeakyReLU(0.01), net.hidden[1], nn.LeakyReLU(0.01), net.output)
    assert_close(net(make_input()), plain(make_input()))


def test_layers_not_wider_than_the_evaluation_size_run_full() -> None:
    net, wide = make_net().eval(), make_net().eval()
    net.eval_size = 8
    h = functional.leaky_relu(pre_apply_linear(make_input(), wide.hidden[0], 8), 0.01)
    h = functional.leaky_relu(pre_apply_linear(h, wide.hidden[1], None), 0.01)
    assert_close(net(make_input()), wide.output(h))


def test_inputs_of_any_shape_are_flattened() -> None:
    net = make_net().eval()
    assert torch.equal(net(make_input().reshape(5, 2, 3)), net(make_input()))


@pytest.mark.parametrize(("e", "count"), [(32, 26_506), (64, 55_050), (128, 118_282), (256, 269_322)])
def test_the_mnist_network_has_the_true_number_of_parameters(e: int, count: int) -> None:
    net = PaperMLP((784, 256, 256, 10), generator=make_generator())
    assert net.count_parameters(e) == count == e * e + 796 * e + 10


@pytest.mark.parametrize("batch_norm", [False, True])
def test_the_count_at_full_width_is_that_of_the_tensors(batch_norm: bool) -> None:
    net = make_net(batch_norm=batch_norm)
    assert net.count_parameters(9) == sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("e", range(1, 10))
def test_the_count_is_that_of_the_parameters_that_evaluation_touches(e: int) -> None:
    net = make_net(batch_norm=True).eval()
    net.eval_size = e
    net(make_input()).square().sum().backward()
    for norm in net.norms:
        norm.weight.grad.add_((norm.bias.grad != 0).to(norm.weight.grad))
    assert net.count_parameters(e) == sum(int((p.grad != 0).sum()) for p in net.parameters())


def test_the_recipe_is_that_of_the_publication() -> None:
    assert (
        PaperRecipe(
            sizes=(784, 256, 256, 10),
            p=1.0,
            lower_bound=1,
            step=1,
            learning_rate=8e-4,
            weight_decay=0.0,
            batch_size=500,
            epochs=100,
            negative_slope=0.01,
        )
        == MNIST_RECIPE
    )


# --- errors -----------------------------------------------------------------------------------------------------------


def message_of(function: Callable[..., object], *arguments: object, **settings: Any) -> str:
    with pytest.raises(WidthError) as error:
        function(*arguments, **settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"p": 2}, "p must lie in [0, 1], got 2; use p=0 to truncate nothing"),
        ({"lower_bound": 0}, "lower_bound must be a whole number, at least 1, got 0; use 1 for every width"),
        ({"step": 0}, "step must be a whole number, at least 1, got 0; use 1 for every width"),
        ({"sizes": (4, 2)}, "sizes must be input, hidden layers and output, got (4, 2); write (784, 256, 256, 10)"),
        (
            {"sizes": (4, 0, 2)},
            "every entry of sizes must be a whole number, at least 1, got 0; write for example (784, 256, 256, 10)",
        ),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: dict[str, object], text: str) -> None:
    assert message_of(PaperMLP, **{"sizes": (4, 3, 2), "generator": make_generator(), **setting}) == text


def test_a_generator_on_another_device_is_refused() -> None:
    class Elsewhere:
        device = torch.device("cuda")

    text = message_of(PaperMLP, (4, 3, 2), generator=Elsewhere())
    assert text == "generator must be on the cpu, got one on cuda; use torch.Generator()"


def test_an_evaluation_size_above_every_layer_is_refused() -> None:
    net = make_net()
    assert message_of(setattr, net, "eval_size", 10) == (
        "eval_size must lie in [1, 9] (widest hidden layer), got 10; use None for full width"
    )
    assert message_of(setattr, net, "eval_size", 0) == (
        "eval_size must be a whole number, at least 1, got 0; use None for full width"
    )
    assert net.eval_size is None


def test_an_input_of_another_width_is_refused() -> None:
    text = "input must have 6 numbers per sample, got 4; set sizes[0] to 4"
    assert message_of(make_net(), make_input(size=4)) == text


@pytest.mark.parametrize("c", [0, 9])
def test_a_cut_outside_the_layer_is_refused(c: int) -> None:
    assert message_of(pre_apply_linear, make_input(), nn.Linear(6, 8).double(), c) == (
        f"c must lie in [1, 8] (outputs of linear), got {c}; use None for full width"
    )


@pytest.mark.parametrize("setting", [{"affine": False}, {"track_running_stats": False}, {"momentum": None}])
def test_a_norm_without_what_the_publication_uses_is_refused(setting: dict[str, object]) -> None:
    norm = nn.BatchNorm1d(8, **setting).double()
    assert message_of(pre_apply_linear, make_input(), nn.Linear(6, 8).double(), 2, norm=norm) == (
        f"norm must have weights, running statistics and a momentum, got {norm}; leave its defaults"
    )
