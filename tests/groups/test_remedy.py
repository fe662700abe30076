from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.traps import Network
from widthwise.elastic import Elastic
from widthwise.groups.remedy import find_remedy

RULE, TABLE = "add a rule: widthwise.graph.rule", "register the table as a buffer of floats"
Step = Callable[[Tensor], Tensor]


def frozen_remedies(step: Step, target: str = "a.bias", **state: Any) -> set[tuple[str, str]]:
    """What is said of a layer whose 8 units go through a step; a second layer keeps its units."""
    parts = {"a": nn.Linear(5, 8), "b": nn.Linear(8, 3), "c": nn.Linear(5, 6), "d": nn.Linear(6, 3)}
    net = Network(lambda s, x: s.b(step(s.a(x))) + s.d(s.c(x).relu()), **parts, **state)
    frozen = Elastic(net, (torch.randn(4, 5),)).groups.frozen
    return {(axis.reason.split(" (")[0], axis.remedy) for axis in frozen if axis.target == target}


@pytest.mark.parametrize(
    ("step", "reason", "remedy"),
    [
        (lambda y: y.put(torch.arange(3), torch.ones(3)), "unknown operator aten.put", RULE),
        (lambda y: y.softmax(-1), "aten.softmax", "nothing: each position counts by itself"),
        (lambda y: y / y.var(-1, keepdim=True), "aten.var", "use correction=0"),
        (lambda y: y * torch.bartlett_window(8), "table made by aten.bartlett_window", TABLE),
    ],
    ids=["unknown", "softmax", "variance", "table"],
)
def test_an_axis_frozen_by_the_code_says_what_would_unfreeze_it(step: Step, reason: str, remedy: str) -> None:
    assert frozen_remedies(step) == {(reason, remedy)}


@pytest.mark.parametrize("is_buffer", [False, True])
def test_a_table_of_whole_numbers_is_freed_by_floats_as_its_remedy_says(*, is_buffer: bool) -> None:
    class Scaled(nn.Module):
        def __init__(self, table: Tensor) -> None:
            super().__init__()
            self.a, self.b, self.c, self.d = nn.Linear(5, 8), nn.Linear(8, 3), nn.Linear(5, 6), nn.Linear(6, 3)
            if is_buffer:
                self.register_buffer("table", table)
            else:
                self.table = table

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x) * self.table) + self.d(self.c(x))

    def remedy(table: Tensor) -> str:
        frozen = Elastic(Scaled(table), (torch.randn(4, 5),)).groups.frozen
        return next((axis.remedy for axis in frozen if axis.target == "a.bias"), "free")

    assert remedy(torch.arange(8)) == "let the table hold floats, where it is no index"
    assert remedy(torch.arange(8.0)) == "free"


def test_the_variance_is_freed_as_its_remedy_says() -> None:
    assert frozen_remedies(lambda y: y / y.var(-1, keepdim=True, correction=0)) == set()


def test_patterns_are_undone_as_their_remedies_say() -> None:
    net = nn.Sequential(nn.Linear(5, 8), nn.Linear(8, 6), nn.Linear(6, 3))
    inputs = (torch.randn(4, 5),)

    def remedies(**chosen: list[str]) -> dict[str, str]:
        return {axis.target: axis.remedy for axis in Elastic(net, inputs, **chosen).groups.frozen}

    assert remedies(freeze=["0"])["0.bias"] == "leave out freeze="
    assert remedies(only=["0"])["1.bias"] == "add it to only="
    assert "1.bias" not in remedies(only=["0", "1"])


@pytest.mark.parametrize(
    ("reason", "remedy"),
    [
        ("input of the model", "nothing: it is what the network takes"),
        ("output of the model", "nothing: it is what the network gives"),
        ("the rule for aten.mm (a.py:3) does not fit this call", "replace the rule: widthwise.graph.rule"),
        ("never written: no operator passes it on from a parameter", "let the output depend on it"),
        ("never read: no operator sums over it", "let the output depend on it"),
        ("table that numbers positions", "nothing: each position counts by itself"),
        ("aten.embedding (a.py:3) addresses its vocabulary by number", "nothing: tokens are told apart by number"),
        ("aten.conv2d has a kernel of this size", "nothing: a kernel is no width"),
        ("aten.conv2d (a.py:3) slides along this axis", "nothing: these are positions, not units"),
        ("axes of sizes 4 and 6 meet at aten.add", "split or join only whole axes there, each in one way"),
        ("two cuts of one axis cannot be aligned at aten.add", "split or join only whole axes there, each in one way"),
        ("aten.view (a.py:3)", "split or join only whole axes there, each in one way"),
        ("aten.view (a.py:3) does something", ""),
        ("aten.conv2d (a.py:3)", ""),
        ("a reason of somebody's own rule", ""),
        ("", ""),
    ],
)
def test_the_remedy_follows_from_the_reason(reason: str, remedy: str) -> None:
    assert find_remedy(reason) == remedy


def test_a_pattern_that_holds_the_words_of_another_reason_is_still_a_pattern() -> None:
    assert find_remedy("freeze='never read: *'") == "leave out freeze="
