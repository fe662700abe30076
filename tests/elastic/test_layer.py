import copy
import io
import math
import pickle
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from widthwise._shared import WidthError
from widthwise.elastic.laws.named_laws import make_law
from widthwise.elastic.layer import StructuralDropout, draw_kept, truncate

SEEDS = st.integers(0, 2**32 - 1)


def make_generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def draw_widths(layer: StructuralDropout, full: int = 10**6, num_draws: int = 8) -> list[int]:
    """The widths of a few training calls of a truncating layer; an expanded input takes no memory."""
    layer.train()
    layer.zero_pad = False
    x = torch.ones(1).expand(1, full)
    return [layer(x).shape[-1] for _ in range(num_draws)]


# --- laws -------------------------------------------------------------------------------------------------------------


@given(seed=SEEDS, full=st.integers(2, 40), batch=st.integers(1, 4), zero_pad=st.booleans(), normalize=st.booleans())
def test_training_keeps_one_drawn_prefix_for_the_whole_batch(
    seed: int, full: int, batch: int, zero_pad: bool, normalize: bool
) -> None:
    x = torch.randn(batch, 3, full, generator=make_generator(seed), dtype=torch.float64)
    layer = StructuralDropout(0.8, zero_pad=zero_pad, normalize=normalize, generator=make_generator(seed))
    kept = draw_kept(full, p=0.8, lower_bound=1, step=1, generator=make_generator(seed))
    assert torch.equal(layer(x), truncate(x, kept, zero_pad=zero_pad, normalize=normalize))


@given(seed=SEEDS, dim=st.integers(-4, 3))
def test_only_the_given_dimension_is_cut(seed: int, dim: int) -> None:
    x = torch.randn(3, 4, 5, 6, generator=make_generator(seed))
    layer = StructuralDropout(1.0, dim=dim, zero_pad=False, generator=make_generator(seed))
    shape = list(x.shape)
    out = layer(x)
    assert out.shape[dim] < shape[dim]
    shape[dim] = out.shape[dim]
    assert list(out.shape) == shape


@given(full=st.integers(1, 64), kept=st.data(), zero_pad=st.booleans(), normalize=st.booleans())
def test_evaluation_at_a_size_is_that_prefix_with_the_factor_of_training(
    full: int, kept: st.DataObject, zero_pad: bool, normalize: bool
) -> None:
    size = kept.draw(st.integers(1, full))
    x = torch.randn(2, full, generator=make_generator(full))
    layer = StructuralDropout(zero_pad=zero_pad, normalize=normalize, eval_size=size).eval()
    assert torch.equal(layer(x), truncate(x, size, zero_pad=zero_pad, normalize=normalize))


def test_evaluation_without_a_size_is_identity() -> None:
    x = torch.randn(2, 8, generator=make_generator())
    layer = StructuralDropout(1.0, zero_pad=False).eval()
    assert layer(x) is x
    layer.eval_size = 4
    assert layer(x).shape == (2, 4)
    layer.eval_size = None
    assert layer(x) is x


def test_an_evaluation_size_does_not_bind_training() -> None:
    widths = draw_widths(StructuralDropout(1.0, eval_size=3, generator=make_generator()), full=100)
    assert len(set(widths)) > 1


def test_without_normalisation_neither_training_nor_evaluation_is_scaled() -> None:
    layer = StructuralDropout(1.0, normalize=False, zero_pad=True, eval_size=2, generator=make_generator())
    x = torch.ones(1, 8)
    assert layer(x).unique().tolist() == [0.0, 1.0]
    assert layer.eval()(x).tolist() == [[1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]]


def test_a_padding_layer_stands_before_a_plain_linear_like_dropout() -> None:
    net = nn.Sequential(nn.Linear(4, 16), StructuralDropout(1.0), nn.ReLU(), nn.Linear(16, 2))
    out = net(torch.ones(3, 4))
    assert out.shape == (3, 2)
    out.sum().backward()
    unused = (net[3].weight.grad == 0).all(dim=0)
    assert torch.equal(net[0].weight.grad[unused], torch.zeros_like(net[0].weight.grad[unused]))


