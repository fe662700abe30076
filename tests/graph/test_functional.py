"""A traced graph made functional by rewriting computes what `run_decompositions` computes, and the network itself."""

import copy
from typing import Any

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from tests.graph.writes import (
    LOST_BY_TORCH,
    OTHERS,
    REGIONS,
    SIMPLE,
    Function,
    convolve,
    make,
    normalise,
    resume,
    sample,
    stop,
    write_twice,
)
from tests.networks import assert_same
from widthwise.elastic import Elastic
from widthwise.graph import Example, silence
from widthwise.graph.export import export_network
from widthwise.graph.functional import inline_regions, is_simple, make_functional
from widthwise.graph.gradients import note_gradients, stop_gradients


def export(net: nn.Module, x: Tensor) -> ExportedProgram:
    with silence(), note_gradients():
        return torch.export.export(net, (x,), strict=False)


def run(program: ExportedProgram, net: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
    """Run a graph on copies of the network's tensors and the input; returns what it writes, and its outputs."""
    program.graph_module.recompile()
    torch.manual_seed(1)
    held = {**program.state_dict, **program.constants}
    targets = [spec.target for spec in program.graph_signature.input_specs if spec.kind is not InputKind.USER_INPUT]
    return program.graph_module(*[held[target].clone() for target in targets], x.clone())


def rewrite(program: ExportedProgram) -> ExportedProgram:
    inline_regions(program.graph_module)
    stop_gradients(program.graph_module, program.graph_signature.inputs_to_parameters)
    make_functional(program.graph)
    program.graph.lint()
    return program


def run_net(net: nn.Module, x: Tensor) -> Tensor:
    torch.manual_seed(1)
    return net(x.clone())


def gradients(net: nn.Module, outputs: Tensor) -> list[Tensor | None]:
    return list(torch.autograd.grad(outputs.square().sum(), list(net.parameters()), allow_unused=True))


def assert_same_gradients(got: list[Tensor | None], expected: list[Tensor | None]) -> None:
    """The same parameters have some, and the same ones."""
    for one, other in zip(got, expected, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            assert_same(one, other)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", sorted(set(SIMPLE) - {"batch norm"}))
def test_a_simple_graph_gives_what_the_network_gives_and_its_gradients(name: str, training: bool) -> None:
    net, x = make(SIMPLE[name]).train(training), sample(SIMPLE[name])
    program = export(net, x)
    inline_regions(program.graph_module)
    assert is_simple(program.graph)
    got, expected = run(rewrite(program), net, x)[-1], run_net(net, x)
    assert_same(got, expected)
    assert_same_gradients(gradients(net, got), gradients(net, expected))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", sorted(set(SIMPLE) - {"batch norm"} - set(REGIONS)))
def test_a_simple_graph_gives_what_decompositions_make_of_it(name: str, training: bool) -> None:
    net, x = make(SIMPLE[name]).train(training), sample(SIMPLE[name])
    with silence():
        decomposed = export(net, x).run_decompositions({})
    rewritten = rewrite(export(net, x))
    assert_same(run(rewritten, net, x)[-1], run(decomposed, net, x)[-1])
    assert not any(node.target._schema.is_mutable for node in calls(rewritten) if hasattr(node.target, "_schema"))


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("name", OTHERS)
def test_what_is_written_where_others_look_is_not_simple(name: str, training: bool) -> None:
    net, x = make(OTHERS[name]).train(training), sample(OTHERS[name])
    assert not is_simple(export(net, x).graph)
    if name not in LOST_BY_TORCH:
        assert_same(run(export_network(net, Example(args=(x,), kwargs={})), net, x)[-1], run_net(net, x))


def test_batch_norm_is_simple_with_running_statistics_only() -> None:
    net, x = make(normalise), sample(normalise)
    assert not is_simple(export(net.train(), x).graph)
    program = export(net.eval(), x)
    assert is_simple(program.graph)
    assert_same(run(rewrite(program), net, x)[-1], run_net(net, x))
    net.b.track_running_stats, net.b.running_mean, net.b.running_var = False, None, None
    assert is_simple(export(net.train(), x).graph)


def test_batch_norm_in_training_still_tells_what_it_writes() -> None:
    net, x = make(normalise).train(), sample(normalise)
    program = export_network(net, Example(args=(x,), kwargs={}))
    assert set(program.graph_signature.buffers_to_mutate.values()) == {
        "b.running_mean", "b.running_var", "b.num_batches_tracked",
    }  # fmt: skip
    written = run(program, net, x)
    assert_same(written[-1], run_net(net, x))
    state = dict(net.named_buffers())
    for target, value in zip(program.graph_signature.buffers_to_mutate.values(), written, strict=False):
        assert_same(value.double(), state[target].double())


@pytest.mark.parametrize("name", REGIONS)
def test_no_region_is_left(name: str) -> None:
    net, x = make(REGIONS[name]), sample(REGIONS[name])
    program = export(net, x)
    assert any("wrap_with" in str(node.target) for node in calls(program))
    inline_regions(program.graph_module)
    assert not any("wrap_with" in str(node.target) for node in calls(program))
    assert not program.graph.find_nodes(op="get_attr")


def test_a_region_with_autocast_stays_and_is_not_simple() -> None:
    def cast(s: Any, x: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = s.a(x)
        return y.double()

    program = export(make(cast), sample(cast))
    inline_regions(program.graph_module)
    assert not is_simple(program.graph)


@pytest.mark.parametrize("function", [stop, resume, convolve, normalise, write_twice])
def test_training_at_full_width_has_the_gradients_of_the_plain_network(function: Function) -> None:
    net, x = make(function).train(), sample(function)
    plain = copy.deepcopy(net)
    model = Elastic(net, (x,)).train()
    with model.at(1.0):
        got = model(x)
    expected = plain(x)
    assert_same(got.detach(), expected.detach())
    assert_same_gradients(gradients(net, got), gradients(plain, expected))


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, int, int]]:
    """Lines of code: what is done, to which of the values so far, and with which other one."""
    kinds = st.sampled_from(["relu_", "add_", "mul_", "view", "slice", "new", "to"])
    number = draw(st.integers(2, 7))
    return [(draw(kinds), draw(st.integers(0, 7)), draw(st.integers(0, 7))) for _ in range(number)]


def write_code(lines: list[tuple[str, int, int]]) -> Function:
    """A network of one linear layer that runs those lines and adds up all its values."""

    def step(kind: str, y: Tensor, z: Tensor) -> Tensor:
        return {
            "relu_": y.relu_, "add_": lambda: y.add_(z), "mul_": lambda: y.mul_(0.5),
            "view": lambda: y.view(-1, 2, 3).view(-1, 6), "slice": lambda: y[:, 0:], "new": lambda: y * z,
            "to": lambda: y.to(z.dtype),
        }[kind]()  # fmt: skip

    def function(s: Any, x: Tensor) -> Tensor:
        values = [s.a(x)]
        for kind, one, other in lines:
            values.append(step(kind, values[one % len(values)], values[other % len(values)]))
        return s.o(torch.stack([value * (i + 1) for i, value in enumerate(values)]).sum(0))

    return function


@pytest.mark.slow
@settings(max_examples=12, phases=[Phase.generate])
@given(programs())
def test_any_program_of_writes_and_views_gives_what_the_network_gives(lines: list[tuple[str, int, int]]) -> None:
    function = write_code(lines)
    net, x = make(function).eval(), sample(function)
    program = export_network(net, Example(args=(x,), kwargs={}))
    assert_same(run(program, net, x)[-1].detach(), run_net(net, x).detach())


def calls(program: ExportedProgram) -> list[fx.Node]:
    return [node for node in program.graph.nodes if node.op == "call_function"]
