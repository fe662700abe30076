import torch
from torch import Tensor, nn

from tests.networks import LAW, kept_of
from tests.slicing.attending import Inner, elastic
from widthwise.elastic import Elastic
from widthwise.graph import Atom, Product
from widthwise.slicing.own_class.vocabulary import Vocabulary


class Split(nn.Module):
    """Sees 4 heads of 5, and calls itself again."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.back = nn.Linear(6, 20), nn.Linear(20, 6)

    def forward(self, x: Tensor) -> Tensor:
        return self.back(torch.relu(self.fc(x)).view(-1, 4, 5).transpose(1, 2).transpose(1, 2).reshape(-1, 20))


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.split = nn.Linear(3, 6), Split()
        self.again = self.split
        self.head = nn.Linear(6, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.again(self.split(torch.relu(self.stem(x)))))


def make_vocabulary(**kept: int) -> tuple[Vocabulary, Elastic]:
    model = Elastic(Net(), (torch.randn(3, 3),), law=LAW)
    widths = {**model.groups.sizes, **{name.replace("_", "."): number for name, number in kept.items()}}
    return Vocabulary(model.net, model._engine.sliced.evaluation.program, kept_of(model, widths)), model


def kept_at(vocabulary: Vocabulary, path: str, number: int) -> list[int]:
    return [meaning.kept for meaning in vocabulary.meanings(path, number)]


def test_a_module_sees_sizes_their_factors_and_their_products() -> None:
    vocabulary, model = make_vocabulary(split_fc_0=3, stem=2)
    assert {"stem", "split.fc.0"} <= set(model.groups.sizes)
    assert kept_at(vocabulary, "split", 4) == [3]
    assert kept_at(vocabulary, "split", 5) == [5]
    assert kept_at(vocabulary, "split", 20) == [15]
    assert kept_at(vocabulary, "split", 6) == [2]
    assert kept_at(vocabulary, "split", 7) == []


def test_what_operators_take_is_told_from_what_they_touch() -> None:
    vocabulary, _ = make_vocabulary()
    assert [meaning.is_taken for meaning in vocabulary.meanings("split", 4)] == [True]
    assert [meaning.is_taken for meaning in vocabulary.meanings("split", 6)] == [False]
    assert [meaning.is_taken for meaning in vocabulary.meanings("", 4)] == [False]


def test_a_parent_sees_what_its_children_do_and_not_the_other_way_round() -> None:
    vocabulary, _ = make_vocabulary(split_fc_0=3)
    assert kept_at(vocabulary, "", 4) == [3]
    assert kept_at(vocabulary, "split.back", 4) == [3]
    assert kept_at(vocabulary, "stem", 4) == []
    assert kept_at(vocabulary, "nowhere", 4) == []


def test_a_module_sees_runs_of_factors() -> None:
    model = elastic(Inner)
    heads = {**model.groups.sizes, **{group.name: 3 for group in model.groups if group.kind == "heads"}}
    vocabulary = Vocabulary(model.net, model._engine.sliced.evaluation.program, kept_of(model, heads))
    assert set(kept_at(vocabulary, "to_qkv", 60)) == {45}
    assert set(kept_at(vocabulary, "to_qkv", 20)) == {15}
    assert set(kept_at(vocabulary, "to_qkv", 40)) == {30}


def test_a_single_axis_is_simpler_than_a_product() -> None:
    vocabulary, _ = make_vocabulary()
    (heads,), (both,) = vocabulary.meanings("split", 4), vocabulary.meanings("split", 20)
    assert isinstance(heads.term, Atom)
    assert isinstance(both.term, Product)
    assert heads.complexity < both.complexity
