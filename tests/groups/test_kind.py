from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, fx, nn
from torch.nn import functional

from tests.groups.test_find import groups_of, make
from tests.traps import SOUND, Network
from widthwise.graph import (
    Atom,
    Frozen,
    Inference,
    Outcome,
    Product,
    Solver,
    StateAxes,
    Sum,
    Term,
    as_example,
    infer_axes,
)
from widthwise.graph import trace_network as trace
from widthwise.groups.kind import find_inner, find_normalized, has_attention

H, D, E = Atom(1, 2), Atom(2, 4), Atom(3, 5)
TRACE = trace(nn.Linear(5, 3), as_example((torch.randn(3, 5),)), training=False)


def infer(function: Callable[..., Any], *shape: int, **parts: nn.Module) -> Inference:
    net = Network(function, **parts).eval()
    solver = Solver()
    return infer_axes(trace(net, as_example((torch.randn(shape),)), training=False), StateAxes(net, solver), solver)


def kinds(function: Callable[..., Any], *shape: int, **parts: nn.Module) -> dict[str, str]:
    """The kind of each group of a network by its name."""
    net = Network(function, **parts).eval()
    return {group.name: group.kind for group in groups_of(net, torch.randn(shape))}


def project(s: Any, y: Tensor, heads: int = 2) -> list[Tensor]:
    return [m(y).unflatten(-1, (heads, -1)).transpose(1, 2) for m in (s.q, s.k, s.v)]


def attention(width: int = 6) -> dict[str, nn.Module]:
    return {"q": nn.Linear(width, 8), "k": nn.Linear(width, 8), "v": nn.Linear(width, 8), "o": nn.Linear(8, width)}


BY_HAND: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "by the operator": functional.scaled_dot_product_attention,
    "by matrix products": lambda q, k, v: (q @ k.mT * 0.5).softmax(-1) @ v,
    "by letters": lambda q, k, v: torch.einsum(
        "bhij,bhjd->bhid", (torch.einsum("bhid,bhjd->bhij", q, k) * 0.5).softmax(-1), v),
}  # fmt: skip


@pytest.mark.parametrize("how", BY_HAND)
def test_an_attention_has_heads_and_widths_inside_them(how: str) -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        return s.o(BY_HAND[how](*project(s, x)).transpose(1, 2).flatten(2))

    assert kinds(run, 3, 7, 6, **attention()) == {"q.heads": "heads", "q.query": "query", "v.value": "value"}


@pytest.mark.parametrize("name", ["keys repeated in place", "keys repeated side by side"])
def test_queries_that_share_a_repeated_key_are_no_heads_of_their_own(name: str) -> None:
    assert {group.kind for group in make(SOUND[name])} == {"heads", "query", "value"}


def test_queries_that_share_a_key_in_the_operator_are_told_apart() -> None:
    found = make(SOUND["keys shared by the operator"])
    assert {group.name: group.kind for group in found} == {
        "q.heads": "heads", "q.shared": "shared", "q.query": "query", "v.value": "value",
    }  # fmt: skip


@pytest.mark.parametrize("norm", [nn.LayerNorm, nn.RMSNorm])
@pytest.mark.parametrize("is_first", [True, False])
def test_what_a_residual_sum_carries_is_a_stream(norm: type[nn.Module], is_first: bool) -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        y = s.a(x)
        z = y + s.d(s.u(s.n(y))) if is_first else s.n(y + s.d(s.u(y)))
        return s.r(z)

    found = kinds(run, 3, 5, a=nn.Linear(5, 6), n=norm(6), u=nn.Linear(6, 12), d=nn.Linear(12, 6), r=nn.Linear(6, 2))
    assert found == {"a": "stream", "u": "units"}


def test_a_difference_carries_a_stream_too() -> None:
    found = kinds(lambda s, x: s.r(s.a(x) - s.d(s.a(x))), 3, 5, a=nn.Linear(5, 6), d=nn.Linear(6, 6), r=nn.Linear(6, 2))
    assert found == {"a": "units"}
    hidden = nn.Sequential(nn.Linear(5, 6), nn.ReLU())
    found = kinds(
        lambda s, x: s.r(torch.sub(y := s.a(x), s.d(y))), 3, 5, a=hidden, d=nn.Linear(6, 6), r=nn.Linear(6, 2)
    )
    assert found == {"a.0": "stream"}


