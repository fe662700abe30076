"""The same contract, held by the elastic model itself."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from widthwise.curves import Curve, Score, curve
from widthwise.elastic import Elastic, Law, export
from widthwise.zoo import MLP, ResidualConvNet

INPUTS = torch.randn(64, 8, generator=torch.Generator().manual_seed(1))
LABELS = INPUTS[:, :3].argmax(dim=1)


def is_right(net: nn.Module, batch: tuple[Tensor, Tensor]) -> Tensor:
    return net(batch[0]).argmax(dim=1) == batch[1]


@pytest.fixture(scope="module")
def model() -> Elastic:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 3))
    elastic = Elastic(net, (torch.zeros(2, 8),), law=Law(lowest=1 / 8))
    optimiser = torch.optim.Adam(elastic.parameters(), lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(elastic(INPUTS), LABELS).backward()
        optimiser.step()
    return elastic


@pytest.fixture(scope="module")
def found(model: Elastic) -> Curve:
    return curve(model, Score(is_right, [(INPUTS, LABELS)]), calibrate=[INPUTS])


def test_the_default_widths_reach_from_the_lowest_trained_to_full(found: Curve) -> None:
    assert [point.label for point in found] == ["0.125", "0.1768", "0.25", "0.3536", "0.5", "0.7071", "1"]
    assert found.is_calibrated


def test_scores_are_those_of_extracted_networks(model: Elastic, found: Curve) -> None:
    score = Score(is_right, [(INPUTS, LABELS)])

    for point in found:
        small = model.extract(point, calibrate=None if point.width == 1.0 else [INPUTS])
        assert point.score == score(small)


def test_the_full_point_is_the_network_itself(model: Elastic, found: Curve) -> None:
    assert found.full is not None
    assert found.full.score == Score(is_right, [(INPUTS, LABELS)])(model.net)
    assert found.full.params == sum(parameter.numel() for parameter in model.net.parameters())


def test_macs_are_those_of_the_networks_taken_home(model: Elastic, found: Curve) -> None:
    for point in found:
        small = model.extract(point, calibrate=[INPUTS])
        assert point.macs == sum(part.weight.numel() for part in small.modules() if isinstance(part, nn.Linear))


@pytest.mark.parametrize("kind", ["mlp", "convnet", "mlp in float64"])
def test_bytes_are_those_of_the_files_taken_home(kind: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = ResidualConvNet(1, 3, [8, 33]) if kind == "convnet" else MLP([8, 110, 101, 3], batch_norm=True)
    x = torch.randn(4, 1, 8, 8) if kind == "convnet" else torch.randn(4, 8)
    net, x = (net.double(), x.double()) if kind == "mlp in float64" else (net, x)
    model = Elastic(net.eval(), (x,), law=Law(lowest=1 / 16))
    points = curve(model, lambda net: net(x).detach().sum() / 3, calibrate=[x], latency=False).points
    assert len({point.bytes for point in points}) == len(points) > 5
    path = tmp_path / "small.safetensors"

    for point in points:
        for width in (point, point.width, point.widths):
            assert export(model, width, path, calibrate=[x]).size_bytes == point.bytes


@pytest.mark.filterwarnings("ignore:expected BatchNorm statistics")
def test_a_point_is_a_width_to_run_and_extract_at(model: Elastic, found: Curve) -> None:
    point = found.pick(max_params=found.points[2].params)

    model.eval()
    with model.at(point), torch.no_grad():
        assert torch.allclose(model(INPUTS), model.extract(point)(INPUTS), rtol=1e-5, atol=1e-6)


def test_latency_is_measured_at_every_width(found: Curve) -> None:
    assert all(point.latency_ms is not None and point.latency_ms > 0 for point in found)


def test_the_model_is_left_in_its_own_mode(model: Elastic) -> None:
    model.train()
    curve(model, Score(is_right, [(INPUTS, LABELS)]), widths=[0.5], calibrate=[INPUTS], latency=False)

    assert all(module.training for module in model.modules())
