import math
from itertools import product
from statistics import NormalDist

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from widthwise.curves.proof.capital import BOLDEST, normal_capital, place_bets, settle_bets

LIMIT, LARGEST, HORIZON, CONFIDENCE = 0.2, 1.2, 8, 0.8
# A drop of 1, 0 or -1, less the limit.
OUTCOMES = (1 - LIMIT, -LIMIT, -1 - LIMIT)
# With these chances the mean drop is the limit: the border of what is to be proven.
FAIR = (0.35, 0.5, 0.15)


def capital(excess: list[float] | Tensor) -> Tensor:
    excess_N = torch.as_tensor(excess, dtype=torch.float64)
    bets_KN = place_bets(excess_N, largest=LARGEST, hoped=LIMIT, horizon=HORIZON, confidence=CONFIDENCE)
    return settle_bets(excess_N, bets_KN).exp()


def reference_capital(X: list[float], m: float, n: int, alpha: float) -> list[float]:
    """[WSR24] in its letters: K_t(m) = prod_i (1 + lambda_i (m - X_i)), its mean over bets made of X_1 .. X_{i-1}."""
    K, found, squares = [1.0, 1.0, 1.0], list[float](), LARGEST**2
    for i, X_i in enumerate(X, start=1):
        sigma = math.sqrt(squares / i)
        low = min(math.sqrt(2 * math.log(1 / alpha) / (n * sigma**2)), 0.9 / LARGEST)
        high = max(min(LIMIT / sigma**2, 0.9 / LARGEST), low)
        K = [K_j * (1 + bet * (m - X_i)) for K_j, bet in zip(K, (low, math.sqrt(low * high), high), strict=True)]
        found.append(sum(K) / 3)
        squares += (X_i - m) ** 2
    return found


def test_a_fair_game_wins_nothing_in_the_mean_however_one_stops() -> None:
    ended = stopped = 0.0
    for picks in product(range(3), repeat=6):
        chance = math.prod(FAIR[pick] for pick in picks)
        path = capital([OUTCOMES[pick] for pick in picks])
        ended += chance * float(path[-1])
        stopped += chance * next((float(value) for value in path if value >= 1.3), float(path[-1]))
    assert ended == pytest.approx(1, rel=1e-12)
    assert stopped == pytest.approx(1, rel=1e-12)


def test_a_game_beyond_the_limit_loses_in_the_mean() -> None:
    chances = (0.45, 0.45, 0.1)
    ended = sum(
        math.prod(chances[pick] for pick in picks) * float(capital([OUTCOMES[pick] for pick in picks])[-1])
        for picks in product(range(3), repeat=6)
    )
    assert ended < 1


@given(drops=st.lists(st.floats(-1, 1), min_size=1, max_size=30))
def test_the_method_is_its_reference(drops: list[float]) -> None:
    expected = reference_capital(drops, LIMIT, HORIZON, 1 - CONFIDENCE)
    torch.testing.assert_close(
        capital([drop - LIMIT for drop in drops]), torch.tensor(expected, dtype=torch.float64), rtol=1e-10, atol=0
    )


@given(excess=st.lists(st.floats(-LARGEST, LARGEST), min_size=2, max_size=20), place=st.integers(0, 19))
def test_bets_know_nothing_of_their_sample_or_of_later_ones(excess: list[float], place: int) -> None:
    place %= len(excess)
    changed = [*excess[:place], *(LARGEST - abs(value) for value in excess[place:])]
    before, after = (
        place_bets(torch.tensor(values).double(), largest=LARGEST, hoped=LIMIT, horizon=HORIZON, confidence=CONFIDENCE)
        for values in (excess, changed)
    )
    assert torch.equal(before[:, : place + 1], after[:, : place + 1])


@given(excess=st.lists(st.floats(-LARGEST, LARGEST), min_size=1, max_size=30), horizon=st.integers(1, 10**6))
def test_no_sample_takes_all(excess: list[float], horizon: int) -> None:
    excess_N = torch.tensor(excess).double()
    bets_KN = place_bets(excess_N, largest=LARGEST, hoped=LIMIT, horizon=horizon, confidence=CONFIDENCE)
    assert bool((bets_KN > 0).all())
    assert float((bets_KN * LARGEST).max()) <= BOLDEST + 1e-12


