"""A state that is handed from call to call: full wide outside, a prefix of it inside a narrow run."""

import copy
import math
from functools import cache

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic import Elastic, Law

FOUR = Law(lowest=1 / 10)
State = tuple[Tensor, Tensor]


class LanguageModel(nn.Module):
    """A stacked LSTM that takes up where it left off."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.lstm, self.head = nn.Embedding(9, 6), nn.LSTM(6, 10, 2), nn.Linear(10, 9)

    def forward(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        out, state = self.lstm(self.embed(tokens), state)
        return self.head(out), state


class Cell(nn.Module):
    """One step, with a batch norm of the new state and a number that is the root of its width."""

    def __init__(self) -> None:
        super().__init__()
        self.cell, self.norm, self.head = nn.GRUCell(4, 10), nn.BatchNorm1d(10), nn.Linear(10, 3)

    def forward(self, x: Tensor, *, hidden: Tensor) -> dict[str, Tensor]:
        hidden = self.cell(x, hidden)
        return {"y": self.head(self.norm(hidden) / math.sqrt(hidden.shape[-1])), "hidden": hidden}


def tokens(batch: int = 8, seed: int = 1) -> Tensor:
    return torch.randint(0, 9, (5, batch), generator=make_generator(seed))


def normal(*shape: int, seed: int = 2) -> Tensor:
    return torch.randn(shape, generator=make_generator(seed), dtype=torch.float64)


def start(batch: int = 8, seed: int = 2) -> State:
    return normal(2, batch, 10, seed=seed), normal(2, batch, 10, seed=seed + 1)


@cache
def shared() -> Elastic:
    net = LanguageModel().double().eval()
    return Elastic(net, (tokens(2), start(2)), law=FOUR, batch_dim=1, carried="state", generator=make_generator(0))


def make_cell() -> Elastic:
    example = {"x": normal(4, 4), "hidden": normal(4, 10)}
    return Elastic(Cell().double(), example, law=FOUR, carried="hidden", generator=make_generator(0))


@pytest.mark.slow
def test_units_of_a_carried_state_shrink_and_every_check_finds_them_sound() -> None:
    model = shared()
    assert model.groups.sizes == {"embed": 6, "lstm": 10}
    assert not model.verify().frozen
    assert make_cell().verify().is_sound


def test_a_narrow_run_reads_the_prefix_and_leaves_the_rest_as_it_was() -> None:
    model, x, state = shared().eval(), tokens(), start()
    with model.at({"lstm": 4}):
        y, new = model(x, state)
    other = tuple(torch.cat([one[..., :4], 7 + one[..., 4:]], dim=-1) for one in state)
    with model.at({"lstm": 4}):
        again, _ = model(x, other)
    assert torch.equal(again, y)
    for before, after in zip(state, new, strict=True):
        assert after.shape == before.shape
        assert torch.equal(after[..., 4:], before[..., 4:])
        assert not torch.isclose(after[..., :4], before[..., :4]).any()


def test_the_prefix_is_what_a_network_of_that_width_computes() -> None:
    model, x, state = shared().eval(), tokens(), start()
    small = nn.LSTM(6, 4, 2).double()
    for name, parameter in small.named_parameters():
        large = getattr(model.net.lstm, name).detach()
        gates = large.reshape(4, 10, -1)[:, :4].reshape(16, -1).squeeze(-1)
        with torch.no_grad():
            parameter.copy_(gates[..., : parameter.shape[-1]] if parameter.dim() == 2 else gates)
    out, expected = small(model.net.embed(x), tuple(one[..., :4].contiguous() for one in state))
    with model.at({"lstm": 4}):
        y, new = model(x, state)
    assert_same(y, nn.functional.linear(out, model.net.head.weight[:, :4], model.net.head.bias))
    assert_same(tuple(one[..., :4] for one in new), expected)


def test_full_width_is_the_network() -> None:
    model, x, state = shared(), tokens(), start()
    assert_same(model.eval()(x, state), model.net(x, state))
    with model.train().at(1.0):
        assert_same(model(x, state), model.net(x, state))


def test_what_is_extracted_takes_and_gives_states_of_full_width() -> None:
    model, x, state = shared().eval(), tokens(), start()
    small = model.extract({"lstm": 4})
    with model.at({"lstm": 4}):
        assert_same(small(x, state), model(x, state))
    with pytest.raises(WidthError, match="form"):
        model.extract({"lstm": 4}, form="module")


def test_rows_go_through_all_strata_in_turns_and_their_states_come_back_whole() -> None:
    model, x, state = shared().train(), tokens(), start()
    model.generator.manual_seed(0)
    touched: list[list[int]] = []
    for _ in range(30):
        y, new = model(x, state)
        assert y.shape == (5, 8, 9)
        changed = (new[0] != state[0]).all(dim=0)
        assert torch.equal(changed, changed.sort(dim=-1, descending=True).values)
        touched.append(changed.sum(-1).tolist())
    widths = torch.tensor(touched)
    # Of 30 draws each row has one in four at full width: a row without any has a probability of 2e-4.
    assert bool(((widths == 10).sum(0) > 0).all())
    assert bool(((widths <= 2).sum(0) > 0).all())
    assert bool(((widths == 10).sum(1) >= 2).all())


def test_truncated_backpropagation_trains_all_of_the_parameters() -> None:
    model = copy.deepcopy(shared()).train()
    before = {name: parameter.detach().clone() for name, parameter in model.net.named_parameters()}
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    state = (torch.zeros(2, 8, 10).double(), torch.zeros(2, 8, 10).double())
    for step in range(3):
        y, state = model(tokens(seed=step), tuple(one.detach() for one in state))
        nn.functional.cross_entropy(y.flatten(0, 1), tokens(seed=step + 1).flatten()).backward()
        optimiser.step()
        optimiser.zero_grad()
    assert all((parameter != before[name]).any() for name, parameter in model.net.named_parameters())
    assert all(one.isfinite().all() and one.any() for one in state)


@pytest.mark.slow
def test_running_statistics_follow_the_rows_that_ran_at_full_width() -> None:
    model = make_cell().train()
    x, hidden = normal(8, 4), normal(8, 10)
    for _ in range(3):
        before = model.net.norm.running_mean.clone()
        new = model(x, hidden=hidden)["hidden"]
        full = (new != hidden).all(dim=-1).nonzero().flatten()
        # Two rows each; those of a wide stratum may have been rounded to full width, too.
        candidates = [new[rows].mean(0) for rows in full.split(2)]
        expected = [0.9 * before + 0.1 * mean for mean in candidates]
        assert any(torch.allclose(model.net.norm.running_mean, one, rtol=0, atol=1e-12) for one in expected)


def test_a_state_that_cannot_be_found_is_an_error() -> None:
    net, example = LanguageModel().double(), (tokens(2), start(2))
    with pytest.raises(TraceError, match=r"^carried must name an input among tokens, state, got 'hidden'; name the "):
        Elastic(net, example, batch_dim=1, carried="hidden")
    with pytest.raises(TraceError, match=r"but 0 outputs have the shapes of tokens; return it as one output, as in "):
        Elastic(net, example, batch_dim=1, carried="tokens")
    message = "^expected submodule= or carried=, got both; a state of lstm stays full, so leave out carried=$"
    with pytest.raises(GroupError, match=message):
        Elastic(net, example, batch_dim=1, carried="state", submodule="lstm")
    with pytest.raises(GroupError, match=r"strict= or carried= beside it"):
        Elastic(net, example, batch_dim=1, carried="state", groups=[{"embed.weight": "_ n"}])


def test_without_a_name_the_units_of_a_state_keep_their_size() -> None:
    model = Elastic(LanguageModel().double(), (tokens(2), start(2)), batch_dim=1, law=FOUR)
    assert model.groups.sizes == {"embed": 6}
