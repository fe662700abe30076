"""Train the short recipes of the package once, and write what each gave into it as its section [expected].

python -m benchmarks.recipes.measure --data DIR            # resumable; about 15 minutes on one core
python -m benchmarks.recipes.measure --write               # only the sections, from the result file
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import torch

from benchmarks.record import ROOT, Record
from widthwise._shared import write_text
from widthwise.training import load_recipe, train
from widthwise.training.accuracy import make_score

__all__ = ["RECIPES", "RESULTS", "SHORT", "add_expected", "expected_section", "main"]

RESULTS = ROOT / "benchmarks/recipes/results/recipes.json"
RECIPES = ROOT / "src/widthwise/training/recipes"
WIDTHS = (1.0, 0.25, 1 / 16)
# The others train for hours, and promise nothing.
SHORT = ("digits-mlp", "fashion-mlp", "mnist-mlp", "mnist-mlp-paper")
_SECTION = "\n[expected]"


def main() -> None:
    """Measure the short recipes that the result file does not hold yet, then write their sections."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the files of the data sets")
    parser.add_argument("--write", action="store_true", help="measure nothing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.write:
        record = Record.read(RESULTS)
    else:
        record = Record.open(
            RESULTS, benchmark="recipes", tier="screen", seeds=(0,), settings={"widths": list(WIDTHS)}, threads=(1,)
        )
        keys = [{"recipe": name} for name in SHORT]
        record.fill(keys, lambda key: measure(str(key["recipe"]), options.data), describe=str)
    for cell in record.cells:
        path = RECIPES / f"{cell.key['recipe']}.toml"
        write_text(path, add_expected(path.read_text(encoding="utf-8"), cell.result))


def measure(name: str, data: Path | None) -> dict[str, object]:
    """Train a recipe and return its minutes and its test accuracy in percent by width."""
    recipe = load_recipe(name)
    folder = ROOT / "runs/benchmarks/recipes" / name
    began = time.monotonic()
    run = train(recipe, folder, data_folder=None if recipe.data.name == "digits" else data, progress=False)
    minutes = max(run.state.training_seconds, time.monotonic() - began) / 60
    score, model = make_score(run.load_data().test), run.load_model()
    return {"minutes": minutes, "accuracy": {f"{width:g}": 100 * score(model.extract(width)) for width in WIDTHS}}


def expected_section(result: Mapping[str, object]) -> str:
    """Return the section of a recipe that says what was measured."""
    accuracy = cast("Mapping[str, float]", result["accuracy"])
    listed = ", ".join(f"{value:.1f}" for value in accuracy.values())
    names = ", ".join("full" if width == "1" else f"1/{round(1 / float(width))}" for width in accuracy)
    minutes = float(f"{cast('float', result['minutes']):.1g}")
    return f'{_SECTION}\nminutes = {minutes}\nresult = "{listed} % at {names} width"\n'


def add_expected(recipe: str, result: Mapping[str, object]) -> str:
    """Return a recipe with its section [expected] as measured, in place of the one that it had."""
    return recipe.partition(_SECTION)[0].rstrip("\n") + "\n" + expected_section(result)


if __name__ == "__main__":
    main()
