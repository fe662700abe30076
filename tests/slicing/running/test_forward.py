import pytest
import torch

from tests.networks import CASES, DETERMINISTIC, assert_same, draw_widths, kept_of, make_generator, shared_model
from widthwise.slicing import Runner


def runner_of(name: str) -> Runner:
    return shared_model(name)._engine.sliced.evaluation  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("name", DETERMINISTIC)
def test_a_graph_with_its_sizes_settled_gives_what_it_gives_with_the_table(name: str) -> None:
    model, runner = shared_model(name).eval(), runner_of(name)
    args, kwargs = CASES[name].sample(5, make_generator(1), torch.float64)
    leaves = runner.leaves_of(type(model._engine.example)(args=args, kwargs=kwargs))
    for seed in range(3):
        kept = kept_of(model, draw_widths(model, seed))
        sizes, state = runner.program.sizes(kept), runner.cut_state(kept)
        with torch.no_grad():
            expected = runner.program.forward(sizes, *state, *leaves)
            assert_same(runner.program.forward.settle(sizes)(*state, *leaves), expected)


def test_settled_sizes_leave_no_table() -> None:
    forward = runner_of("conv").program.forward
    settled = forward.settle(runner_of("conv").program.sizes({}))
    placeholders = [node.name for node in forward.graph.find_nodes(op="placeholder")]
    assert [node.name for node in settled.graph.find_nodes(op="placeholder")] == placeholders[1:]


def test_the_graph_itself_stays_as_it_is() -> None:
    forward = runner_of("conv").program.forward
    before = str(forward.graph)
    forward.settle(runner_of("conv").program.sizes({}))
    assert str(forward.graph) == before


def test_the_open_axes_are_the_batch_of_the_inputs() -> None:
    program = runner_of("dict").program
    axes = program.forward.open_axes()
    assert axes[: len(program.state)] == [()] * len(program.state)
    assert axes[len(program.state) :] == [(0,), (0,), ()][: len(axes) - len(program.state)]
