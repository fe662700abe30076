import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import WidthError
from widthwise.elastic.laws.distillation import Distillation

SHAPES = st.tuples(st.integers(1, 5), st.integers(2, 7))
SEEDS = st.integers(0, 2**32 - 1)


def logits(shape: tuple[int, int], seed: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return scale * torch.randn(shape, generator=generator, dtype=torch.float64)


def gradient(distillation: Distillation, narrow: torch.Tensor, full: torch.Tensor) -> torch.Tensor:
    narrow = narrow.clone().requires_grad_()
    distillation.soft_loss(narrow, full).backward()
    assert narrow.grad is not None
    return narrow.grad


@given(shape=SHAPES, seed=SEEDS, temperature=st.floats(0.5, 4))
def test_equal_outputs_have_no_gradient(shape: tuple[int, int], seed: int, temperature: float) -> None:
    same = logits(shape, seed)
    for divergence in ("cross_entropy", "adaptive"):
        distillation = Distillation(temperature=temperature, divergence=divergence)
        assert gradient(distillation, same, same).abs().max() < 1e-12


@given(shape=SHAPES, seed=SEEDS, temperature=st.floats(0.5, 4))
def test_cross_entropy_has_the_gradient_of_the_divergence(
    shape: tuple[int, int], seed: int, temperature: float
) -> None:
    narrow, full = logits(shape, seed), logits(shape, seed + 1)
    found = gradient(Distillation(temperature=temperature), narrow, full)
    expected = ((narrow / temperature).softmax(-1) - (full / temperature).softmax(-1)) * temperature / shape[0]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@given(shape=SHAPES, seed=SEEDS)
def test_the_adaptive_one_is_the_larger_divergence_with_its_gradient(shape: tuple[int, int], seed: int) -> None:
    """Outputs so alike that nothing is clipped."""
    narrow, full = logits(shape, seed, 0.3).requires_grad_(), logits(shape, seed + 1, 0.3)
    q, p = narrow.softmax(-1), full.softmax(-1)
    exact = torch.maximum((p * (p / q).log()).sum(-1), ((q * q / p).sum(-1) - 1) / 2).mean()
    (expected,) = torch.autograd.grad(exact, narrow)
    distillation = Distillation(divergence="adaptive")
    assert distillation.soft_loss(narrow, full).item() == pytest.approx(exact.item(), rel=1e-9, abs=1e-15)
    torch.testing.assert_close(gradient(distillation, narrow.detach(), full), expected, rtol=1e-9, atol=1e-12)


def test_what_is_next_to_impossible_for_the_full_network_is_clipped() -> None:
    narrow = torch.zeros(1, 2, dtype=torch.float64)
    steep = gradient(Distillation(divergence="adaptive"), narrow, torch.tensor([[0.0, 50.0]], dtype=torch.float64))
    # q = 1/2 each, q/p is 1/2 and e^50 / 2, clipped to 5: the gradient is q r - q sum(q r), with r = (5, 1/2).
    assert steep.tolist() == [[pytest.approx(0.5 * (5 - 2.75)), pytest.approx(0.5 * (0.5 - 2.75))]]


@given(shape=SHAPES, seed=SEEDS)
def test_nothing_flows_into_the_full_network(shape: tuple[int, int], seed: int) -> None:
    full = logits(shape, seed).requires_grad_()
    for divergence in ("cross_entropy", "adaptive"):
        loss = Distillation(divergence=divergence).soft_loss(logits(shape, seed + 1).requires_grad_(), full)
        loss.backward()
        assert full.grad is None


def test_pinned_value() -> None:
    loss = Distillation().soft_loss(torch.zeros(1, 4), torch.tensor([[9.0, 0.0, 0.0, 0.0]]))
    assert loss.item() == pytest.approx(math.log(4), rel=1e-6)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"weight": 0.0}, "weight must lie in (0, 1], got 0.0; leave out the distillation for none"),
        ({"weight": True}, "weight must lie in (0, 1], got True; leave out the distillation for none"),
        ({"temperature": 0}, "temperature must be above 0, got 0; use 1.0 for the outputs as they are"),
        (
            {"divergence": "hinge"},
            "divergence must be one of cross_entropy, adaptive, got 'hinge'; use one of these",
        ),
    ],
)
def test_a_setting_out_of_its_range_is_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(WidthError) as error:
        Distillation(**settings)  # pyright: ignore[reportArgumentType]
    assert str(error.value) == text
