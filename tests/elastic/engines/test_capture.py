import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.elastic.parts import Pictures, Sentences, images
from tests.networks import assert_same
from widthwise._shared import TraceError
from widthwise.elastic.engines.capture import capture_part, find_part, record_calls
from widthwise.graph import Example
from widthwise.zoo.models import MLP


class Around(nn.Module):
    """Hands what a function makes of its input to its encoder."""

    def __init__(self, function: Any, encoder: nn.Module | None = None) -> None:
        super().__init__()
        self.function = function
        self.encoder = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)) if encoder is None else encoder

    def forward(self, x: Any) -> Any:
        return self.function(self.encoder, x)


def capture(function: Any, x: Any, batch_dim: int = 0) -> Any:
    return capture_part(Around(function), "encoder", Example(args=(x,), kwargs={}), batch_dim)


def test_inputs_of_the_part_are_those_of_its_first_call() -> None:
    net, x = Pictures().double(), images(4)
    found = capture_part(net, "encoder", Example(args=(x,), kwargs={}))
    (call,) = found.calls
    assert_same(call.args, (x,))
    assert call.kwargs == {"scale": 0.5}
    assert (found.batch_dim, found.batch_axes, found.num_samples, found.num_inner) == (0, (0,), 4, 4)
    assert found.shared == ()
    assert found.rest_macs == 4 * 5 * 3


def test_inputs_are_as_they_were_when_they_were_given() -> None:
    def double(encoder: nn.Module, x: Tensor) -> Tensor:
        given = x * 1
        y = encoder(given)
        given.zero_()
        return y

    x = torch.randn(3, 4)
    assert_same(capture(double, x).calls[0].args, (x,))


def test_the_batch_of_the_part_is_what_grows_with_that_of_the_network() -> None:
    assert capture(lambda encoder, x: encoder(x.transpose(0, 1)), torch.zeros(3, 5, 4)).batch_dim == 1
    folded = capture(lambda encoder, x: encoder(x.flatten(0, 1)), torch.zeros(3, 5, 4))
    assert (folded.batch_dim, folded.num_samples, folded.num_inner) == (0, 3, 15)
    other = capture(lambda encoder, x: encoder(x.transpose(0, 1)), torch.zeros(5, 3, 4), batch_dim=1)
    assert (other.batch_dim, other.batch_axes) == (0, (1,))


def test_samples_may_be_handed_on_one_by_one() -> None:
    found = capture(lambda encoder, x: torch.cat([encoder(row[None]) for row in x]), torch.zeros(3, 4))
    assert (found.batch_dim, len(found.calls), found.num_samples, found.num_inner) == (0, 3, 3, 3)


def test_a_part_that_sees_no_batch_is_an_error() -> None:
    with pytest.raises(
        TraceError,
        match=r"^the first tensor that encoder takes must hold the samples of the network along one axis, got the "
        r"shape \(5, 4\), and \(5, 4\) for 2 times as many; give it a batch, as in self\.encoder\(x\[None\]\)$",
    ):
        capture(lambda encoder, x: torch.stack([encoder(row) for row in x]), torch.zeros(3, 5, 4))


def test_a_list_of_samples_is_no_batch() -> None:
    found = capture(lambda encoder, x: encoder(torch.stack(x)), [torch.zeros(4), torch.zeros(4)])
    assert (found.batch_dim, found.batch_axes, found.num_samples) == (0, (None, None), 2)


def test_inputs_of_the_network_that_hold_samples_are_told() -> None:
    class Pair(Around):
        def forward(self, x: Tensor, mask: Tensor, table: Tensor) -> Tensor:
            return self.encoder(x * mask) + (table[0].sum() if float(x.sum()) < 1e9 else 0)

    inputs = (torch.randn(3, 4), torch.ones(3, 1), torch.randn(3, 2))
    found = capture_part(Pair(None), "encoder", Example(args=inputs, kwargs={}))
    assert found.batch_axes == (0, 0, None)


def test_a_network_for_one_batch_size_keeps_the_axis_that_was_named() -> None:
    def fixed(encoder: nn.Module, x: Tensor) -> Tensor:
        return encoder(x.view(3, 4))

    found = capture(fixed, torch.zeros(3, 4))
    assert (found.batch_dim, found.batch_axes) == (0, (None,))


def test_what_is_read_outside_is_shared() -> None:
    x = torch.randn(3, 4)
    assert capture(lambda encoder, x: encoder(x) + encoder[2].bias, x).shared == ("2.bias",)
    assert capture(lambda encoder, x: encoder(x) + encoder[0](x)[:, :3], x).shared == ("0.bias", "0.weight")
    assert capture(lambda encoder, x: encoder(x.to(encoder[0].weight.dtype)), x).shared == ()


def test_what_is_held_outside_is_shared_and_another_name_of_the_part_is_not() -> None:
    net = Around(lambda encoder, x: encoder(x))
    net.again = net.encoder
    example = Example(args=(torch.randn(3, 4),), kwargs={})
    assert capture_part(net, "encoder", example).shared == ()
    assert capture_part(net, "again", example).shared == ()
    net.first = net.encoder[0]
    assert capture_part(net, "encoder", example).shared == ("0.bias", "0.weight")


def test_nothing_is_changed_by_looking() -> None:
    net = Around(lambda encoder, x: torch.dropout(encoder(x), 0.5, True), MLP([4, 6, 3], batch_norm=True)).train()
    state, before = torch.get_rng_state(), copy.deepcopy(net.state_dict())
    capture_part(net, "encoder", Example(args=(torch.randn(3, 4, generator=torch.Generator()),), kwargs={}))
    assert torch.equal(torch.get_rng_state(), state)
    assert_same(net.state_dict(), before)
    assert net.training
    assert net.encoder.training
    assert not net.encoder._forward_hooks
    assert not net.encoder._forward_pre_hooks


def test_calls_before_a_failure_are_recorded() -> None:
    net = Around(lambda encoder, x: encoder(x).reshape(7, 7))
    x = torch.randn(3, 4)
    (call,) = record_calls(net, net.encoder, (x,), {})
    assert_same(call.args, (x,))


def test_a_part_that_is_not_called_is_an_error() -> None:
    example = Example(args=(torch.ones(2, 3, dtype=torch.int64),), kwargs={})
    net = Sentences()
    net.unread = nn.Linear(8, 8)
    with pytest.raises(TraceError) as caught:
        capture_part(net, "unread", example)
    assert str(caught.value) == (
        "Sentences must call unread on example_inputs, got no call of it; name a module that is called as a function "
        "(self.unread(...)), or give an example that reaches it"
    )


def test_a_network_that_does_not_run_is_an_error() -> None:
    with pytest.raises(TraceError, match=r"^Around must run on example_inputs, got at test_capture\.py:\d+: mat1 and "):
        capture(lambda encoder, x: encoder(x), torch.zeros(3, 5))


def test_a_name_of_no_module_is_an_error_that_names_some() -> None:
    net = Pictures()
    assert find_part(net, "encoder.fc1") is net.encoder.fc1
    with pytest.raises(TraceError) as caught:
        find_part(net, "encoder.fc")
    assert str(caught.value).startswith(
        "submodule must name a module inside of Pictures, got 'encoder.fc'; did you mean 'e"
    )
    with pytest.raises(TraceError, match=r"got ''; did you mean 'encoder', 'norm', 'head'\?$"):
        find_part(net, "")
    with pytest.raises(TraceError, match=r"did you mean another network\?$"):
        find_part(nn.ReLU(), "encoder")
