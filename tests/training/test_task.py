import pytest
import torch
from torch import nn

from widthwise.elastic import Elastic
from widthwise.training.task import Task, take_loss

mean_square = nn.functional.mse_loss


def test_a_task_is_abstract() -> None:
    with pytest.raises(TypeError, match="abstract"):
        Task()  # pyright: ignore[reportAbstractUsage]


def test_the_loss_of_an_elastic_model_is_its_own_and_of_a_plain_network_the_criterion() -> None:
    net = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 2))
    model = Elastic(net, (torch.zeros(2, 3),), law="us_nets", generator=torch.Generator().manual_seed(0))
    x, y = torch.randn(4, 3), torch.randn(4, 2)
    plain = mean_square(net(x), y)
    assert torch.equal(take_loss(net, (x, y), mean_square), plain)
    assert torch.equal(take_loss(net, ((x,), y), mean_square), plain)
    assert torch.equal(take_loss(model.eval(), (x, y), mean_square), plain)
    # A law that runs several widths on the same samples can be trained by `Elastic.loss` alone.
    assert take_loss(model.train(), (x, y), mean_square).requires_grad
