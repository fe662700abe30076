import pytest
import torch
from torch import nn

from widthwise.elastic import Elastic
from widthwise.elastic.engines.outline import outline_network
from widthwise.measure import count_parameters, safetensors_bytes, state_on_disk
from widthwise.zoo import MLP, ResidualConvNet, TransformerLanguageModel, VisionTransformer


def shapes(net: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in net.state_dict().items()}


def make_model(kind: str) -> Elastic:
    torch.manual_seed(0)
    if kind == "mlp":
        return Elastic(MLP([8, 33, 20, 3], batch_norm=True).eval(), (torch.randn(2, 8),))
    if kind == "convnet":
        return Elastic(ResidualConvNet(3, 4, [8, 17]).eval(), (torch.randn(2, 3, 8, 8),))
    if kind == "vit":
        net = VisionTransformer(3, 4, side=8, patch=4, width=16, depth=2, num_heads=4, hidden=24)
        return Elastic(net.eval(), (torch.randn(2, 3, 8, 8),))
    if kind == "tied":
        net = TransformerLanguageModel(11, 6, 16, 1, 4, 24)
        return Elastic(net.eval(), (torch.zeros(2, 6, dtype=torch.int64),), stream=True)
    if kind == "declared":
        groups = [{"0.weight": "n _", "0.bias": "n", "2.weight": "_ n"}]
        net = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3)).eval()
        return Elastic(net, (torch.randn(2, 8),), groups=groups)
    net = nn.Sequential(nn.Linear(5, 8), MLP([8, 32, 8]), nn.Linear(8, 2)).eval()
    return Elastic(net, (torch.randn(2, 5),), submodule="1")


@pytest.mark.parametrize("kind", ["mlp", "convnet", "vit", "tied", "declared", "submodule"])
def test_the_outline_has_what_extraction_gives(kind: str) -> None:
    model = make_model(kind)
    for width in (1.0, 0.5, 0.26):
        small, outline = model.extract(width, calibrate=None), model.outline(width)
        assert shapes(outline) == shapes(small)
        assert count_parameters(outline) == count_parameters(small)
        assert safetensors_bytes(outline) == safetensors_bytes(small)
        assert all(tensor.is_meta for tensor in state_on_disk(outline).values())


def test_widths_of_each_group_are_outlined() -> None:
    model = make_model("mlp")
    first, second = model.groups.sizes
    assert shapes(model.outline({first: 5, second: 7})) == shapes(model.extract({first: 5, second: 7}))


def test_tied_tensors_stay_tied_and_modes_of_tensors_stay() -> None:
    net = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    net[1].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    net[2].register_buffer("scratch", torch.zeros(3), persistent=False)
    outline = outline_network(net, {"0.weight": [2, 4], "1.weight": [2, 4]})
    assert outline.get_parameter("0.weight") is outline.get_parameter("1.weight")
    assert not outline.get_parameter("0.bias").requires_grad
    assert outline.state_dict().keys() == net.state_dict().keys()
    assert {name: tensor.dtype for name, tensor in outline.state_dict().items()} == {
        name: tensor.dtype for name, tensor in net.state_dict().items()
    }
