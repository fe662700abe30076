import pytest
import torch

from tests.networks import CASES, assert_same, draw_widths, kept_of, make_generator, shared_model
from widthwise.elastic import Elastic
from widthwise.slicing import Program


def program_of(name: str) -> Program:
    return shared_model(name)._engine.sliced.evaluation.program


def test_a_network_without_folded_units_needs_no_table() -> None:
    program = program_of("mlp")
    assert program.sizes(kept_of(shared_model("mlp"), {"fc1": 3, "fc2": 2})) == ()


@pytest.mark.parametrize("name", CASES)
def test_one_graph_serves_every_width(name: str) -> None:
    model = shared_model(name).eval()
    program = program_of(name)
    code = program.module.code
    args, kwargs = CASES[name].sample(3, make_generator(1), torch.float64)
    for seed in range(4):
        kept = kept_of(model, draw_widths(model, seed))
        _, leaves = model._engine.sliced.evaluation.run(kept, torch.utils._pytree.tree_leaves((args, kwargs)))
        assert len(leaves) == len(program.trace.outputs)
    assert program.module.code == code


def test_sizes_follow_the_kept_sets() -> None:
    model = shared_model("conv")
    full = program_of("conv").sizes({})
    half = program_of("conv").sizes(kept_of(model, {group.name: max(1, group.size // 2) for group in model.groups}))
    scattered = {group.name: torch.arange(0, group.size, 2) for group in model.groups}
    assert len(full) == len(half) > 0
    assert all(one > other for one, other in zip(full, half, strict=True))
    assert program_of("conv").sizes(kept_of(model, scattered))[0] == len(torch.arange(0, full[0], 2))


def test_module_sizes_tell_which_module_takes_a_size() -> None:
    model = shared_model("conv")
    widths = {group.name: max(1, group.size // 2) for group in model.groups}
    found = program_of("conv").module_sizes(kept_of(model, widths))
    (depthwise,) = found["depthwise"]
    assert (depthwise.argument, depthwise.full, depthwise.kept) == ("groups", 8, 4)


def test_a_folded_size_is_a_product() -> None:
    class Folded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = torch.nn.Linear(3, 6), torch.nn.Linear(24, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.one(x).reshape(x.shape[0], 24))

    model = Elastic(Folded(), (torch.zeros(2, 4, 3),))
    program = model._engine.sliced.evaluation.program
    found = program.module_sizes(kept_of(model, {"one": 2}))
    assert [(number.full, number.kept) for number in found[""]] == [(24, 8)]


def test_a_module_that_is_called_twice_is_found_under_its_own_path() -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = torch.nn.Linear(3, 6), torch.nn.Linear(6, 2)
            self.norm = torch.nn.LayerNorm(6)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(torch.relu(self.norm(self.one(x)))))

    model = Elastic(Twice(), (torch.randn(4, 3),))
    found = model._engine.sliced.evaluation.program.module_sizes(kept_of(model, {"one": 2}))
    assert set(found) == {"norm"}
    small = model.extract({"one": 2})
    assert isinstance(small, Twice)
    assert small.norm.normalized_shape == (2,)


def test_a_parameter_that_is_cut_can_still_be_flattened() -> None:
    class Flattened(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.head = torch.nn.Linear(3, 12), torch.nn.Linear(12, 2)
            self.gains = torch.nn.Parameter(torch.randn(2, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(torch.relu(self.one(x)) * self.gains.view(12))

    x = torch.randn(4, 3)
    model = Elastic(Flattened(), (x,)).eval()
    (_, inner) = model.groups
    assert inner.size == 6
    with model.at({inner.name: 2}):
        got = model(x)
    with torch.no_grad():
        model.net.gains[:, 2:] = 0
    assert_same(got, model(x))


def test_the_rewritten_graph_keeps_a_node_for_each_traced_one() -> None:
    program = program_of("conv")
    for old, new in program.origins.items():
        assert new.graph is program.graph
        assert old.graph is program.trace.graph


def test_nodes_that_only_check_are_left_out() -> None:
    program = program_of("join")
    names = {getattr(getattr(node.target, "_schema", None), "name", "") for node in program.graph.nodes}
    assert not {name for name in names if "assert" in name or "constrain" in name}


def test_split_into_unequal_parts_is_written_with_all_sizes() -> None:
    model = shared_model("join").eval()
    args, _ = CASES["join"].sample(3, make_generator(1), torch.float64)
    names = {str(node.target) for node in program_of("join").graph.nodes}
    assert "aten.split_with_sizes.default" in names
    widths = {"left": 3, "right": 4, "mix.0": 1, "mix.1": 3}
    with model.at(widths):
        assert_same(model(*args), model.extract(widths)(*args))
