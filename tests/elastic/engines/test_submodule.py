"""An elastic part of a network that runs as it is."""

import copy
import re
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from tests.elastic.parts import (
    EXACT,
    FOUR,
    Attending,
    Encoder,
    Pictures,
    Sentences,
    disturb,
    images,
    make_pictures,
    shared_pictures,
    wrap,
)
from tests.networks import assert_same
from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic import Elastic
from widthwise.zoo.models import MLP

HALF = {"encoder.conv": 4, "encoder.fc1": 8}


def make_sentences() -> tuple[Elastic, Tensor]:
    tokens = torch.tensor([[1, 2, 0], [0, 0, 0], [3, 4, 5], [6, 1, 0], [2, 2, 2]])
    return Elastic(Sentences().double().eval(), (tokens,), law=FOUR, submodule="encoder"), tokens


# --- laws ------------------------------------------------------------------------------------------------------------


def test_the_whole_cannot_be_traced() -> None:
    with pytest.raises(TraceError, match=r'; rewrite what it names, try strict=True, .* with submodule="\.\.\.", name'):
        Elastic(Pictures().double(), (images(),))


def test_full_width_is_the_network_itself() -> None:
    model, x = shared_pictures(), images()
    assert_same(model(x), model.net(x))
    with model.at(1.0):
        assert_same(model(x), model.net(x))
    model.train()
    with model.at(1.0):
        got, twin = model(x), copy.deepcopy(model.net)
    model.eval()
    assert_same(got, twin(x))


@pytest.mark.parametrize("form", ["module", "graph"])
@pytest.mark.parametrize("sign", [1, -1])
def test_what_runs_at_a_width_is_what_is_extracted(form: Any, sign: int) -> None:
    model, x = shared_pictures(), sign * images().abs()
    small = model.extract(HALF, form=form)
    with model.at(HALF):
        assert_same(small(x), model(x))
    assert type(small) is Pictures
    assert (type(small.encoder) is Encoder) == (form == "module")
    assert not any(module.training for module in small.modules())
    assert small.encoder.get_parameter("fc1.weight").shape == (8, 4)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    assert not own & {tensor.untyped_storage().data_ptr() for tensor in (*small.parameters(), *small.buffers())}


def test_a_transformer_between_steps_of_python() -> None:
    model, tokens = make_sentences()
    assert model.groups.sizes["encoder.layer.linear1"] == 12
    assert all(name.startswith("encoder.layer.") for name in model.groups.sizes)
    small = model.extract(0.5)
    with model.at(0.5):
        assert_same(small(tokens), model(tokens))
        assert_same(small(tokens[1:3]), model(tokens[1:3]))
    assert model.train()(tokens)["scores"].shape == (4, 3)
    assert model.eval().verify(num_widths=1).is_sound


def test_names_are_those_of_the_whole_network() -> None:
    groups = shared_pictures().groups
    assert groups.sizes == {"encoder.conv": 8, "encoder.fc1": 16}
    members = [str(member) for member in groups["encoder.fc1"].members]
    assert members == ["encoder.fc1.weight[0]", "encoder.fc1.bias[0]", "encoder.fc2.weight[1]"]
    assert all(axis.target.startswith("encoder.") for axis in groups.frozen)
    whole = dict(shared_pictures().net.named_parameters())
    assert {axis.target for axis in groups.frozen} <= whole.keys()


def test_patterns_match_the_names_of_the_whole_network() -> None:
    assert make_pictures(freeze=["encoder.conv"]).groups.sizes == {"encoder.fc1": 16}
    assert make_pictures(only=["encoder.conv.*"]).groups.sizes == {"encoder.conv": 8}
    with pytest.raises(
        GroupError, match=r"got 'conv', which matches none; the groups are encoder\.conv, encoder\.conv"
    ):
        make_pictures(freeze=["conv"])


# --- training --------------------------------------------------------------------------------------------------------


def test_gradients_land_in_the_full_tensors() -> None:
    model, x = make_pictures(), images()
    with model.at(HALF):
        model(x).square().sum().backward()
    small = model.extract(HALF)
    small(x).square().sum().backward()
    for name, parameter in small.named_parameters():
        full = model.net.get_parameter(name).grad
        assert_same(full[tuple(slice(size) for size in parameter.shape)], parameter.grad)
    assert not model.net.encoder.fc1.weight.grad[8:].any()


