"""A compiled model trains as the plain one does, on one graph for each width of its grid."""

import copy
import pickle
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.elastic.compiling import GRID, Counter, assert_same_step, make_mlp, make_pair, sample
from tests.networks import CASES, assert_same, make_generator, make_model
from widthwise.elastic import Elastic, Law, make_law

LAWS = {
    "chunks": GRID,
    "one width": make_law("fjord", widths=(0.25, 0.5, 1.0)),
    "a width for each sample": make_law("triangular", widths=3, lowest=0.25),
    "sandwich": make_law("us_nets", widths=4, lowest=0.25),
    "causal sandwich": Law(widths=3, lowest=0.25, sandwich=3, reach="head"),
    "rescaled": Law(widths=3, lowest=0.25, rescale="inverse"),
    "step": Law(step=4, lowest=0.25),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", LAWS)
def test_a_compiled_step_is_the_plain_one(name: str) -> None:
    one, other = make_pair(make_mlp(), sample(2), LAWS[name])
    one.compile(backend=Counter("aot_eager" if name == "chunks" else "eager"))
    for seed in range(3):
        assert_same_step(one, other, sample(8, seed=seed))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["conv", "join", "dict", "tokens", "pair", "loss"])
def test_every_network_computes_the_same_compiled(name: str) -> None:
    model, plain, counter = make_model(name, law=GRID).train(), make_model(name, law=GRID).train(), Counter()
    model.compile(backend=counter)
    args, kwargs = CASES[name].sample(8, make_generator(1), torch.float64)
    results: list[Any] = []
    for each in (model, plain):
        each.generator.manual_seed(0)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            results.append(each(*args, **kwargs))
    assert_same(*results)
    for result in results:
        sum(leaf.sum() for leaf in torch.utils._pytree.tree_leaves(result) if isinstance(leaf, Tensor)).backward()
    for mine, its in zip(model.parameters(), plain.parameters(), strict=True):
        assert_same(mine.grad, its.grad)
    assert_same(list(model.buffers()), list(plain.buffers()))
    assert counter.num_graphs == len({tuple(each.values()) for each in model.last_widths})


@pytest.mark.slow
@pytest.mark.parametrize("law", [GRID, make_law("fjord", widths=(0.25, 0.5, 1.0)), Law(step=4, lowest=0.25)])
def test_a_width_has_one_graph_in_each_mode_whatever_the_batch(law: Law) -> None:
    model, counter, seen = Elastic(make_mlp(), (sample(2),), law=law).train(), Counter(), set[Any]()
    model.compile(backend=counter)
    for batch in (32, 32, 30, 8, 17, 32, 64, 31):
        model(sample(batch)).sum().backward()
        seen |= {tuple(each.values()) for each in model.last_widths}
    assert len(seen) > 1
    assert counter.num_graphs == len(seen)
    model.eval()
    for batch in (4, 5, 6):
        with torch.no_grad(), model.at(0.5):
            model(sample(batch))
        model(sample(batch))
    assert counter.num_graphs == len(seen) + 1


@pytest.mark.slow
@pytest.mark.parametrize("own", ["unit_affine", "octave_weights"])
def test_what_an_octave_has_of_its_own_learns_the_same(own: str) -> None:
    one, other = make_pair(make_mlp(), sample(2), make_law(GRID, **{own: True}))
    one.compile(backend=Counter())
    for model in (one, other):
        for parameter in getattr(model, own).parameters():
            nn.init.normal_(parameter, generator=make_generator(5))
    assert_same_step(one, other, sample(8))


@pytest.mark.slow
def test_statistics_follow_the_full_width_alone() -> None:
    net = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 6, 3), nn.Flatten())
    net = nn.Sequential(net, nn.Linear(24, 3)).double().to(memory_format=torch.channels_last)
    one, other = make_pair(net, sample(2, 2, 6, 6), GRID)
    one.compile(backend=Counter())
    for seed in range(3):
        assert_same_step(one, other, sample(8, 2, 6, 6, seed=seed).to(memory_format=torch.channels_last))
    assert int(one.net[0][1].num_batches_tracked) == 3


