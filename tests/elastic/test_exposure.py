import math

import pytest
import torch

from tests.conftest import RandomStateCheck
from tests.networks import make_generator, make_model
from widthwise.elastic import LAWS, Elastic, Law, make_law
from widthwise.elastic.exposure import measure_exposure
from widthwise.elastic.step import reached_groups

# Of shares; exposure.py tells where they are from, here twice as much.
CLOSE = 0.012


def measure(law: Law, name: str = "mlp") -> dict[str, torch.Tensor]:
    model = make_model(name)
    return measure_exposure(model.groups, law, reached_groups(model._engine, law))


@pytest.mark.parametrize("name", ["log_uniform", "octaves", "uniform", "paper", "us_nets"])
def test_shares_never_rise_along_the_units_and_the_first_one_takes_part_always(name: str) -> None:
    for share in measure(make_law(name)).values():
        assert share[0] == 1
        assert share.min() >= 0
        assert (share.diff() <= 0).all()


@pytest.mark.parametrize("name", ["log_uniform", "octaves", "triangular", "fjord"])
def test_the_mean_share_is_the_mean_fraction_of_the_units_that_training_keeps(name: str) -> None:
    law, model = make_law(name), make_model("mlp")
    sizes, generator = model.groups.sizes, make_generator(5)
    batch = 64 if law.chunks == "each" else None
    draws = [widths for _ in range(3000 if batch is None else 50) for widths in law.draw(sizes, generator, batch=batch)]
    found = measure(law)
    for group, size in sizes.items():
        fractions = torch.tensor([widths[group] / size for widths in draws], dtype=torch.float64)
        slack = CLOSE + 5 * float(fractions.std()) / math.sqrt(len(draws))
        assert abs(float(found[group].mean() - fractions.mean())) < slack


def test_shares_of_a_grid_are_those_of_its_levels() -> None:
    for law, full in ((Law(widths=(0.25, 0.5, 1.0), chunks=1), 1 / 3), (Law(widths=(0.25, 0.5, 1.0), chunks=2), 1 / 2)):
        share = measure(law)["fc1"]
        half = 2 / 3 if law.chunks == 1 else 3 / 4
        quarter = make_model("mlp").widths(0.25)["fc1"]
        assert share[quarter - 1] == 1
        assert float(share[quarter]) == pytest.approx(half, abs=CLOSE)
        assert float(share[-1]) == pytest.approx(full, abs=CLOSE)


def test_each_pass_of_a_sandwich_counts() -> None:
    share = measure(Law(sandwich=3, widths=(0.25, 0.5, 1.0)))["fc1"]
    assert float(share[0]) == 1
    assert float(share[make_model("mlp").widths(0.25)["fc1"]]) == pytest.approx(2 / 3, abs=1e-12)
    assert float(share[-1]) == pytest.approx(1 / 3, abs=1e-12)


def test_units_that_the_law_does_not_reach_take_part_always() -> None:
    law = Law(reach="head")
    model = make_model("mlp")
    head = reached_groups(model._engine, law)
    for group, share in measure(law).items():
        assert bool((share == 1).all()) == (group not in head)


def test_a_slow_start_does_not_count() -> None:
    for one, other in zip(measure(Law(slow_start=9)).values(), measure(Law()).values(), strict=True):
        assert torch.equal(one, other)


def test_the_same_law_has_the_same_shares_and_no_generator_moves(
    untouched_random_state: RandomStateCheck,
) -> None:
    model: Elastic = make_model("mlp")
    before = model.generator.get_state()
    with untouched_random_state():
        one, other = (measure_exposure(model.groups, LAWS["octaves"], frozenset(model.groups.sizes)) for _ in range(2))
    assert torch.equal(model.generator.get_state(), before)
    assert all(torch.equal(one[name], other[name]) for name in one)
