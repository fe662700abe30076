import copy
from typing import Any

import pytest
import torch
from torch import nn

from tests.slicing.formats.samples import batch_of, make_net, named_batch_of
from widthwise._shared import WidthError
from widthwise.graph import Example
from widthwise.slicing.finish.dtype import cast_inputs, convert, find_slack


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [("float32", torch.float32), ("float16", torch.float16), ("bfloat16", torch.bfloat16)],
)
def test_a_copy_has_weights_of_the_dtype_and_computes_nearly_the_same(dtype: Any, expected: torch.dtype) -> None:
    net = make_net()
    before = copy.deepcopy(net.state_dict())
    found = convert(net, dtype)
    assert {tensor.dtype for tensor in found.state_dict().values()} == {expected}
    inputs = batch_of(64)
    got, wanted = found(*cast_inputs(inputs, dtype).args).detach().float(), net(*inputs.args).detach()
    assert float((got - wanted).abs().max() / wanted.abs().max()) <= find_slack(dtype)
    assert all(torch.equal(tensor, before[name]) for name, tensor in net.state_dict().items())
    assert not found.training


def test_without_a_dtype_the_network_is_itself() -> None:
    net = make_net()
    assert convert(net, None) is net
    inputs = batch_of(2)
    assert cast_inputs(inputs, None) is inputs
    assert cast_inputs(inputs, "int8") is inputs


def test_inputs_are_cast_where_they_are_floating_point_wherever_they_stand() -> None:
    cast = cast_inputs(named_batch_of(2), "float16")
    assert cast.kwargs["extra"]["more"].dtype is torch.float16
    tokens = Example(args=(torch.tensor([1, 2]), 3.5, "a"), kwargs={})
    found = cast_inputs(tokens, "bfloat16").args
    assert (found[0].dtype, found[1:]) == (torch.int64, (3.5, "a"))


def test_the_slack_is_that_of_the_numbers() -> None:
    assert find_slack("float16") == 32 * 2**-10
    assert find_slack("bfloat16") == 32 * 2**-7
    assert find_slack("int8") == 32 / 127


def test_a_network_with_weights_of_another_kind_keeps_its_whole_numbers() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3)).eval()
    assert convert(net, "float16").state_dict()["1.num_batches_tracked"].dtype is torch.int64


def test_an_unknown_dtype_is_an_error() -> None:
    with pytest.raises(WidthError) as caught:
        convert(make_net(), "int4")  # type: ignore[arg-type]
    assert str(caught.value) == (
        "expected a dtype of float32, float16, bfloat16, int8, got 'int4'; leave it out to keep that of the network"
    )
