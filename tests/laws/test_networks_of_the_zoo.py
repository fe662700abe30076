"""Every network of the zoo has width groups that hold nearly all of it, and can be extracted from."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import nn

from benchmarks.coverage.share import count_shares
from tests.networks import assert_same
from widthwise import Elastic, WidthWarning
from widthwise.zoo import (
    MLP,
    LSTMLanguageModel,
    PointNet,
    ResidualConvNet,
    TransformerLanguageModel,
    VisionTransformer,
    list_models,
)

Inputs = tuple[Any, ...]
MAKERS: Mapping[str, tuple[Callable[..., nn.Module], Callable[[], Inputs]]] = {
    "mlp": (lambda: MLP([784, 256, 256, 10]), lambda: (torch.rand(3, 1, 28, 28),)),
    "resnet": (ResidualConvNet, lambda: (torch.rand(3, 3, 32, 32),)),
    "vit": (VisionTransformer, lambda: (torch.rand(3, 3, 32, 32),)),
    "vit, with a class token": (lambda: VisionTransformer(pooling="cls"), lambda: (torch.rand(3, 3, 32, 32),)),
    "pointnet": (PointNet, lambda: (torch.rand(3, 64, 3),)),
    "pointnet, with a transform": (lambda: PointNet(transform=True), lambda: (torch.rand(3, 64, 3),)),
    "lstm_lm": (lambda: LSTMLanguageModel(carries_state=False), lambda: (draw_tokens(5, 3),)),
    "lstm_lm, tied": (lambda: LSTMLanguageModel(tie_weights=True, carries_state=False), lambda: (draw_tokens(5, 3),)),
    "transformer_lm": (TransformerLanguageModel, lambda: (draw_tokens(3, 16),)),
    "transformer_lm, not tied": (lambda: TransformerLanguageModel(tie_weights=False), lambda: (draw_tokens(3, 16),)),
}
BATCH_DIMS = {"lstm_lm": 1, "lstm_lm, tied": 1}


def draw_tokens(*shape: int) -> torch.Tensor:
    return torch.randint(10_000, shape, generator=torch.Generator().manual_seed(0))


def make(name: str) -> tuple[Elastic, Inputs]:
    make_net, draw = MAKERS[name]
    net, inputs = make_net().eval(), draw()
    return Elastic(net, inputs, stream=True, batch_dim=BATCH_DIMS.get(name, 0)), inputs


def test_no_network_of_the_zoo_is_left_out() -> None:
    assert {name.partition(",")[0] for name in MAKERS} == set(list_models())


@pytest.mark.slow  # Traces networks of full size.
@pytest.mark.parametrize("name", MAKERS)
def test_groups_hold_nine_tenths_of_what_is_no_edge_and_half_of_it_can_be_extracted(name: str) -> None:
    model, inputs = make(name)
    shapes = {key: tuple(parameter.shape) for key, parameter in model.net.named_parameters()}
    members = {(member.target, member.axis) for group in model.groups for member in group.members}
    frozen = {(axis.target, axis.axis): axis.reason for axis in model.groups.frozen if axis.target in shapes}
    shares = count_shares(shapes, members, frozen)
    assert shares.inside >= 0.9
    # Vocabularies and outputs alone are outside, so that the bound above says something.
    assert shares.num_outside <= 0.01 * shares.num_parameters

    with warnings.catch_warnings(action="ignore", category=WidthWarning), model.at(0.5):
        expected = model(*inputs)
        small = model.extract(0.5)
    assert type(small) is type(model.net)
    assert_same(small(*inputs), expected)
    kept = sum(parameter.numel() for parameter in small.parameters())
    # A half of what has an edge as its other axis, a quarter of the rest, and biases.
    assert kept <= 0.26 * shares.num_parameters + 0.25 * shares.num_at_edge + shares.num_outside


@pytest.mark.slow  # Traces a network of full size.
def test_a_vision_transformer_costs_what_its_docstring_says() -> None:
    assert make("vit")[0].macs() == 82_183_424


@pytest.mark.slow  # Traces a network of full size.
def test_a_state_that_is_handed_out_keeps_the_units_of_the_lstm() -> None:
    model = Elastic(LSTMLanguageModel().eval(), (draw_tokens(5, 3),), batch_dim=1)
    assert model.groups.sizes == {"embedding": 200}
    logits, state = model.extract(0.5)(draw_tokens(5, 3))
    assert (logits.shape, state[0].shape) == ((5, 3, 10_000), (2, 3, 200))


@pytest.mark.slow  # Traces networks.
def test_a_small_language_model_carries_its_state_once_it_is_asked_to() -> None:
    tokens = draw_tokens(6, 2) % 50
    model = Elastic(LSTMLanguageModel(50, 8, 8, carries_state=False).eval(), (tokens,), batch_dim=1)
    small = model.extract(0.5)
    assert isinstance(small, LSTMLanguageModel)
    whole = small(tokens)
    small.carries_state = True
    first, state = small(tokens[:4])
    second, _ = small(tokens[4:], state)
    assert state[0].shape == (2, 2, 4)
    torch.testing.assert_close(torch.cat([first, second]), whole)
