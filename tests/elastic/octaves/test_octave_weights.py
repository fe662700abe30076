import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.octaves.octave_weights import OctaveWeights
from widthwise.graph import Atom, Frozen, Product
from widthwise.zoo import build_model

LAW = Law(lowest=1 / 8, chunks=1, widths=4, between=0.5, octave_weights=True)
X = torch.randn(12, 6, generator=make_generator(1), dtype=torch.float64)
Y = torch.randint(0, 4, (12,), generator=make_generator(2))
CASES = {
    "mlp": ({"sizes": [6, 32, 24, 4]}, X),
    "resnet": ({"widths": [8, 16], "in_channels": 3}, torch.randn(3, 3, 8, 8, dtype=torch.float64)),
    "vit": (
        {"side": 8, "width": 16, "depth": 1, "num_heads": 4, "hidden": 24},
        torch.randn(3, 3, 8, 8, dtype=torch.float64),
    ),
    "lstm_lm": (
        {"vocabulary": 9, "embedded": 8, "hidden": 12, "carries_state": False},
        torch.randint(0, 9, (5, 3), generator=make_generator(5)),
    ),
}


def make_net(name: str = "mlp") -> nn.Module:
    return build_model(name, generator=make_generator(0), **CASES[name][0]).double()


def make(name: str = "mlp", law: Law = LAW) -> Elastic:
    batch_dim = 1 if name == "lstm_lm" else 0
    return Elastic(make_net(name), (CASES[name][1],), law=law, batch_dim=batch_dim, generator=make_generator(3))


def disturb(model: Elastic) -> Elastic:
    assert model.octave_weights is not None
    with torch.no_grad():
        for row in model.octave_weights.rows:
            row.normal_(std=0.2, generator=make_generator(4))
    return model


@pytest.mark.parametrize("name", CASES)
def test_at_first_nothing_changes_and_full_width_never_does(name: str) -> None:
    model, plain, x = make(name).eval(), make(name, Law(lowest=1 / 8)).eval(), CASES[name][1]
    for width in (1.0, 0.5, 0.2):
        assert_same(model.extract(width, form="graph")(x), plain.extract(width, form="graph")(x))
    assert_same(disturb(model)(x), make_net(name).eval()(x))


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("form", ["module", "graph"])
@pytest.mark.filterwarnings("ignore::widthwise.WidthWarning")
def test_what_is_extracted_has_them_folded_in(name: str, form: str) -> None:
    model, x = disturb(make(name)).eval(), CASES[name][1]
    for width in (0.9, 0.5, 0.3, 0.125):
        with model.at(width):
            expected = model(x)
        assert_same(model.extract(width, form=form)(x), expected)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("width", "shares"),
    [(0.25, {1: 1.0}), (0.375, {0: 1 + math.log2(0.75), 1: -math.log2(0.75)}), (0.75, {0: -math.log2(0.75)})],
)
def test_the_differences_of_both_octaves_are_added_to_what_is_kept(width: float, shares: dict[int, float]) -> None:
    model, plain = disturb(make()).eval(), make_net()
    assert model.octave_weights is not None
    rows = list(model.octave_weights.rows)
    with torch.no_grad():
        for start, name in zip((0, 3, 6), ("fc1.weight", "fc2.weight", "head.weight"), strict=True):
            weight = plain.get_parameter(name)
            for octave, share in shares.items():
                row = rows[start + octave]
                weight[: row.shape[0], : row.shape[1]] += share * row
    with model.at(width), (bare := Elastic(plain, (X,))).at(width):
        assert_same(model(X), bare(X))


def test_a_difference_is_as_large_as_its_weight_at_the_octave_above() -> None:
    model = make()
    assert model.octave_weights is not None
    shapes = [tuple(row.shape) for row in model.octave_weights.rows]
    assert shapes == [(32, 6), (16, 6), (8, 6), (24, 32), (12, 16), (6, 8), (4, 24), (4, 12), (4, 6)]


