import pytest
import torch
from torch import Tensor

from tests.slicing.formats.samples import batch_of, make_mixer, make_plain, named_batch_of
from widthwise.graph import Example
from widthwise.slicing.formats import Plain, Reader
from widthwise.slicing.read_back import ReadBack, count_samples, cut_batch


def read_net(plain: Plain, most: int) -> Reader:
    """The network itself in place of a file, which refuses large batches."""

    def read(inputs: Example) -> list[Tensor]:
        assert inputs.args[0].shape[0] <= most
        return [plain.net(*inputs.args)]

    return read


@pytest.mark.parametrize("num_samples", [1, 3, 4, 6, 7])
def test_large_batches_run_in_parts(num_samples: int) -> None:
    plain = make_plain()
    outputs = plain.net(*plain.example.args)
    net = ReadBack(plain, read_net(plain, 3), 3, outputs)
    (x,) = batch_of(num_samples).args
    torch.testing.assert_close(net(x), plain.net(x))
    assert list(net.parameters()) == []


def test_outputs_have_the_structure_of_the_network() -> None:
    plain = make_mixer()
    expected = plain.net(**plain.example.kwargs)
    leaves = [expected["hidden"], *expected["logits"]]
    net = ReadBack(plain, lambda _: leaves, None, expected)
    assert net(**plain.example.kwargs) == expected


def test_parts_have_keywords_in_the_order_of_the_example() -> None:
    plain = make_mixer()
    named = named_batch_of(5).kwargs
    turned = Example(args=(), kwargs={name: named[name] for name in reversed(named)})
    parts = list(cut_batch(plain, turned, 2))
    assert [list(part.kwargs) for part in parts] == [list(plain.example.kwargs)] * 3
    assert [count_samples(plain, part) for part in parts] == [2, 2, 1]
    assert torch.equal(torch.cat([part.kwargs["extra"]["more"] for part in parts]), named["extra"]["more"])
