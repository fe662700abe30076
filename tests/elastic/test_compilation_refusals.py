"""Which widths of a law have a graph; what has none runs as it is, and is told once."""

import re
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, fx, nn

from tests.elastic.compiling import GRID, Counter, assert_same_step, assert_same_steps, make_mlp, make_pair, sample
from tests.networks import assert_same, make_generator
from tests.untraceable import make_model as make_declared
from widthwise._shared import GroupError, WidthError, WidthWarning
from widthwise.elastic import Elastic, Law, make_law
from widthwise.elastic.compilation import find_grid


def test_the_number_of_graphs_is_bounded_and_told_once() -> None:
    one, other = make_pair(make_mlp(), sample(2), make_law("fjord", widths=(0.25, 0.5, 0.75, 1.0)))
    counter = Counter()
    one.compile(backend=counter, max_graphs=2)
    with pytest.warns(WidthWarning) as told:
        assert_same_steps(one, other, [sample(8, seed=seed) for seed in range(12)])
    assert counter.num_graphs == 2
    assert [str(each.message) for each in told] == [
        (
            "expected at most 2 graphs to compile, got widths for one more; those beyond run as they are: draw fewer "
            "widths, with widths=6 or a larger step, or raise max_graphs"
        )
    ]


@pytest.mark.parametrize(
    ("law", "words"),
    [
        (Law(), "one that draws any; full width is compiled, all else runs as it is: use widths=6, or a step"),
        (
            make_law("octaves"),
            "one that leaves its widths with probability 0.5; those draws run as they are: use between=0",
        ),
    ],
)
def test_a_law_of_many_widths_is_told_what_is_compiled(law: Law, words: str) -> None:
    model = Elastic(make_mlp(), (sample(2),), law=law)
    with pytest.warns(WidthWarning, match=re.escape(f"expected a law of few widths to compile, got {words}")):
        model.compile(backend="eager")


def test_only_full_width_of_a_law_of_all_widths_is_compiled() -> None:
    one, other = make_pair(make_mlp(), sample(2), Law())
    counter = Counter()
    with pytest.warns(WidthWarning):
        one.compile(backend=counter)
    for seed in range(3):
        assert_same_step(one, other, sample(16, seed=seed))
    assert counter.num_graphs == 1


def test_widths_off_the_grid_run_as_they_are() -> None:
    model, counter = Elastic(make_mlp(), (sample(2),), law=GRID).eval(), Counter()
    model.compile(backend=counter)
    x = sample(4)
    with model.at(7 / 12):
        model(x)
    assert counter.num_graphs == 0
    with model.at(0.5):
        assert_same(model(x), model.extract(0.5)(x))
    assert counter.num_graphs == 1


class Recurrent(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])


def test_a_recurrent_network_runs_as_it_is() -> None:
    one, other = make_pair(Recurrent().double(), sample(2, 5, 4), GRID)
    counter = Counter()
    one.compile(backend=counter)
    with pytest.warns(WidthWarning) as told:
        assert_same_steps(one, other, [sample(8, 5, 4, seed=seed) for seed in range(3)])
    assert counter.num_graphs == 0
    assert [str(each.message) for each in told] == [
        (
            "expected a network of plain operators to compile, got a recurrent layer (lstm), which torch.compile would "
            "write out step by step; it runs as it is: leave out compile"
        )
    ]


def test_what_the_compiler_refuses_runs_as_it_is() -> None:
    def refuse(graph: fx.GraphModule, inputs: list[Any]) -> Callable[..., Any]:
        raise NotImplementedError("no such graph")

    one, other = make_pair(make_mlp(), sample(2), GRID)
    one.compile(backend=refuse)
    with pytest.warns(WidthWarning) as told:
        assert_same_steps(one, other, [sample(8, seed=seed) for seed in range(2)])
    assert len(told) == 1
    words = "expected torch.compile to take the network at every width, got BackendCompilerFailed: .*no such graph"
    assert re.match(words, str(told[0].message))
    assert str(told[0].message).endswith("it runs as it is there: leave out compile, or try another backend=")


def test_a_network_of_named_groups_is_refused() -> None:
    words = "compile needs a graph for each width, but this model is not traced; leave it out, or find the groups by"
    with pytest.raises(GroupError, match=words):
        make_declared().compile()


def test_the_bound_must_be_a_number() -> None:
    model = Elastic(make_mlp(), (sample(2),), law=GRID)
    with pytest.raises(WidthError, match="max_graphs must be a whole number, at least 1, got 0; use 16, or do not"):
        model.compile(max_graphs=0)


GRIDS = Elastic(make_mlp(), (torch.zeros(2, 6, dtype=torch.float64),))


@settings(deadline=None, max_examples=25)
@given(
    widths=st.integers(2, 6),
    lowest=st.floats(0.05, 0.6),
    step=st.integers(1, 3),
    distribution=st.sampled_from(["uniform", "log_uniform"]),
    sharing=st.sampled_from(["shared", "jittered", "independent"]),
    sandwich=st.sampled_from([None, 2, 4]),
    seed=st.integers(0, 1000),
)
def test_what_a_law_of_levels_draws_is_of_the_grid(seed: int, **changes: Any) -> None:
    law, engine = Law(**changes), GRIDS._engine
    grid = find_grid(engine, law)
    generator = make_generator(seed)
    for _ in range(5):
        for draw in law.draw(GRIDS.groups.sizes, generator):
            assert all(units in grid[name] for name, units in draw.items())
    # No level is left out, and no width is in the grid that no level stands for.
    assert all(len(units) <= len(law.levels) for units in grid.values())


def test_compiling_is_quiet_for_a_law_of_a_grid() -> None:
    with warnings.catch_warnings(record=True) as told:
        Elastic(make_mlp(), (sample(2),), law=GRID, round_to=4).compile(backend="eager")
        Elastic(make_mlp(), (sample(2),), law=Law(), round_to=4).compile(backend="eager")
    assert told == []


def test_the_grid_of_a_law_is_what_its_levels_are_in_units() -> None:
    model = Elastic(make_mlp(), (sample(2),), law=GRID)
    assert find_grid(model._engine, GRID) == {"0": {3, 6, 12}}
    assert find_grid(model._engine, Law()) == {"0": {12}}
    assert find_grid(model._engine, Law(step=2)) == {}
