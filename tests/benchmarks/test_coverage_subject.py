import torch
from torch import Tensor, nn

from benchmarks.coverage.pruning import find_output_layers
from benchmarks.coverage.subject import Only, Subject, disturb, run_network
from benchmarks.coverage.zoos.own import list_own
from benchmarks.coverage.zoos.torchvision import list_torchvision


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 6)
        self.head, self.scores = nn.Linear(6, 3), nn.Linear(6, 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        y = self.body(x)
        return {"plain": self.head(y), "softened": self.scores(y).softmax(-1)}


def test_every_call_gives_an_equal_network_and_equal_inputs() -> None:
    subject = Subject(zoo="own", name="two", build=lambda: (TwoHeads(), (torch.randn(2, 4),)))
    (one, x), (other, y) = subject.make(), subject.make()
    assert torch.equal(x[0], y[0])
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert not one.training


def test_a_large_network_is_made_without_numbers_unless_asked_for() -> None:
    subject = Subject(zoo="own", name="two", build=lambda: (TwoHeads(), (torch.randn(2, 4),)), on_meta=True)
    assert all(parameter.is_meta for parameter in subject.make()[0].parameters())
    assert not any(parameter.is_meta for parameter in subject.make(on_meta=False)[0].parameters())


def test_parameters_of_one_value_are_disturbed_and_others_are_not() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
    before = net[0].weight.clone()
    disturb(net)
    assert torch.equal(net[0].weight, before)
    for tensor in (net[1].weight, net[1].bias, net[1].running_mean):
        assert len(tensor.unique()) == 3


def test_one_output_is_asked_for_by_name() -> None:
    class Named(nn.Module):
        def forward(self, input_ids: Tensor) -> object:
            return torch.return_types.max((input_ids, input_ids + 1))

    assert torch.equal(run_network(Only(Named(), "indices"), {"input_ids": torch.zeros(2)}), torch.ones(2))


def test_the_layer_of_every_output_is_found() -> None:
    net = TwoHeads().eval()
    assert find_output_layers(net, (torch.randn(2, 4),)) == [net.head, net.scores]


def test_where_none_gives_an_output_the_last_with_as_many_features_is_found() -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Linear(3, 3), nn.Softmax(-1)).eval()
    assert find_output_layers(net, (torch.randn(2, 4),)) == [net[1]]


def test_names_are_unique_and_large_networks_are_known() -> None:
    subjects = list_torchvision() + list_own()
    assert len({(subject.zoo, subject.name) for subject in subjects}) == len(subjects) >= 100
    assert sorted(subject.name for subject in subjects if subject.on_meta) == [
        "regnet_y_128gf",
        "vit_h_14",
        "vit_l_16",
        "vit_l_32",
    ]


def test_every_own_network_runs() -> None:
    for subject in list_own():
        output = run_network(*subject.make())
        assert output.shape[0] == 2, subject.name
        assert output.isfinite().all(), subject.name
