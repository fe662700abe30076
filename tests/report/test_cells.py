from typing import Any

import pytest
import torch
from torch import Tensor, nn

from widthwise.elastic import Elastic
from widthwise.report.cells import Cell, Row, make_rows, shorten
from widthwise.zoo import MLP, ResidualConvNet


def rows_of(net: nn.Module, *inputs: Tensor) -> dict[str, Row]:
    return {row.path: row for row in make_rows(Elastic(net, inputs).groups, net)}


def cells(row: Row) -> set[tuple[int | None, str]]:
    return {(cell.column, cell.role) for cell in row.cells}


def test_a_layer_produces_its_rows_and_reads_its_columns() -> None:
    rows = rows_of(MLP([5, 8, 6, 3]), torch.randn(2, 5))
    assert {path: cells(row) for path, row in rows.items()} == {
        "fc1": {(0, "produces"), (None, "reads")},
        "fc2": {(0, "reads"), (1, "produces")},
        "head": {(1, "reads"), (None, "produces")},
    }


def test_every_module_with_parameters_is_a_row_in_the_order_of_the_network() -> None:
    net = ResidualConvNet()
    rows = rows_of(net, torch.zeros(2, 3, 16, 16))
    assert list(rows) == [name for name, module in net.named_modules() if list(module.parameters(recurse=False))]
    assert cells(rows["stem_norm"]) == {(0, "carries")}
    assert (None, "kernel") in cells(rows["stem"])


def test_every_member_and_every_frozen_axis_of_a_weight_has_its_mark() -> None:
    net = ResidualConvNet()
    groups = Elastic(net, (torch.zeros(2, 3, 16, 16),)).groups
    rows = {row.path: row for row in make_rows(groups, net)}
    parameters = dict(net.named_parameters())
    for column, group in enumerate(groups):
        marked = {path for path, row in rows.items() if any(cell.column == column for cell in row.cells)}
        assert marked == {m.target.rpartition(".")[0] for m in group.members if m.target in parameters}
    marked = {path for path, row in rows.items() if any(cell.column is None for cell in row.cells)}
    assert marked == {axis.target.rpartition(".")[0] for axis in groups.frozen}


def test_embeddings_and_transposed_convolutions_produce_along_their_second_axis() -> None:
    rows = rows_of(nn.Sequential(nn.Embedding(50, 8), nn.Linear(8, 3)), torch.randint(50, (2, 5)))
    assert cells(rows["0"]) == {(0, "produces"), (None, "reads")}
    net = nn.Sequential(nn.Conv1d(3, 6, 1), nn.ConvTranspose1d(6, 4, 2), nn.Conv1d(4, 2, 1))
    assert cells(rows_of(net, torch.randn(2, 3, 9))["1"]) == {(0, "reads"), (1, "produces"), (None, "kernel")}


def test_a_layer_whose_weight_is_turned_is_drawn_like_one_whose_weight_is_not() -> None:
    class TurnedLinear(nn.Module):
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.randn(inputs, outputs)), nn.Parameter(torch.randn(outputs))

        def forward(self, x: Tensor) -> Tensor:
            return torch.addmm(self.bias, x, self.weight)

    def draw(kind: Any) -> dict[str, set[tuple[int | None, str]]]:
        rows = rows_of(nn.Sequential(kind(5, 8), nn.ReLU(), kind(8, 3)), torch.randn(2, 5))
        return {path: cells(row) for path, row in rows.items()}

    assert draw(TurnedLinear) == draw(nn.Linear)


def test_a_table_that_is_also_the_last_layer_is_drawn_as_both() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.table, self.head = nn.Embedding(9, 8), nn.Linear(8, 9)
            self.head.weight = self.table.weight

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.table(x).relu())

    rows = rows_of(Tied(), torch.randint(9, (2, 5)))
    assert cells(rows["table"]) == {(0, "produces"), (None, "reads")}
    assert cells(rows["head"]) == {(0, "reads"), (None, "produces")}


def test_a_token_of_its_own_is_one_number_per_unit_and_stands_under_the_name_of_the_network() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Parameter(torch.randn(1, 1, 8))
            self.a, self.b = nn.Linear(5, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x) + self.token)

    rows = rows_of(Tokens(), torch.randn(2, 4, 5))
    assert rows[""] == Row(path="", label="Tokens", depth=0, cells=frozenset({Cell(column=0, role="carries")}))


def test_labels_leave_out_what_the_row_above_has() -> None:
    def block() -> nn.Module:
        return nn.Sequential(nn.Linear(4, 6), nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 4)))

    rows = rows_of(nn.Sequential(nn.Linear(5, 4), nn.Sequential(block(), block()), nn.Linear(4, 3)), torch.randn(2, 5))
    assert [(row.depth, row.label) for row in rows.values()] == [
        (0, "0"), (0, "1.0.0"), (2, "1.0"), (3, "1"), (1, "1.0"), (2, "1.0"), (3, "1"), (0, "2"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "most", "short"),
    [("abcdef", 6, "abcdef"), ("abcdefg", 6, "ab…efg"), ("encoder.layers.11.linear1", 16, "encoder….linear1")],
)
def test_long_names_lose_their_middle(name: str, most: int, short: str) -> None:
    assert shorten(name, most) == short
    assert len(short) <= most