def reference_mixture(S: float, t: int, rho: float) -> float:
    """[WS+24]: the integral of exp(lambda S_t - lambda^2 t / 2) over half-normal lambda of scale rho."""
    step = rho / 2000
    weights = ((2 * NormalDist().pdf(x * step / rho) / rho, x * step) for x in range(20_000))
    return sum(step * weight * math.exp(bet * S - bet**2 * t / 2) for weight, bet in weights)


@pytest.mark.parametrize(("mean", "count"), [(-0.1, 50), (-0.02, 400), (0.03, 300)])
def test_the_normal_mixture_is_the_integral(mean: float, count: int) -> None:
    generator = torch.Generator().manual_seed(3)
    excess_N = mean + torch.randn(count, generator=generator, dtype=torch.float64)
    found = float(normal_capital(excess_N, horizon=500, confidence=0.95, first=10)[-1].exp())
    doubt = -2 * math.log(0.1)
    S = -float(excess_N.sum()) / float(excess_N.square().mean().sqrt())
    # The rectangle rule misses half of the first step.
    assert found == pytest.approx(reference_mixture(S, count, math.sqrt((doubt + math.log1p(doubt)) / 500)), rel=1e-3)


def test_the_printed_bound_of_the_mixture_is_nearly_it() -> None:
    # [WS+24], one-sided: sigma sqrt(2 (t rho^2 + 1) / (t rho)^2 log(1 + sqrt(t rho^2 + 1) / (2 alpha))).
    alpha, t, horizon = 0.05, 1000, 1000
    doubt = -2 * math.log(2 * alpha)
    g = (doubt + math.log1p(doubt)) / horizon * t + 1
    bound = math.sqrt(2 * g * math.log1p(math.sqrt(g) / (2 * alpha)) / ((g - 1) * t))
    # Half of the samples at each side of a mean at the bound, in units of the root of the mean square.
    spread = math.sqrt(1 - bound**2)
    excess_N = torch.tensor([-bound - spread, -bound + spread]).double().repeat(t // 2)
    found = float(normal_capital(excess_N, horizon=horizon, confidence=1 - alpha, first=1)[-1])
    assert found == pytest.approx(math.log(1 / alpha), abs=0.3)


def test_few_samples_are_no_proof_where_sums_have_to_be_normal() -> None:
    path_N = normal_capital(-torch.ones(30, dtype=torch.float64), horizon=100, confidence=0.9, first=20)
    assert torch.isinf(path_N[:19]).all()
    assert float(path_N[19]) > math.log(10)


def test_equal_numbers_of_zero_say_nothing() -> None:
    path_N = normal_capital(torch.zeros(30, dtype=torch.float64), horizon=100, confidence=0.9, first=1)
    assert float(path_N.max()) < math.log(10)


@pytest.mark.parametrize("kind", ["bets", "normal"])
def test_a_mean_at_the_border_is_rarely_taken_for_one_below(kind: str) -> None:
    generator, runs, alpha = torch.Generator().manual_seed(5), 400, 0.1
    false = 0
    for _ in range(runs):
        uniform_N = torch.rand(1000, generator=generator, dtype=torch.float64)
        excess_N = (uniform_N < 0.1).double() - (uniform_N > 0.95).double() - 0.05
        if kind == "bets":
            bets_KN = place_bets(excess_N, largest=1.05, hoped=0.05, horizon=1000, confidence=1 - alpha)
            path_N = settle_bets(excess_N, bets_KN)
        else:
            path_N = normal_capital(excess_N, horizon=1000, confidence=1 - alpha, first=100)
        false += float(path_N.max()) >= math.log(1 / alpha)
    assert 0 < false / runs <= alpha + 5 * math.sqrt(alpha * (1 - alpha) / runs)


def test_the_capital_of_a_few_samples() -> None:
    assert capital([-0.2, 0.8, -0.2, -1.2]).tolist() == pytest.approx(
        [1.10571969, 0.45345136, 0.52146907, 0.99079123], rel=1e-6
    )
