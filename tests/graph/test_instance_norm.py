import copy

import pytest
import torch
from torch import nn

from widthwise.elastic import Elastic, Law
from widthwise.graph import as_example, overload_name, trace_network
from widthwise.graph.instance_norm import write_out_updates


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize("momentum", [0.1, 0.7])
@pytest.mark.parametrize("shape", [(2, 3, 5), (2, 3, 4, 5)])
def test_it_computes_and_updates_as_the_operator_does(affine: bool, momentum: float, shape: tuple[int, ...]) -> None:
    kind = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d}[len(shape)]
    norm = kind(3, affine=affine, momentum=momentum, track_running_stats=True).double()
    x, by_hand = torch.randn(shape, dtype=torch.float64), copy.deepcopy(norm)
    y = write_out_updates(
        x, by_hand.weight, by_hand.bias, by_hand.running_mean, by_hand.running_var, True, momentum, norm.eps, True
    )
    torch.testing.assert_close(y, norm(x), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_hand.running_mean, norm.running_mean, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(by_hand.running_var, norm.running_var, rtol=1e-12, atol=1e-12)


def test_the_operator_stays_whole_where_it_updates_nothing() -> None:
    x, statistic = torch.randn(2, 3, 4), torch.ones(3)
    assert write_out_updates(x, None, None, None, None, True, 0.1, 1e-5, True) is NotImplemented
    assert write_out_updates(x, None, None, statistic, statistic, False, 0.1, 1e-5, True) is NotImplemented


def make_network() -> nn.Sequential:
    torch.manual_seed(0)
    norm = nn.InstanceNorm2d(8, affine=True, track_running_stats=True)
    return nn.Sequential(nn.Conv2d(2, 8, 3), norm, nn.ReLU(), nn.Flatten(), nn.Linear(8 * 6, 3))


def test_updates_come_out_of_the_graph_in_training_alone() -> None:
    net, example = make_network(), as_example((torch.randn(2, 2, 4, 5),))
    trained, evaluated = trace_network(net, example, training=True), trace_network(net, example, training=False)
    assert set(trained.mutations.values()) == {"1.running_mean", "1.running_var"}
    assert evaluated.mutations == {}
    names = [overload_name(node.target) for node in evaluated.graph.nodes]
    assert "aten::instance_norm.default" in names
    assert "aten::instance_norm.default" not in [overload_name(node.target) for node in trained.graph.nodes]


def test_only_the_full_width_part_of_a_batch_updates_the_statistics() -> None:
    net = make_network()
    plain, x = copy.deepcopy(net).train(), torch.randn(8, 2, 4, 5)
    model = Elastic(net, (x,), law=Law(chunks=4)).train()
    model(x)
    plain(x[:2])
    for one, other in zip(net[1].buffers(), plain[1].buffers(), strict=True):
        torch.testing.assert_close(one, other)
