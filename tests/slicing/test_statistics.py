import pytest
import torch
from torch import nn

from widthwise._shared import DataError
from widthwise.graph import as_example
from widthwise.slicing import has_statistics, recalibrate_modules


def make() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6, momentum=0.3), nn.Dropout(0.5), nn.Linear(6, 2)).eval()


def test_statistics_are_the_mean_over_batches() -> None:
    net, batches = make(), [torch.randn(16, 4) for _ in range(3)]
    recalibrate_modules(net, [as_example((batch,)) for batch in batches])
    hidden = [net[0](batch) for batch in batches]
    torch.testing.assert_close(net[1].running_mean, torch.stack([each.mean(0) for each in hidden]).mean(0).detach())
    torch.testing.assert_close(net[1].running_var, torch.stack([each.var(0) for each in hidden]).mean(0).detach())


def test_modes_and_momenta_are_as_they_were() -> None:
    net = make()
    recalibrate_modules(net, [as_example((torch.randn(16, 4),))])
    assert not any(module.training for module in net.modules())
    assert net[1].momentum == 0.3
    with pytest.raises(DataError):
        recalibrate_modules(net, [as_example((torch.randn(1, 4),))])
    assert not any(module.training for module in net.modules())
    assert net[1].momentum == 0.3


def test_only_norms_that_keep_statistics_count() -> None:
    assert has_statistics(make())
    assert not has_statistics(nn.Sequential(nn.LayerNorm(4), nn.BatchNorm1d(4, track_running_stats=False)))


def test_no_batch_is_an_error() -> None:
    with pytest.raises(DataError, match="calibration needs at least one batch, got an empty loader; pass training sam"):
        recalibrate_modules(make(), [])