# --- the rule of drawing ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_drawn_widths_follow_the_rule(p: float) -> None:
    generator, n = make_generator(), 10_000
    drawn = [draw_kept(12, p=p, lower_bound=2, step=3, generator=generator) for _ in range(n)]
    expected = {12: 1 - p, 2: p / 4, 5: p / 4, 8: p / 4, 11: p / 4}
    assert set(drawn) <= {width for width, probability in expected.items() if probability > 0}
    for width, probability in expected.items():
        assert abs(drawn.count(width) / n - probability) <= 5 * math.sqrt(probability * (1 - probability) / n) + 1e-12


@given(full=st.integers(1, 20), seed=SEEDS)
def test_a_lower_bound_at_full_width_keeps_everything(full: int, seed: int) -> None:
    assert draw_kept(full, p=1.0, lower_bound=full, step=1, generator=make_generator(seed)) == full


def test_the_layer_draws_as_the_law_named_paper() -> None:
    law, n = make_law("paper", p=0.5, step=5), 10_000
    generators = make_generator(1), make_generator(2)
    ours = [draw_kept(20, p=0.5, lower_bound=1, step=5, generator=generators[0]) for _ in range(n)]
    theirs = [law.draw({"fc": 20}, generators[1])[0]["fc"] for _ in range(n)]
    for width in {*ours, *theirs}:
        p = theirs.count(width) / n
        # The difference of two counts has twice the variance of one.
        assert abs(ours.count(width) / n - p) <= 5 * math.sqrt(2 * p * (1 - p) / n)


# --- randomness -------------------------------------------------------------------------------------------------------


def test_global_random_state_is_untouched() -> None:
    before = torch.get_rng_state()
    layer = StructuralDropout(0.5)
    layer(torch.ones(2, 8))
    layer.eval()(torch.ones(2, 8))
    assert torch.equal(torch.get_rng_state(), before)


def test_evaluation_draws_nothing() -> None:
    layer = StructuralDropout(0.5, eval_size=3).eval()
    before = layer.generator.get_state()
    layer(torch.ones(2, 8))
    assert torch.equal(layer.generator.get_state(), before)


def build_net(seed: int) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(4, 4), StructuralDropout(1.0), nn.Linear(4, 4), StructuralDropout(1.0))


def test_the_same_seed_builds_layers_with_the_same_draws() -> None:
    net, twin, other = build_net(0), build_net(0), build_net(1)
    first = draw_widths(net[1])
    assert first == draw_widths(twin[1])
    assert first != draw_widths(other[1])


def test_layers_with_weights_between_them_draw_independently() -> None:
    net = build_net(0)
    assert draw_widths(net[1]) != draw_widths(net[3])


def test_layers_that_share_a_generator_draw_in_turn() -> None:
    generator, twin = make_generator(), make_generator()
    first = StructuralDropout(1.0, zero_pad=False, generator=generator)
    second = StructuralDropout(1.0, zero_pad=False, generator=generator)
    alone = draw_widths(StructuralDropout(1.0, generator=twin), num_draws=4)
    x = torch.ones(1).expand(1, 10**6)
    assert [layer(x).shape[-1] for layer in (first, second, first, second)] == alone


def deep_copy(layer: StructuralDropout) -> StructuralDropout:
    return copy.deepcopy(layer)


def copy_by_pickle(layer: StructuralDropout) -> StructuralDropout:
    return pickle.loads(pickle.dumps(layer))


def copy_by_torch(layer: StructuralDropout) -> StructuralDropout:
    buffer = io.BytesIO()
    torch.save(layer, buffer)
    buffer.seek(0)
    return torch.load(buffer, weights_only=False)


@pytest.mark.parametrize("make_copy", [deep_copy, copy_by_pickle, copy_by_torch])
def test_a_copy_goes_on_with_the_same_draws_on_its_own(
    make_copy: Callable[[StructuralDropout], StructuralDropout],
) -> None:
    layer = StructuralDropout(1.0, eval_size=5, generator=make_generator())
    draw_widths(layer)
    twin = make_copy(layer)
    ahead = draw_widths(twin)
    assert draw_widths(layer) == ahead
    assert twin.eval_size == 5