def test_a_sum_of_two_that_share_only_the_input_is_no_stream() -> None:
    found = kinds(lambda s, x: s.r(s.a(x) + s.b(x)), 3, 5, a=nn.Linear(5, 6), b=nn.Linear(5, 6), r=nn.Linear(6, 2))
    assert found == {"a": "units"}


def test_a_stream_of_a_convolutional_network_is_one() -> None:
    def run(s: Any, x: Tensor) -> Tensor:
        y = s.a(x)
        return s.r((y + s.d(y.relu())).mean((2, 3)))

    parts = {"a": nn.Conv2d(3, 6, 1), "d": nn.Conv2d(6, 6, 3, padding=1), "r": nn.Linear(6, 2)}
    assert kinds(run, 2, 3, 4, 5, **parts) == {"a": "stream"}


def inner(*made: Term, heads: Term | None = None) -> set[Atom]:
    """What lies inside where axes are made one after the other, and an attention noted some of them as heads."""
    solver, graph = Solver(), fx.Graph()
    if heads is not None:
        solver.note(heads, "heads")
    axes = {graph.placeholder("x"): ((each,),) for each in made}
    outcomes = {node: Outcome(outputs=each) for node, each in axes.items()}
    return find_inner(Inference(trace=TRACE, solver=solver, axes=axes, outcomes=outcomes, reads={}))


def test_the_largest_factor_is_cut_where_an_axis_is_first_made() -> None:
    assert inner(Product((H, D)), E) == {H}
    assert inner(Product((H, D)), Product((D, E))) == {H}
    assert inner(D, Product((D, E))) == set()
    assert inner(Product((Frozen(3, "three"), H, D, E))) == {H, D}
    assert inner(Product((H, H))) == set()


def test_of_factors_of_one_size_the_first_is_cut() -> None:
    other = Atom(4, D.size)
    assert inner(Product((D, other))) == {other}
    assert inner(Product((other, D))) == {D}


def test_the_heads_of_an_attention_are_cut_before_larger_factors() -> None:
    assert inner(Product((H, D)), heads=H) == {D}
    assert inner(Product((D, H)), heads=H) == {D}
    assert inner(Product((H, D)), heads=E) == {H}


def test_segments_have_a_largest_factor_each() -> None:
    assert inner(Sum((Product((H, D)), E))) == {H}
    assert inner(Product((H, Sum((D, E))))) == {H}
    assert inner(Sum((H, D))) == set()


def test_a_factor_that_is_frozen_leaves_the_other_one() -> None:
    assert inner(Product((Frozen(2, "heads"), D))) == set()


@pytest.mark.parametrize("how", BY_HAND)
def test_a_network_attends_by_the_operator_or_by_hand(how: str) -> None:
    found = infer(lambda s, x: s.o(BY_HAND[how](*project(s, x)).transpose(1, 2).flatten(2)), 3, 7, 6, **attention())
    assert has_attention(found)


@pytest.mark.parametrize(
    "function",
    [
        lambda s, x: s.r(s.a(x)).softmax(-1),
        lambda s, x: s.r(s.a(x) @ s.a(x).mT @ s.a(x)),
        lambda s, x: s.r(s.a(x).softmax(1) @ s.w),
    ],
    ids=["a softmax alone", "products alone", "a product with a parameter"],
)
def test_a_softmax_or_products_alone_are_no_attention(function: Callable[..., Any]) -> None:
    found = infer(function, 3, 7, 5, a=nn.Linear(5, 6), r=nn.Linear(6, 2), w=nn.Parameter(torch.randn(6, 6)))  # pyright: ignore[reportArgumentType]
    assert not has_attention(found)


@pytest.mark.parametrize(
    ("function", "is_normalized"),
    [
        (lambda s, x: s.r(functional.layer_norm(s.a(x), (6,))), True),
        (lambda s, x: s.r(functional.rms_norm(s.a(x), (6,))), True),
        (lambda s, x: s.r(s.a(x) * s.a(x).square().mean(-1, True).rsqrt()), True),
        (lambda s, x: s.r(s.a(x).mean(1)), False),
        (lambda s, x: s.r(s.a(x)), False),
    ],
    ids=["layer norm", "rms norm", "a mean of squares", "a mean of positions", "none"],
)
def test_units_of_which_means_are_taken_are_normalized(function: Callable[..., Any], is_normalized: bool) -> None:
    found = infer(function, 3, 7, 5, a=nn.Linear(5, 6), r=nn.Linear(6, 2))
    assert {atom.size for atom in find_normalized(found)} == ({6} if is_normalized else set())