def test_a_step_moves_what_is_inside_and_what_is_outside() -> None:
    model = make_pictures().train()
    before = {name: parameter.clone() for name, parameter in model.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    model(images()).square().sum().backward()
    optimiser.step()
    # A norm takes away what the biases before it add.
    moved = {name for name, parameter in model.named_parameters() if not torch.equal(parameter, before[name])}
    assert moved >= {name for name in before if name.endswith("weight")}


def test_the_batch_of_the_part_runs_at_the_drawn_widths() -> None:
    net = disturb(nn.Sequential(MLP([3, 6, 4]), nn.ReLU()).double())
    model, x = wrap(net, (torch.randn(8, 3, dtype=EXACT),), submodule="0").train(), torch.randn(8, 3, dtype=EXACT)
    generator = torch.Generator()
    generator.set_state(model.generator.get_state())
    draws = model.law.draw(model.groups.sizes, generator)
    got = model(x)
    for draw, part, expected in zip(draws, x.split(2), got.split(2), strict=True):
        with model.at(draw):
            assert_same(model(part), expected)


def test_widths_are_drawn_once_for_all_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = MLP([3, 9, 4])

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            assert float(x.sum()) == float(x.sum())
            return self.encoder(x), self.encoder(x)

    x = torch.randn(8, 3, dtype=EXACT)
    model = wrap(Twice(), (x,)).train()
    one, other = model(x)
    assert_same(one, other)
    assert not torch.allclose(one, model(x)[0])
    with model.eval().at(0.5):
        assert_same(model(x), model.extract(0.5)(x))
    assert model.macs({"encoder.fc1": 2}) == 2 * (3 * 2 + 2 * 4)


def test_batch_norms_follow_as_they_do_in_the_network() -> None:
    model, x = make_pictures(), images()
    twin = copy.deepcopy(model.net).train()
    model.train()
    with model.at(1.0):
        model(x)
    twin(x)
    assert_same(dict(model.net.named_buffers()), dict(twin.named_buffers()))
    before = copy.deepcopy(model.net.encoder.norm.state_dict())
    with model.at(0.5):
        model(x)
    assert_same(model.net.encoder.norm.state_dict(), before)
    assert model.net.norm.num_batches_tracked == 2


@pytest.mark.parametrize("form", ["module", "graph"])
def test_statistics_are_measured_again_inside_and_outside(form: Any) -> None:
    model, batches = shared_pictures(), [images(4, seed) for seed in (2, 3)]
    expected = model.extract(HALF)
    norms = [expected.encoder.norm, expected.norm]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            expected(batch)
    small = model.extract(HALF, calibrate=[(batch, torch.zeros(4)) for batch in batches], form=form)
    assert_same(small(batches[0]), expected.eval()(batches[0]))
    assert small.norm.momentum == 0.1
    assert not torch.allclose(small(batches[0]), model.extract(HALF)(batches[0]))


def test_no_more_samples_are_read_than_needed() -> None:
    def loader() -> Any:
        yield images(2048)
        raise AssertionError("a loader is not read further than needed")

    assert shared_pictures().extract(HALF, calibrate=loader())(images()).shape == (8, 3)


def test_statistics_outside_are_warned_of_too() -> None:
    net = nn.Sequential(MLP([3, 6, 4]), nn.BatchNorm1d(4))
    model = wrap(net, (torch.randn(4, 3, dtype=EXACT),), submodule="0")
    with pytest.warns(ww.WidthWarning, match="^expected BatchNorm statistics of the width that is run"):
        model.extract(0.5)


# --- errors ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_other_inputs_of_the_part_are_the_same_error_at_every_width(width: float) -> None:
    model = shared_pictures()
    message = (
        "encoder: input image must have shape (batch, 1, 6, 6) as in example_inputs, got (2, 3, 6, 6); give inputs"
    )
    with model.at(width), pytest.raises(TraceError, match=f"^{re.escape(message)}"):
        model(torch.zeros(2, 3, 6, 6, dtype=EXACT))


def test_an_error_of_the_network_itself_comes_through() -> None:
    model = make_pictures()
    model.net.head.register_forward_hook(lambda *_: 1 // 0)
    for width in (1.0, 0.5):
        with model.at(width), pytest.raises(ZeroDivisionError):
            model(images())


def test_what_needs_the_last_layer_is_an_error() -> None:
    message = (
        "refit= needs the last layer of the network, which cannot be told where encoder alone is traced; leave out "
        "refit=, or trace the whole network (without submodule=)"
    )
    with pytest.raises(GroupError, match=f"^{re.escape(message)}$"):
        shared_pictures().extract(HALF, refit=[(images(), torch.zeros(8))])


def test_calls_of_several_kinds_are_an_error() -> None:
    class Kinds(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3))

        def forward(self, x: Tensor) -> Tensor:
            return self.encoder(x) + self.encoder(x[:, None].expand(-1, 2, -1)).sum(1)

    with pytest.raises(
        TraceError, match=r"^encoder must take inputs of one kind at every call, but at call 2: input input m"
    ):
        wrap(Kinds(), (torch.randn(5, 4, dtype=EXACT),))


def test_a_part_that_cannot_be_traced_either_is_an_error() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Pictures()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)

    with pytest.raises(TraceError, match=r"^torch\.export must be able to trace Pictures, got"):
        wrap(Outer(), (images(),), submodule="inner")


def test_a_part_in_which_nothing_shrinks_is_an_error() -> None:
    with pytest.raises(GroupError, match=r"^Linear must have an axis that can shrink, got none \(head\.weight\[0\]: "):
        make_pictures(submodule="head")


def test_a_network_that_cannot_be_copied_is_an_error() -> None:
    model = make_pictures()
    model.net.kept = model.net.head.weight * 2
    with pytest.raises(
        WidthError, match=r"^Pictures must be one that copy\.deepcopy can copy, got: Only Tensors created"
    ):
        model.extract(HALF)


def test_attending_parts_take_positional_and_keyword_inputs() -> None:
    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = Attending()

        def forward(self, x: Tensor) -> Tensor:
            first = self.encoder(x, x[..., 0] > 9)
            return first + self.encoder(mask=x[..., 0] > 9, x=x)

    x = torch.randn(4, 3, 8, dtype=EXACT)
    model = wrap(Both(), (x,))
    with model.at(0.5):
        assert_same(model(x), model.extract(0.5)(x))