@given(fraction=st.floats(1e-3, 1), outer=st.integers(1, 40), inner=st.integers(1, 40), num=st.integers(1, 7))
def test_every_width_finds_what_it_keeps_and_shares_add_up(fraction: float, outer: int, inner: int, num: int) -> None:
    axes = (Product((Atom(1, outer), Frozen(2, "pair"))), Atom(2, inner))
    own = OctaveWeights(num, {"w": (torch.zeros(2 * outer, inner), axes)}, frozenset({1, 2}))
    kept = {key: max(1, math.floor(fraction * size + 0.5)) for key, size in ((1, outer), (2, inner))}
    part = torch.zeros(2 * kept[1], kept[2])
    with torch.no_grad():
        for row in own.rows:
            row.fill_(1.0)
    found = own.at(kept)
    widest = max(kept[1] / outer, kept[2] / inner)
    total = found["w"].apply(part) if found else part
    # Ones in all octaves add up to one from the first octave on, and fade out towards full width.
    torch.testing.assert_close(total, torch.full_like(part, min(1.0, -math.log2(widest))), atol=1e-6, rtol=0)


def test_unequal_widths_take_the_octave_of_the_wider_axis() -> None:
    model = disturb(make()).eval()
    with model.at({"fc1": 32, "fc2": 3}):
        out = model(X)
    plain = make_net()
    assert model.octave_weights is not None
    with torch.no_grad():
        # The head alone has one moving axis; what reads all of fc1 is that of full width.
        plain.get_parameter("head.weight")[:, :6] += model.octave_weights.rows[8]
    with (bare := Elastic(plain, (X,))).at({"fc1": 32, "fc2": 3}):
        assert_same(out, bare(X))


def test_only_the_octaves_that_ran_have_gradients() -> None:
    model = make().train()
    assert model.octave_weights is not None
    with model.at(0.25):
        cross_entropy(model(X), Y).backward()
    assert [row.grad is not None for row in model.octave_weights.rows] == [False, True, False] * 3
    with model.at(0.2):
        cross_entropy(model(X), Y).backward()
    assert [row.grad is not None for row in model.octave_weights.rows] == [False, True, True] * 3


def test_they_are_saved_beside_the_network_and_counted_among_its_parameters() -> None:
    model, other = disturb(make()), make()
    assert model.state_dict().keys() == make_net().state_dict().keys()
    assert set(model.elastic_state()) == {f"octave_weights.rows.{i}" for i in range(9)}
    other.load_elastic_state(model.elastic_state())
    with model.eval().at(0.5), other.eval().at(0.5):
        assert_same(other(X), model(X))
    assert len(list(model.parameters())) == len(list(make_net().parameters())) + 9


def test_units_are_sorted_before_and_not_after() -> None:
    model = make()
    before = model.eval()(X)
    model.sort()
    assert_same(model(X), before)
    disturb(model)
    with pytest.raises(GroupError, match=r"^units must be sorted before a law with octave_weights has trained, whose "):
        model.sort()


def test_they_go_with_gains_and_biases_of_units() -> None:
    model = disturb(make(law=Law(lowest=1 / 8, chunks=1, octave_weights=True, unit_affine=True))).eval()
    assert model.unit_affine is not None
    with torch.no_grad():
        for rows in model.unit_affine.rows:
            rows.normal_(std=0.2, generator=make_generator(6))
    with model.at(0.3):
        expected = model(X)
    assert_same(model.extract(0.3)(X), expected)


def test_a_law_of_several_widths_on_the_same_samples_learns_them_too() -> None:
    model = make(law=Law(lowest=1 / 8, sandwich=3, widths=4, octave_weights=True)).train()
    model.loss((X, Y), cross_entropy).backward()
    assert model.octave_weights is not None
    assert any(row.grad is not None for row in model.octave_weights.rows)
    assert model.training_macs() > model.macs()


def test_named_groups_have_none() -> None:
    groups = [{"0.weight": "n _", "0.bias": "n", "1.weight": "_ n"}]
    net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2))
    assert Elastic(net, groups=groups, law=Law(octave_weights=True)).octave_weights is None
