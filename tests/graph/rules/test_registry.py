import operator
import re
from pathlib import Path

import pytest
import torch

from widthwise.graph import Call, Outcome, rule
from widthwise.graph.rules import find_rule, registry
from widthwise.graph.rules.convolution import convolution
from widthwise.graph.rules.pointwise import pointwise
from widthwise.graph.rules.reshape import reshape

aten = torch.ops.aten


@pytest.fixture(autouse=True)
def _own_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_RULES", dict(registry._RULES))


def test_a_rule_serves_every_overload_unless_it_names_one() -> None:
    assert find_rule(aten.conv2d.default) is find_rule(aten.conv2d.padding) is convolution
    assert find_rule(aten.view.default) is reshape
    assert find_rule(aten.view.dtype) is None


def test_a_rule_for_an_overload_goes_before_one_for_all() -> None:
    @rule("conv2d.padding")
    def padded(call: Call) -> Outcome:
        """Freeze everything."""
        return call.freeze_everything("padded")

    assert find_rule(aten.conv2d.padding) is padded
    assert find_rule(aten.conv2d.default) is convolution


def test_operators_that_pytorch_calls_pointwise_need_no_rule_of_their_own() -> None:
    assert torch.Tag.pointwise in aten.sinc.default.tags
    assert find_rule(aten.sinc.default) is pointwise


@pytest.mark.parametrize("target", [aten.histc.default, aten.nonzero.default, operator.getitem, torch.relu])
def test_other_operators_have_none(target: object) -> None:
    assert find_rule(target) is None


def test_a_rule_may_be_given_for_an_operator_of_ones_own() -> None:
    @rule("mylib::scale_channels")
    def scale_channels(call: Call) -> Outcome:
        """Tie the gain to the channels."""
        return call.frozen_output()

    assert registry._RULES["mylib::scale_channels"] is scale_channels


def test_rules_have_names_of_their_own() -> None:
    """Every rule is known by its name: to the table of its network, and to whoever reads where a reason comes from."""
    rules = set(registry._RULES.values())
    assert len({each.__name__ for each in rules}) == len(rules)


def test_every_operator_with_a_rule_is_tried_out_under_it() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("test_*.py"))
    named = set(re.findall(r"\baten\.(\w+)\.", tests))
    overloads = set(re.findall(r"\baten\.(\w+\.\w+)", tests))
    operators = {name.removeprefix("aten::") for name in registry._RULES if name.startswith("aten::")}
    assert operators - named - overloads == {"pointwise"}
