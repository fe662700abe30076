"""How often a choice by evidence breaks its promise, on 1,000 curves whose true drops are known.

    python -m benchmarks.curve.coverage            all cells; continues where it was stopped
    python -m benchmarks.curve.coverage --smoke    a few curves, into runs/

10,000 outcomes of each curve are drawn at the widths of the ladder that `pick` takes; all ways of choosing see them.
"""

import argparse
from collections.abc import Mapping
from typing import cast

import torch
from torch import Tensor

from benchmarks.curve.choosers import Choice, Stored, choose_by_t_tests, choose_by_walk, choose_stored
from benchmarks.curve.numbers import join_columns, join_numbers
from benchmarks.curve.synthetic import LIMIT, SHAPES, UNITS, draw_losses, draw_right, find_smallest
from benchmarks.record import ROOT, Record
from widthwise._shared import make_generator
from widthwise.curves.proof.ladder import quarter_octaves
from widthwise.curves.proof.promise import Promise

__all__ = ["CONFIDENCE", "RESULTS", "ladder_units", "main", "measure"]

RESULTS = ROOT / "benchmarks/curve/results/coverage.json"
SMOKE = ROOT / "runs/benchmarks/coverage_of_picks.json"
CONFIDENCE, LOWEST = 0.95, 1 / 32
NUM_SAMPLES, NUM_CURVES = 10_000, 125
SEED = 0


def main() -> None:
    parser = argparse.ArgumentParser(description="Count broken promises of a choice by evidence.")
    parser.add_argument("--smoke", action="store_true", help="a few curves, into runs/")
    smoke = parser.parse_args().smoke
    torch.set_num_threads(1)
    num_curves, num_samples = (2, 2000) if smoke else (NUM_CURVES, NUM_SAMPLES)
    record = Record.open(
        SMOKE if smoke else RESULTS,
        benchmark="curve/coverage",
        tier="screen" if smoke else "full",
        seeds=(SEED,),
        settings={
            "limit": LIMIT,
            "confidence": CONFIDENCE,
            "units": UNITS,
            "lowest": LOWEST,
            "num_samples": num_samples,
            "num_curves": num_curves,
        },
    )
    record.fill(
        [{"shape": shape} for shape in SHAPES],
        lambda key: measure(cast("str", key["shape"]), num_curves, num_samples),
        describe=describe,
    )


def describe(result: Mapping[str, object]) -> str:
    choices = cast("Mapping[str, Mapping[str, str]]", result["choices"])
    broken = {name: choice["violated"].split().count("1") for name, choice in choices.items()}
    return "broken: " + ", ".join(f"{name} {count}" for name, count in broken.items())


def measure(shape: str, num_curves: int, num_samples: int) -> dict[str, object]:
    """Return for each curve the fewest units that keep to the limit, and what each way of choosing took, for how much.

    Numbers of the curves stand in lines, one after the other.
    """
    units = ladder_units()
    smallest, rows = list[int](), dict[str, list[tuple[int, int, int]]]()
    for curve in range(num_curves):
        generator = make_generator(SEED, list(SHAPES).index(shape), curve)
        drops_W = SHAPES[shape](generator)
        smallest.append(find_smallest(drops_W, list(range(UNITS // 32, UNITS + 1))))
        right_WN = draw_right(drops_W, units, num_samples, generator)
        losses_WN = draw_losses(drops_W, units, num_samples, generator)
        for name, choice in choose_all(right_WN, losses_WN).items():
            picked = units[choice.place]
            is_violated = int(float(drops_W[picked - 1]) > LIMIT)
            rows.setdefault(name, []).append((picked, is_violated, choice.num_samples))
    return {
        "smallest": join_numbers(smallest),
        "choices": {name: join_columns(row) for name, row in rows.items()},
    }


def choose_all(right_WN: Tensor, losses_WN: Tensor) -> dict[str, Choice]:
    """Return the choices on the outcomes of a curve; the last is that on losses in place of outcomes."""
    known = Promise(max_drop=LIMIT, confidence=CONFIDENCE, bounds=(0, 1))
    unknown = Promise(max_drop=LIMIT, confidence=CONFIDENCE)
    drops_WN = right_WN[0].double() - right_WN.double()
    num_rungs = len(right_WN)
    single = 1 - (1 - CONFIDENCE) / (num_rungs - 1)
    return {
        "pick": choose_by_walk(Stored(right_WN), num_rungs, known),
        "pick, no bounds": choose_by_walk(Stored(right_WN), num_rungs, unknown),
        "pick, a loss": choose_by_walk(Stored(losses_WN), num_rungs, unknown, higher_is_better=False),
        "stored numbers": choose_stored(drops_WN, LIMIT),
        "t-tests": choose_by_t_tests(drops_WN, LIMIT, CONFIDENCE),
        "t-tests, corrected": choose_by_t_tests(drops_WN, LIMIT, single),
        "always full": Choice(place=0, num_samples=0),
    }


def ladder_units() -> list[int]:
    """Return the units of full width and of each rung."""
    return [UNITS, *(int(fraction * UNITS + 0.5) for fraction in quarter_octaves(LOWEST))]


if __name__ == "__main__":
    main()
