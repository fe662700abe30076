"""The head: the linear layer that makes the network's one output."""

from dataclasses import dataclass
from typing import Any

from torch import fx

from widthwise._shared import GroupError
from widthwise.slicing.running.program import Program

__all__ = ["Head", "find_head"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Head:
    """Names of the head's weight (outputs, units) and bias (outputs,), and the rewritten node of its input."""

    weight: str
    bias: str
    features: fx.Node


def find_head(program: Program) -> Head:
    """Return the head of a network.

    Raises:
        GroupError: The network's output is not one tensor made by a linear layer with a bias, or other layers share
            that layer's parameters.
    """
    targets = {entry.placeholder: entry.target for entry in program.state}
    outputs: Any = program.graph.output_node().args[0]
    _, leaves = outputs
    nodes = [leaf for leaf in leaves if isinstance(leaf, fx.Node)]
    if len(nodes) == 1 and getattr(getattr(nodes[0].target, "_schema", None), "name", "") == "aten::linear":
        inputs = [node for node in nodes[0].args if isinstance(node, fx.Node)]
        if len(inputs) == 3 and inputs[1].name in targets and inputs[2].name in targets:
            features, weight, bias = inputs
            for shared in (weight, bias):
                if len(shared.users) > 1:
                    raise GroupError(
                        f"expected a head with parameters of its own, got {targets[shared.name]}, which other layers "
                        "use too; leave out refit= and reach='head', which need it"
                    )
            return Head(weight=targets[weight.name], bias=targets[bias.name], features=features)
    raise GroupError(
        "expected a network whose single output is made by a linear layer with a bias, got another end; "
        "leave out refit= and reach='head', which need that layer"
    )
