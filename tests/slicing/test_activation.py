from typing import Any

import pytest
import torch
from torch import Tensor

from tests.networks import CASES, assert_same, make_generator, make_model
from tests.slicing.test_permutation import shuffle
from widthwise._shared import GroupError, TraceError
from widthwise.elastic import Elastic
from widthwise.slicing import Activation


def watch(model: Elastic, *batches: Any) -> dict[str, Tensor]:
    activation = Activation()
    for x in batches:
        model._engine.run_watched(activation, (x,), {})
    return activation.scores()


def draw(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=make_generator(seed), dtype=torch.float64)


def test_a_score_is_the_variance_of_what_the_next_layer_takes_in() -> None:
    model, one, other = make_model("mlp").eval(), draw(9, 6), draw(4, 6, seed=4)
    found = watch(model, one, other)
    hidden = torch.relu(model.net.fc1(torch.cat([one, other]))).detach()
    variance = hidden.var(0, unbiased=False)
    assert_same(found["fc1"], variance / variance.mean())


def test_channels_are_measured_over_samples_and_places_after_the_norm() -> None:
    model, x = make_model("conv").eval(), draw(6, 2, 4, 4)
    net = model.net
    hidden = torch.relu(net.pointwise(net.depthwise(torch.relu(net.norm(net.stem(x)))))).detach()
    # Three groups of four channels: one group of units numbers the channels inside of each.
    channels = hidden.reshape(6, 3, 4, -1).permute(2, 0, 1, 3).flatten(1)
    variance = channels.var(1, unbiased=False)
    assert_same(watch(model, x)["pointwise.1"], variance / variance.mean())


@pytest.mark.parametrize("name", ["mlp-norm", "resnet", "join"])
def test_the_score_of_a_unit_goes_where_the_unit_goes(name: str) -> None:
    model = make_model(name).eval()
    (x,), _ = CASES[name].sample(8, make_generator(1), torch.float64)
    before = watch(model, x)
    orders = shuffle(model, 2)
    assert_same(watch(model, x), {group: scores[orders[group]] for group, scores in before.items()})


def test_a_unit_that_always_gives_the_same_scores_nothing() -> None:
    model = make_model("mlp", torch.float32).eval()
    with torch.no_grad():
        model.net.fc1.weight[3], model.net.fc1.bias[3] = 0, 5
    scores = watch(model, draw(20, 6).float())["fc1"]
    assert scores[3] == 0
    assert (scores == 0).sum() == 1


def test_watching_gives_the_outputs_and_changes_nothing() -> None:
    model, x = make_model("mlp-norm").eval(), draw(5, 2, 3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    outputs = model._engine.run_watched(Activation(), (x,), {})
    assert_same(outputs, model.net(x).detach())
    assert_same(dict(model.state_dict()), before)


def test_activations_that_never_vary_are_refused() -> None:
    expected = r"^activations must vary where layers read them, got none of fc1 that does \(the samples are alike, or"
    with pytest.raises(GroupError, match=expected):
        watch(make_model("mlp").eval(), torch.ones(4, 6, dtype=torch.float64))


def test_inputs_of_another_shape_are_refused() -> None:
    with pytest.raises(TraceError, match=r"must have shape \(batch, 6\)"):
        watch(make_model("mlp").eval(), draw(5, 7))
