"""Which functions of a network have a graph, and what becomes of those that have none."""

import operator
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import fx

from tests.networks import assert_same
from widthwise._shared import WidthWarning
from widthwise.slicing.running.compiled import Compilation, CompiledGraphs
from widthwise.slicing.running.forward import Forward


def make_forward() -> Forward:
    """Doubles its input and adds the first number of the table."""
    graph = fx.Graph()
    table, x = graph.placeholder("sizes"), graph.placeholder("x")
    x.meta["val"] = torch.zeros(2, 3)
    size = graph.call_function(operator.getitem, (table, 0))
    graph.output(graph.call_function(torch.add, (graph.call_function(torch.mul, (x, 2)), size)))
    return Forward(graph)


class Counter:
    def __init__(self) -> None:
        self.num_graphs = 0

    def __call__(self, graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        assert inputs
        self.num_graphs += 1
        return graph.forward


def run(graphs: CompiledGraphs, forward: Forward, units: Any) -> None:
    x = torch.ones(2, 3)
    size = units if isinstance(units, int) else len(units)
    assert_same(graphs.run(forward, {7: units}, (size,), x), 2 * x + size)


def make_graphs(backend: object, max_graphs: int = 4) -> CompiledGraphs:
    compilation = Compilation({"fc": {1, 2, 3}}, max_graphs, {"backend": backend})
    return CompiledGraphs(compilation, {7: {1, 2, 3}})


def test_a_kept_set_has_one_graph() -> None:
    counter, forward = Counter(), make_forward()
    graphs = make_graphs(counter)
    for units in (1, 2, 1, 2, 1):
        run(graphs, forward, units)
    assert counter.num_graphs == 2


def test_functions_have_graphs_of_their_own() -> None:
    counter = Counter()
    graphs = make_graphs(counter)
    for forward in (make_forward(), make_forward()):
        run(graphs, forward, 1)
    assert counter.num_graphs == 2


@pytest.mark.parametrize("units", [4, torch.tensor([0, 2])])
def test_what_is_off_the_grid_or_no_prefix_runs_as_it_is(units: Any) -> None:
    counter = Counter()
    run(make_graphs(counter), make_forward(), units)
    assert counter.num_graphs == 0


def test_what_comes_beyond_the_bound_runs_as_it_is() -> None:
    counter, forward = Counter(), make_forward()
    graphs = make_graphs(counter, max_graphs=1)
    run(graphs, forward, 1)
    with pytest.warns(WidthWarning, match="expected at most 1 graphs to compile, got widths for one more"):
        run(graphs, forward, 2)
    for units in (2, 3, 1):
        run(graphs, forward, units)
    assert counter.num_graphs == 1


def test_a_tensor_of_the_caller_s_gets_no_mark() -> None:
    forward, x = make_forward(), torch.ones(2, 3)
    before = dict(vars(x))
    make_graphs(Counter()).run(forward, {7: 1}, (1,), x)
    assert vars(x) == before


def test_an_error_of_the_graph_itself_is_raised() -> None:
    def make(graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        def fail(*inputs: Any) -> Any:
            raise FloatingPointError("of the run")

        return fail

    with pytest.raises(FloatingPointError, match="of the run"):
        make_graphs(make).run(make_forward(), {7: 1}, (1,), torch.ones(2, 3))
