"""What loops do around a model: mixed precision, gradients of several batches, checkpoints, time before batch."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import CheckpointError, checkpoint

from tests.networks import CASES, assert_same, make_generator, reset_model
from widthwise.elastic import Elastic, Law
from widthwise.elastic.step import start_step
from widthwise.zoo.models import MLP

FOUR = Law(lowest=1 / 10)


class Recomputed(nn.Module):
    """Keeps the input of its middle for backward, and not what comes out of each layer there, where told so."""

    def __init__(self, is_recomputed: bool) -> None:
        super().__init__()
        self.first, self.body, self.last = nn.Linear(6, 10), nn.Linear(10, 10), nn.Linear(10, 3)
        self._is_recomputed = is_recomputed

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.first(x)
        out = checkpoint(self._run, hidden, use_reentrant=False) if self._is_recomputed else self._run(hidden)
        return self.last(out)

    def _run(self, hidden: Tensor) -> Tensor:
        return torch.tanh(self.body(hidden))


class Tagger(nn.Module):
    """A recurrent network with time along the first axis."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(3, 10, 2), nn.Linear(10, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0])


def sample(batch: int = 8, seed: int = 1, dtype: torch.dtype = torch.float64) -> Tensor:
    return CASES["mlp"].sample(batch, make_generator(seed), dtype)[0][0]


def gradients(model: nn.Module) -> dict[str, Tensor | None]:
    return {name: parameter.grad for name, parameter in model.named_parameters()}


@pytest.mark.slow
def test_autocast_around_a_call_computes_in_its_dtype_and_keeps_gradients_in_that_of_the_parameters() -> None:
    model = copy.deepcopy(reset_model("mlp", FOUR)).float()
    x = sample(dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(x)
        assert torch.equal(model.eval()(x), model.net(x))
        with model.at(0.5):
            expected = model.extract(0.5)(x)
            assert torch.equal(model(x), expected)
    assert out.dtype == torch.bfloat16
    out.float().square().mean().backward()
    assert {grad.dtype for grad in gradients(model).values() if grad is not None} == {torch.float32}
    assert all(grad is not None and grad.isfinite().all() for grad in gradients(model).values())


def test_gradients_of_several_calls_add_up() -> None:
    model = reset_model("mlp", FOUR)
    alone: list[dict[str, Tensor]] = []
    for seed in (1, 2):
        model.zero_grad()
        model(sample(seed=seed)).square().sum().backward()
        alone.append({name: grad.clone() for name, grad in gradients(model).items() if grad is not None})
    model = reset_model("mlp", FOUR)
    for seed in (1, 2):
        model(sample(seed=seed)).square().sum().backward()
    assert_same(gradients(model), {name: alone[0][name] + alone[1][name] for name in alone[0]})


@pytest.mark.slow
def test_a_checkpoint_inside_the_network_changes_no_gradient() -> None:
    found: list[dict[str, Tensor | None]] = []
    state = Recomputed(False).double().state_dict()
    for is_recomputed in (False, True):
        net = Recomputed(is_recomputed).double()
        net.load_state_dict(state)
        model = Elastic(net, (sample(2),), law=FOUR, generator=make_generator(0)).train()
        model(sample()).square().sum().backward()
        found.append(gradients(model.net))
    assert_same(*found)


def test_a_checkpoint_around_the_model_is_refused_since_it_would_draw_anew() -> None:
    model = reset_model("mlp", FOUR)
    x = sample().requires_grad_()
    out = checkpoint(model, x, use_reentrant=False)
    with pytest.raises(CheckpointError, match="different metadata"):
        out.sum().backward()


@pytest.mark.slow
def test_the_batch_of_a_recurrent_network_is_split_where_time_comes_first() -> None:
    net = Tagger().double()
    x = torch.randn(4, 9, 3, generator=make_generator(1), dtype=torch.float64)
    model = Elastic(net, (x[:, :2],), law=FOUR, batch_dim=1, generator=make_generator(0)).train()
    draws = start_step(model._engine, FOUR, make_generator(0)).widths()
    out = model(x)
    parts: list[Tensor] = []
    for widths, part in zip(draws, x.split([3, 2, 2, 2], dim=1), strict=True):
        parts.append(model.extract(widths)(part))
    assert_same(out, torch.cat(parts, dim=1))


@pytest.mark.slow
def test_a_compiled_model_trains_as_it_is_and_is_compiled_at_full_width_only() -> None:
    # Backends see one graph for each program that is compiled.
    graphs: list[torch.fx.GraphModule] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    net = MLP([6, 10, 3]).double()
    model = Elastic(net, (sample(2).flatten(1),), law=FOUR, generator=make_generator(0)).train()
    plain = copy.deepcopy(model)
    compiled, x = torch.compile(model, backend=backend), sample()
    assert_same(compiled(x), plain(x))
    with model.at(0.5), plain.at(0.5):
        assert_same(compiled(x), plain(x))
    assert not graphs
    assert_same(compiled.eval()(x), net(x))
    assert len(graphs) == 1
    torch.compiler.reset()
