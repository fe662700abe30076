"""The laws by name: what each is, and what may be changed of it."""

import dataclasses

import pytest

from widthwise._shared import WidthError
from widthwise.elastic import LAWS, Law, make_law
from widthwise.groups.width import units


def test_named_laws_are_what_they_say() -> None:
    assert list(LAWS) == [
        "default",
        "octaves",
        "sandwich",
        "log_uniform",
        "uniform",
        "paper",
        "triangular",
        "fjord",
        "us_nets",
        "matformer",
        "mrl",
    ]
    assert LAWS["uniform"] == Law(distribution="uniform")
    assert LAWS["default"] is LAWS["octaves"]
    assert LAWS["octaves"].levels == pytest.approx([2.0**-i for i in range(5, -1, -1)], rel=1e-12)
    paper = LAWS["paper"]
    assert (paper.distribution, paper.sharing, paper.rescale) == ("uniform_below_full", "independent", "inverse")
    assert (paper.p, paper.step, paper.chunks) == (1.0, 1, 1)


def test_the_paper_starts_at_one_unit_in_groups_of_any_usual_size() -> None:
    assert units(LAWS["paper"].lowest, 98_303) == 1


def test_make_law_gives_named_laws_and_takes_changes() -> None:
    assert make_law("uniform") == LAWS["uniform"]
    assert make_law(Law(p=0.5)) == Law(p=0.5)
    assert make_law("paper", p=0.75, step=2) == dataclasses.replace(LAWS["paper"], p=0.75, step=2)
    assert make_law(Law(p=0.5), chunks=2) == Law(p=0.5, chunks=2)
    assert make_law("default", sandwich=3) == Law(sandwich=3, widths=6, between=0.5, unit_affine=True)


@pytest.mark.parametrize("law", ["triangle", ["paper"], None])
def test_an_unknown_law_is_refused(law: object) -> None:
    with pytest.raises(WidthError) as error:
        make_law(law)
    assert str(error.value) == (
        "law must be one of default, octaves, sandwich, log_uniform, uniform, paper, triangular, fjord, us_nets, "
        f"matformer, mrl, or a Law, got {law!r}; use Law(...) for another"
    )


def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(WidthError) as error:
        make_law("paper", rate=0.5)
    assert str(error.value) == (
        "a setting of a law must be one of distribution, sharing, lowest, p, step, rescale, chunks, widths, between, "
        "sandwich, distillation, weight, slow_start, reach, unit_affine, octave_weights, got 'rate'; use one of these"
    )


@pytest.mark.parametrize(
    ("law", "runs_full"),
    [
        *((LAWS[name], name != "paper") for name in LAWS),
        (Law(chunks=1), False),
        (Law(chunks=1, p=0.5), False),
        (Law(chunks=1, widths=4), True),
        (Law(chunks=1, widths=4, sharing="jittered"), False),
        (Law(chunks=1, widths=4, sharing="independent"), False),
        (Law(chunks=2, sharing="independent"), True),
    ],
)
def test_full_width_is_remembered_where_each_step_or_a_level_runs_it(law: Law, runs_full: bool) -> None:
    assert law.runs_full == runs_full