def test_dropout_draws_new_units_in_every_step() -> None:
    net = nn.Sequential(nn.Linear(6, 64), nn.Dropout(0.5), nn.Linear(64, 3)).double()
    one, other = make_pair(net, sample(2), make_law("fjord", widths=(0.5, 1.0)))
    one.compile(backend=Counter())
    assert_same_step(one, other, sample(8))
    with one.at(0.5):
        assert not torch.equal(one(sample(8)), one(sample(8)))


@pytest.mark.slow
def test_two_weights_of_one_gradient_do_not_share_its_memory() -> None:
    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other, self.head = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head((self.one(x) + self.other(x)).tanh())

    one, other = make_pair(Twins().double(), sample(2), GRID)
    one.compile(backend=Counter("aot_eager"))
    for seed in range(2):
        assert_same_step(one, other, sample(8, seed=seed))


class Careful(nn.Module):
    """Leaves a caller's autocast for a moment."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.mid, self.head = nn.Linear(6, 8), nn.Linear(8, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.fc(x).relu()
        with torch.autocast("cpu", enabled=False):
            hidden = self.mid(hidden.float()).tanh()
        return self.head(hidden)


@pytest.mark.slow
@pytest.mark.parametrize("make", [lambda: make_mlp().float(), Careful])
def test_autocast_around_it_is_that_of_the_plain_step(make: Callable[[], nn.Module]) -> None:
    one, other = make_pair(make(), sample(2).float(), make_law("fjord", widths=(0.5, 1.0)))
    counter = Counter()
    one.compile(backend=counter)
    for dtype in (None, torch.bfloat16):
        with one.at(0.5), other.at(0.5), torch.autocast("cpu", dtype=dtype, enabled=dtype is not None):
            got, expected = one(sample(4).float()), other(sample(4).float())
        assert torch.equal(got, expected)
        assert got.dtype is expected.dtype
    # A graph holds for one state of autocast.
    assert counter.num_graphs == 2


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_has_no_graphs(make_copy: Callable[[Elastic], Elastic]) -> None:
    model, x = Elastic(make_mlp(), (sample(2),), law=GRID).train(), sample(8)
    model.compile(backend="eager")
    model(x)
    other = make_copy(model)
    counter = Counter()
    before = model.generator.get_state()
    expected = model(x)
    other.generator.set_state(before)
    assert_same(other(x), expected)
    other.compile(backend=counter)
    other(x)
    assert counter.num_graphs


def test_state_and_extract_are_those_of_the_network() -> None:
    model, plain = Elastic(make_mlp(), (sample(2),), law=GRID).train(), make_mlp()
    keys = list(plain.state_dict())
    model.compile(backend="eager")
    model(sample(8))
    assert list(model.state_dict()) == keys
    assert type(model.extract(0.5)) is nn.Sequential
    plain.load_state_dict(model.state_dict())
    assert_same(model.eval()(sample(4)), plain(sample(4)))


def test_an_error_of_the_network_is_its_own() -> None:
    model = Elastic(make_mlp(), (sample(2),), law=GRID).train()
    model.compile(backend="eager")
    with pytest.raises(ValueError, match="must have shape"):
        model(sample(8, 5))


@pytest.mark.slow
def test_a_submodule_is_compiled_alone() -> None:
    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.encoder = nn.Linear(4, 6), make_mlp()

        def forward(self, x: Tensor) -> Tensor:
            if x.sum() > 1e9:
                return x
            return self.encoder(self.first(x).tanh())

    one, other = make_pair(Outer().double(), sample(2, 4), GRID, submodule="encoder")
    counter = Counter()
    one.compile(backend=counter)
    for seed in range(2):
        assert_same_step(one, other, sample(8, 4, seed=seed))
    assert counter.num_graphs == 3


def test_the_whole_model_may_be_given_to_torch_compile_too() -> None:
    one, other = make_pair(make_mlp(), sample(2), GRID)
    counter = Counter()
    one.compile(backend=counter)
    outer: Any = torch.compile(one, backend="eager")
    assert_same(outer(sample(8)), other(sample(8)))
    assert counter.num_graphs == 3


@pytest.mark.slow
def test_the_default_backend_computes_the_same() -> None:
    if shutil.which("g++") is None:
        pytest.skip("the default backend of torch.compile needs a C++ compiler, which is not installed here")
    one, other = make_pair(make_mlp(), sample(2), make_law("fjord", widths=(0.5, 1.0)))
    one.compile()
    for seed in range(3):
        assert_same_step(one, other, sample(8, seed=seed))
