import pytest
import torch

from tests.conftest import RandomStateCheck
from widthwise._shared import RecipeError
from widthwise.zoo import (
    MLP,
    LSTMLanguageModel,
    PointNet,
    ResidualConvNet,
    TransformerLanguageModel,
    VisionTransformer,
    build_model,
    draw_weights,
    list_models,
)

SETTINGS = {
    "mlp": {"sizes": [4, 3, 2], "batch_norm": True},
    "resnet": {"widths": [2], "in_channels": 1},
    "vit": {"side": 8, "width": 4, "depth": 1, "num_heads": 2, "hidden": 3},
    "pointnet": {"point_sizes": [2, 3], "head_sizes": [2]},
    "lstm_lm": {"vocabulary": 5, "embedded": 2, "hidden": 3},
    "transformer_lm": {"vocabulary": 5, "context": 4, "width": 4, "depth": 1, "num_heads": 2, "hidden": 3},
}


def test_every_listed_model_is_built() -> None:
    built = {name: type(build_model(name, **SETTINGS[name])) for name in list_models()}
    assert built == {
        "mlp": MLP,
        "resnet": ResidualConvNet,
        "vit": VisionTransformer,
        "pointnet": PointNet,
        "lstm_lm": LSTMLanguageModel,
        "transformer_lm": TransformerLanguageModel,
    }


@pytest.mark.parametrize("name", SETTINGS)
def test_weights_are_drawn_anew_as_a_new_model_draws_them(name: str) -> None:
    net = build_model(name, generator=torch.Generator().manual_seed(0), **SETTINGS[name])
    first = {key: value.clone() for key, value in net.state_dict().items()}
    draw_weights(net, torch.Generator().manual_seed(1))
    assert any(not torch.equal(value, first[key]) for key, value in net.state_dict().items())
    for key, value in net.state_dict().items():
        # What a new model has constant stays, and what it draws keeps its spread.
        assert value.unique().numel() == first[key].unique().numel()
        if value.numel() >= 12 and value.is_floating_point():
            assert value.std() < 2.5 * first[key].std() + 1e-9
            assert first[key].std() < 2.5 * value.std() + 1e-9


def test_drawing_weights_leaves_the_random_state(untouched_random_state: RandomStateCheck) -> None:
    net = build_model("mlp", **SETTINGS["mlp"])
    with untouched_random_state():
        draw_weights(net, torch.Generator().manual_seed(1))
    same = build_model("mlp", **SETTINGS["mlp"])
    draw_weights(same, torch.Generator().manual_seed(1))
    assert torch.equal(net.get_parameter("fc1.weight"), same.get_parameter("fc1.weight"))


def test_settings_reach_the_model() -> None:
    net = build_model("mlp", sizes=[4, 3, 2], activation="leaky_relu")
    assert [tuple(parameter.shape) for parameter in net.parameters()] == [(3, 4), (3,), (2, 3), (2,)]
    assert isinstance(net.get_submodule("activation1"), torch.nn.LeakyReLU)


def test_the_same_generator_gives_the_same_parameters_and_the_next_draw_others() -> None:
    generator = torch.Generator().manual_seed(5)
    first, second = (build_model("mlp", generator=generator, **SETTINGS["mlp"]) for _ in range(2))
    again = build_model("mlp", generator=torch.Generator().manual_seed(5), **SETTINGS["mlp"])
    assert torch.equal(first.get_parameter("fc1.weight"), again.get_parameter("fc1.weight"))
    assert not torch.equal(first.get_parameter("fc1.weight"), second.get_parameter("fc1.weight"))


@pytest.mark.parametrize("name", SETTINGS)
def test_a_seed_decides_all_parameters_whatever_the_global_state(name: str) -> None:
    torch.manual_seed(1)
    first = build_model(name, generator=torch.Generator().manual_seed(5), **SETTINGS[name])
    torch.manual_seed(2)
    again = build_model(name, generator=torch.Generator().manual_seed(5), **SETTINGS[name])
    for one, other in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_generator_leaves_the_global_random_state_as_it_was() -> None:
    before = torch.get_rng_state()
    build_model("mlp", generator=torch.Generator().manual_seed(5), **SETTINGS["mlp"])
    assert torch.equal(torch.get_rng_state(), before)


def test_without_a_generator_the_global_random_state_decides() -> None:
    weights = []
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            torch.manual_seed(1)
            weights.append(build_model("mlp", sizes=[4, 2]).get_parameter("head.weight"))
        after = build_model("mlp", sizes=[4, 2]).get_parameter("head.weight")
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], after)


def test_an_unknown_model_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        build_model("vgg")
    assert str(caught.value) == (
        "model must be one of mlp, resnet, vit, pointnet, lstm_lm, transformer_lm, got 'vgg'; use one of these names"
    )


def test_an_unknown_setting_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(RecipeError) as caught:
        build_model("mlp", sizes=[4, 2], dropout=0.5)
    assert str(caught.value) == (
        "settings of model mlp are sizes, activation, batch_norm, got the unknown dropout; leave it out"
    )


def test_a_missing_setting_is_an_error_that_names_it() -> None:
    with pytest.raises(RecipeError) as caught:
        build_model("mlp", batch_norm=True)
    assert str(caught.value) == (
        "model mlp needs the setting sizes, got only batch_norm; its settings are sizes, activation, batch_norm"
    )
    with pytest.raises(RecipeError, match="needs the setting sizes, got none; its settings"):
        build_model("mlp")
