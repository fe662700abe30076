import pytest
import torch

from tests.networks import CASES, assert_same, make_generator, make_model, reset_model
from widthwise._shared import GroupError, WidthError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.octave import blend
from widthwise.elastic.output_affine import OutputAffine
from widthwise.zoo.models import MLP

LAW = Law(lowest=1 / 8)


def make(seed: int = 0) -> Elastic:
    """A model with an affine output that does something in each octave."""
    model = reset_model("mlp", LAW, output_affine=True).eval()
    generator = make_generator(seed)
    with torch.no_grad():
        for parameter in model.output_affine.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    model.zero_grad()
    return model


def sample(batch: int = 4) -> torch.Tensor:
    return CASES["mlp"].sample(batch, make_generator(1), torch.float64)[0][0]


def test_there_is_a_row_for_each_octave_that_the_law_reaches() -> None:
    affine = make().output_affine
    assert affine.stretch.shape == affine.shift.shape == (3, 3)
    assert affine.stretch.dtype == torch.float64


def test_a_new_affine_does_nothing() -> None:
    affine = OutputAffine(2, 3, torch.zeros(1))
    x = torch.randn(5, 3)
    assert torch.equal(affine(x, 0.3), x)
    assert affine(x, 1.0) is x


def test_full_width_is_untouched() -> None:
    model, x = make(), sample()
    assert_same(model(x), model.net(x))
    assert_same(model.extract(1.0)(x), model.net(x))
    with model.train().at(0.8):
        assert_same(model(x), model.extract(0.8)(x))
    with model.at(1.0):
        assert_same(model(x), model.net(x))


@pytest.mark.parametrize("width", [0.5, 0.3, 0.13])
@pytest.mark.parametrize("form", ["module", "graph"])
def test_folding_is_applying(width: float, form: str) -> None:
    model, x = make(), sample()
    fraction = ((model.widths(width)["fc1"] / 10) * (model.widths(width)["fc2"] / 7)) ** 0.5
    with model.at(width):
        applied = model(x)
    assert_same(model.extract(width, form=form)(x), applied)
    plain = reset_model("mlp", LAW).extract(width)(x)
    stretch, shift = (blend(rows, fraction) for rows in (model.output_affine.stretch, model.output_affine.shift))
    assert_same(applied, plain * (1 + stretch) + shift)


def test_each_chunk_in_training_has_its_row() -> None:
    model, x = make().train(), sample(8)
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    draws = model.law.draw(model.groups.sizes, generator)
    outputs = model(x)
    for draw, expected, part in zip(draws, outputs.split(2), x.split(2), strict=True):
        with model.at(draw):
            assert_same(model(part), expected)
    outputs.square().sum().backward()
    assert model.output_affine.stretch.grad.any()


def test_the_head_keeps_its_own_gradient() -> None:
    model, x = make().train(), sample()
    with model.at({"fc1": 5, "fc2": 7}):
        model(x).sum().backward()
    # Half of one group and all of the other: half an octave, so that the first row counts by a half.
    assert_same(model.output_affine.shift.grad[0], torch.full((3,), 2.0, dtype=torch.float64))
    assert not model.output_affine.shift.grad[1:].any()
    assert_same(model.net.head.bias.grad, 4 * (1 + model.output_affine.stretch[0].detach() / 2))


def test_state_dicts_hold_the_network_alone_and_the_rest_is_kept_apart() -> None:
    model = make()
    assert model.state_dict().keys() == model.net.state_dict().keys()
    assert {name: tuple(t.shape) for name, t in model.elastic_state().items()} == {
        "output_affine.stretch": (3, 3), "output_affine.shift": (3, 3),
    }  # fmt: skip
    assert len(list(model.parameters())) == len(list(model.net.parameters())) + 2
    assert reset_model("mlp").elastic_state() == {}


def test_saving_and_loading_give_the_same_numbers() -> None:
    model, x = make(0), sample()
    expected = model.extract(0.5)(x)
    saved = {name: tensor.clone() for name, tensor in model.elastic_state().items()}
    make(1)
    assert not torch.equal(model.extract(0.5)(x), expected)
    model.load_elastic_state(saved)
    assert_same(model.extract(0.5)(x), expected)
    with torch.no_grad():
        model.output_affine.stretch.zero_()
    assert saved["output_affine.stretch"].any()


def test_the_state_of_another_setting_is_an_error() -> None:
    model = make()
    wide = make_model("mlp", law=Law(lowest=1 / 32), output_affine=True)
    for own, given, text in [
        (model, wide.elastic_state(), "{output_affine.shift: (5, 3), output_affine.stretch: (5, 3)}"),
        (model, {}, "{}"),
    ]:
        with pytest.raises(WidthError) as caught:
            own.load_elastic_state(given)
        assert str(caught.value) == (
            "expected the elastic state {output_affine.shift: (3, 3), output_affine.stretch: (3, 3)}, got "
            f"{text}; build the model with the settings it was saved with"
        )
    reset_model("mlp").load_elastic_state({})


def test_a_network_without_a_head_of_its_own_is_an_error() -> None:
    with pytest.raises(
        GroupError, match=r"^expected a network whose single output is made by a linear layer with a bias"
    ):
        make_model("pair", law=LAW, output_affine=True)


def test_an_affine_model_moves_as_one() -> None:
    net = MLP([6, 10, 7, 3])
    model = Elastic(net, (torch.zeros(2, 6),), law=LAW, output_affine=True).double()
    with model.at(0.5):
        assert model(sample()).dtype == torch.float64
