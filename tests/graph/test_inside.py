"""Networks with branches, loops and scans have groups, and are at any width the small network of the same code."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._higher_order_ops.scan import scan
from torch._higher_order_ops.while_loop import while_loop
from torch.nn import functional

from tests.networks import LAW, assert_same
from tests.traps import Network
from tests.traps.soundness import assert_sound
from widthwise._shared import WidthError
from widthwise.elastic import Elastic
from widthwise.graph import as_example
from widthwise.slicing import SlicedNetwork

Function = Callable[[Any, Tensor], Tensor]


class StateSpace(nn.Module):
    """A selective scan of `width` channels, each with a state of `num_states` numbers [Gu & Dao 2023, algorithm 2]."""

    def __init__(self, width: int, num_states: int) -> None:
        super().__init__()
        self.into = nn.Linear(5, 2 * width)
        self.rate = nn.Linear(width, width)
        self.mix = nn.Linear(width, 2 * num_states)
        self.decay = nn.Parameter(torch.rand(width, num_states))
        self.out = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        u, gate = self.into(x).chunk(2, -1)
        rate = functional.softplus(self.rate(u))
        write, read = self.mix(u).chunk(2, -1)
        decay = -self.decay.exp()

        def step(state: Tensor, now: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
            u, rate, write, read = now
            state = torch.exp(rate[..., None] * decay) * state + (rate * u)[..., None] * write[:, None]
            return state, (state * read[:, None]).sum(-1)

        start = u.new_zeros(u.shape[0], *self.decay.shape)
        _, y = scan(step, start, tuple(each.transpose(0, 1) for each in (u, rate, write, read)))
        return self.out(y.transpose(0, 1) * functional.silu(gate))


def _branch(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    y = torch.cond(x.sum() > 0, lambda z: s.n(z) * z.mean(-1, True), lambda z: s.b(z).view(-1, 3, 2).flatten(1), (y,))
    return s.o(y)


def _branch_apart(s: Any, x: Tensor) -> Tensor:
    """The branches tie the units of both layers to each other."""
    return s.o(torch.cond(x.sum() > 0, lambda z: s.a(z) * 1, lambda z: s.b(s.h(z)), (x,)))


def _loop(s: Any, x: Tensor) -> Tensor:
    start = torch.zeros((), dtype=torch.int64)
    return s.o(while_loop(lambda i, _: i < 3, lambda i, y: (i + 1, s.b(y).tanh()), (start, s.a(x)))[1])


def _scan_units(s: Any, x: Tensor) -> Tensor:
    """A scan along units takes them one after another."""
    y = s.a(x)
    return s.o(scan(lambda h, z: (h + z, h * z), x[:, 0] * 0, y, dim=1)[1])


def _make(function: Function, **more: Any) -> Network:
    torch.manual_seed(0)
    parts = {"a": nn.Linear(5, 6), "b": nn.Linear(6, 6), "h": nn.Linear(5, 6), "n": nn.LayerNorm(6)}
    return Network(function, **parts, o=nn.Linear(6, 3), **more).eval()


SOUND: dict[str, tuple[Function, dict[str, int]]] = {
    "a branch": (_branch, {"a.0": 3, "a.1": 2}),
    "branches of other layers": (_branch_apart, {"h": 6, "a": 6}),
    "a loop": (_loop, {"a": 6}),
}


@pytest.mark.parametrize("name", SOUND)
def test_what_runs_inside_has_units_that_may_go(name: str) -> None:
    function, groups = SOUND[name]
    network = SlicedNetwork(_make(function), as_example((torch.rand(3, 5),)))
    assert network.groups.sizes == groups
    assert_sound(network)


def test_a_state_space_model_is_the_small_one_at_each_width() -> None:
    torch.manual_seed(0)
    net = StateSpace(8, 4).double()
    model = Elastic(net, (torch.randn(2, 7, 5, dtype=torch.float64),), law=LAW).eval()
    assert model.groups.sizes == {"into": 8, "mix": 4}
    assert str(model.verify()).startswith("sound")
    x = torch.randn(3, 4, 5, dtype=torch.float64)
    for width, num_states in ((8, 2), (3, 4), (1, 1)):
        small = model.extract({"into": width, "mix": num_states})
        plain = StateSpace(width, num_states).double()
        plain.load_state_dict(small.state_dict())
        assert type(small) is StateSpace
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            expected = plain(x)
        with model.at({"into": width, "mix": num_states}):
            got = model(x)
        assert_same(got.detach(), expected)
        got = model.extract({"into": width, "mix": num_states}, form="graph")
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            assert_same(got(x), expected)


def test_training_at_a_width_reaches_what_a_body_reads() -> None:
    model = Elastic(_make(_branch_apart), (torch.rand(3, 5),), law=LAW).train()
    with model.at({"a": 2, "h": 3}):
        model(-torch.rand(3, 5)).sum().backward()
    gradient = model.net.get_parameter("b.weight").grad
    assert gradient is not None
    assert gradient[:2, :3].all()
    assert not gradient[2:].any()
    assert not gradient[:, 3:].any()


def test_what_a_scan_steps_along_keeps_its_size() -> None:
    parts = {"a": nn.Linear(5, 8), "c": nn.Linear(5, 4), "d": nn.Linear(4, 3), "o": nn.Linear(8, 3)}
    net = Network(lambda s, x: _scan_units(s, x) + s.d(s.c(x).relu()), **parts).eval()
    groups = SlicedNetwork(net, as_example((torch.randn(3, 5),))).groups
    assert groups.sizes == {"c": 4}
    (axis,) = [axis for axis in groups.frozen if axis.target == "a.weight" and axis.axis == 0]
    assert axis.reason.startswith("torch.scan")
    assert axis.remedy == "nothing: these are positions, not units"


def test_a_rescaled_law_refuses_units_that_are_read_inside() -> None:
    with pytest.raises(WidthError, match="sums over them inside a branch or a loop; use rescale='none'"):
        Elastic(_make(_branch_apart), (torch.rand(3, 5),), law="paper")
