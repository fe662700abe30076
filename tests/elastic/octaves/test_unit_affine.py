import math

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import WidthError
from widthwise.elastic import Elastic, Law

X = torch.randn(12, 6, generator=make_generator(1), dtype=torch.float64)
Y = torch.randint(0, 4, (12,), generator=make_generator(2))


def make_net(*, norm: bool = False) -> nn.Module:
    torch.manual_seed(0)
    middle: list[nn.Module] = [nn.LayerNorm(32)] if norm else []
    return nn.Sequential(nn.Linear(6, 32), *middle, nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 4)).double()


def make(*, norm: bool = False) -> Elastic:
    net = make_net(norm=norm)
    return Elastic(net, (X,), law=Law(lowest=1 / 8, unit_affine=True), stream=True, generator=make_generator(3))


def disturb(model: Elastic) -> Elastic:
    assert model.unit_affine is not None
    with torch.no_grad():
        for rows in model.unit_affine.rows:
            rows.normal_(generator=make_generator(4))
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


@pytest.mark.parametrize(("width", "shares"), [(0.25, (0.0, 1.0)), (0.375, (1 + math.log2(0.75), -math.log2(0.75)))])
def test_biases_are_shifted_and_the_weights_that_make_units_stretched(
    width: float, shares: tuple[float, float]
) -> None:
    model = disturb(make()).eval()
    assert model.unit_affine is not None
    with torch.no_grad(), model.at(width):
        found = model(X)
    plain = make_net()
    with torch.no_grad():
        for name, rows in model.unit_affine.split().items():
            values, tensor = shares[0] * rows[0] + shares[1] * rows[1], plain.get_parameter(name)
            tensor.copy_(tensor * (1 + values[:, None]) if tensor.dim() == 2 else tensor + values)
            assert model.unit_affine.axes[name] == 0
        with (bare := Elastic(plain, (X,))).at(width):
            assert_same(found, bare(X))


def test_all_of_them_learn_in_training() -> None:
    model = make().train()
    for _ in range(20):
        cross_entropy(model(X), Y).backward()
    assert model.unit_affine is not None
    (rows,) = model.unit_affine.rows
    assert rows.grad is not None
    learned = rows.grad.abs().sum(dim=1)
    assert learned.shape == (3,)
    assert learned.min() > 0


def test_they_are_saved_beside_the_network() -> None:
    model, other = disturb(make()), make()
    assert model.state_dict().keys() == make_net().state_dict().keys()
    other.load_elastic_state(model.elastic_state())
    with model.eval().at(0.5), other.eval().at(0.5):
        assert_same(other(X), model(X))


def test_sorting_the_units_moves_them_along() -> None:
    model = disturb(make()).eval()
    before = model(X)
    assert model.unit_affine is not None
    held = {name: rows.detach().clone() for name, rows in model.unit_affine.split().items()}
    orders = model.sort()
    assert_same(model(X), before)
    for name, rows in model.unit_affine.split().items():
        order = orders.get(name.partition(".")[0])
        assert_same(rows.detach(), held[name] if order is None else held[name][:, order])


def test_the_optimiser_sees_them() -> None:
    own = 3 * 2 * (32 + 24 + 4)
    assert sum(p.numel() for p in make().parameters()) == sum(p.numel() for p in make_net().parameters()) + own


@pytest.mark.parametrize(
    ("net", "sample", "expected"),
    [
        # What a batch norm follows would undo a stretch; its own gain and bias are corrected.
        (
            nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 6, 3, groups=2), nn.Conv2d(6, 2, 1)),
            torch.zeros(2, 3, 8, 8),
            {"1.weight": 0, "1.bias": 0, "2.weight": 0, "2.bias": 0, "3.weight": 0, "3.bias": 0},
        ),
        (
            nn.Sequential(nn.ConvTranspose1d(3, 8, 3), nn.ReLU(), nn.Conv1d(8, 2, 3)),
            torch.zeros(2, 3, 8),
            {"0.weight": 1, "0.bias": 0, "2.weight": 0, "2.bias": 0},
        ),
        (
            nn.Sequential(nn.Conv1d(3, 8, 3), nn.ReLU(), nn.ConvTranspose1d(8, 2, 3, bias=False)),
            torch.zeros(2, 3, 8),
            {"0.weight": 0, "0.bias": 0, "2.weight": 1},
        ),
        (
            nn.TransformerEncoderLayer(8, 2, 16, batch_first=True),
            torch.zeros(2, 5, 8),
            {
                "self_attn.in_proj_weight": 0,
                "self_attn.in_proj_bias": 0,
                "self_attn.out_proj.weight": 0,
                "self_attn.out_proj.bias": 0,
                "linear1.weight": 0,
                "linear1.bias": 0,
                "linear2.weight": 0,
                "linear2.bias": 0,
            },
        ),
    ],
    ids=["norm and groups", "transposed", "transposed reader", "transformer"],
)
def test_what_makes_units_is_told_from_what_reads_them(
    net: nn.Module, sample: torch.Tensor, expected: dict[str, int]
) -> None:
    model = Elastic(net.eval(), (sample,), law=Law(unit_affine=True))
    assert model.unit_affine is not None
    assert model.unit_affine.axes == expected


def test_a_network_of_which_no_weight_makes_units_has_none() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table = nn.Embedding(5, 8)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            return nn.functional.linear(self.table(tokens), self.table.weight)

    model = Elastic(Tied(), (torch.zeros(2, 3, dtype=torch.int64),), law=Law(unit_affine=True))
    assert model.unit_affine is None
    assert model.elastic_state() == {}


def test_named_groups_have_none() -> None:
    groups = [{"0.weight": "n _", "0.bias": "n", "1.weight": "_ n"}]
    net = nn.Sequential(nn.Linear(6, 8), nn.Linear(8, 2))
    assert Elastic(net, groups=groups, law=Law(unit_affine=True)).unit_affine is None


def test_each_chunk_in_training_has_its_own() -> None:
    model = disturb(make()).train()
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    draws = model.law.draw(model.groups.sizes, generator)
    for draw, found, part in zip(draws, model(X).split(3), X.split(3), strict=True):
        with model.at(draw):
            assert_same(model(part), found)


def test_the_state_of_another_setting_is_an_error() -> None:
    model, wide = make(), Elastic(make_net(), (X,), law=Law(lowest=1 / 32, unit_affine=True), stream=True)
    with pytest.raises(
        WidthError, match=r"^expected the elastic state \{unit_affine\.rows\.0: \(3, 120\)\}, got \{"
    ) as caught:
        model.load_elastic_state(wide.elastic_state())
    assert "got {unit_affine.rows.0: (5, 120)}" in str(caught.value)
    assert str(caught.value).endswith("}; build the model with the settings it was saved with")
    with pytest.raises(WidthError, match=r", got \{\}; "):
        model.load_elastic_state({})


def test_parameters_of_two_dtypes_have_corrections_of_their_own_dtype() -> None:
    class Mixed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(6, 32).double(), nn.Linear(32, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc2(self.fc1(x).float())

    model = disturb(Elastic(Mixed(), (X,), law=Law(lowest=1 / 8, unit_affine=True), stream=True).eval())
    assert model.unit_affine is not None
    assert [(rows.dtype, tuple(rows.shape)) for rows in model.unit_affine.rows] == [
        (torch.float64, (3, 64)),
        (torch.float32, (3, 8)),
    ]
    with torch.no_grad(), model.at(0.5):
        assert_same(model.extract(0.5)(X), model(X))


def test_they_move_with_the_model() -> None:
    model = make().float()
    with model.at(0.5):
        assert model(X.float()).dtype == torch.float32