def test_a_copied_network_keeps_its_shared_generator_shared() -> None:
    generator = make_generator()
    net = nn.Sequential(StructuralDropout(generator=generator), StructuralDropout(generator=generator))
    twin = copy.deepcopy(net)
    assert twin[0].generator is twin[1].generator
    assert twin[0].generator is not generator


def test_the_layer_has_no_tensors_of_its_own() -> None:
    assert StructuralDropout().state_dict() == {}


def test_the_layer_prints_its_settings() -> None:
    assert repr(StructuralDropout(0.25, lower_bound=4, step=2, dim=1)) == (
        "StructuralDropout(p=0.25, lower_bound=4, step=2, zero_pad=True, normalize=True, dim=1, eval_size=None)"
    )


# --- errors -----------------------------------------------------------------------------------------------------------


def message_of(function: Callable[..., object], *arguments: object, **settings: object) -> str:
    with pytest.raises(WidthError) as error:
        function(*arguments, **settings)
    return str(error.value)


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ({"p": -0.1}, "p must lie in [0, 1], got -0.1; use p=0 to truncate nothing"),
        ({"p": 1.5}, "p must lie in [0, 1], got 1.5; use p=0 to truncate nothing"),
        ({"p": math.nan}, "p must lie in [0, 1], got nan; use p=0 to truncate nothing"),
        ({"lower_bound": 0}, "lower_bound must be a whole number, at least 1, got 0; use 1 for every width"),
        ({"step": 0}, "step must be a whole number, at least 1, got 0; use 1 for every width"),
        ({"eval_size": 0}, "eval_size must be a whole number, at least 1, got 0; use None for full width"),
        ({"eval_size": 0.5}, "eval_size must be a whole number, at least 1, got 0.5; use None for full width"),
    ],
)
def test_a_setting_out_of_its_range_is_refused(setting: dict[str, object], text: str) -> None:
    assert message_of(StructuralDropout, **setting) == text


def test_an_evaluation_size_of_nothing_is_refused_where_it_is_set() -> None:
    layer = StructuralDropout(eval_size=4)
    with pytest.raises(
        WidthError, match="eval_size must be a whole number, at least 1, got 0; use None for full width"
    ):
        layer.eval_size = 0
    assert layer.eval_size == 4


def test_an_evaluation_size_above_the_width_is_refused() -> None:
    layer = StructuralDropout(eval_size=80).eval()
    assert message_of(layer, torch.ones(2, 64)) == (
        "eval_size must lie in [1, 64] (width of dimension -1), got 80; use None for full width"
    )


@pytest.mark.parametrize("training", [True, False])
def test_a_lower_bound_above_the_width_is_refused(training: bool) -> None:
    layer = StructuralDropout(lower_bound=65).train(training)
    assert message_of(layer, torch.ones(2, 64)) == (
        "lower_bound must lie in [1, 64] (width of dimension -1), got 65; "
        "use lower_bound=64 to keep this layer at full width"
    )


@pytest.mark.parametrize("kept", [0, -1, 65, 80])
def test_a_kept_width_out_of_range_is_refused(kept: int) -> None:
    assert message_of(truncate, torch.ones(2, 64), kept) == (
        f"kept must lie in [1, 64] (width of dimension -1), got {kept}; use kept=64 for full width"
    )


@pytest.mark.parametrize("dim", [2, -3])
def test_a_dimension_that_the_input_lacks_is_refused(dim: int) -> None:
    text = f"dim must name a dimension of the input, got {dim} for shape (2, 8); use -1 for the last"
    assert message_of(truncate, torch.ones(2, 8), 4, dim=dim) == text
    assert message_of(StructuralDropout(dim=dim), torch.ones(2, 8)) == text


def test_a_generator_on_another_device_is_refused() -> None:
    class Elsewhere:
        device = torch.device("cuda")

    assert message_of(StructuralDropout, generator=Elsewhere()) == (
        "generator must be on the cpu, got one on cuda; use torch.Generator()"
    )
