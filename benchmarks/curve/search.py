"""A width for each group against one fraction for all, at 1/2, 1/4 and 1/8 of the MACs.

Networks of benchmarks.elastic.tasks, trained once under law "octaves" with sharing `shared` and `jittered`, for as many
epochs as cost what the plain training does. The curve, a greedy search and evolution look at the validation split only;
the test split is read once for what they return. Seconds are those of the curve at half octaves and of the search,
neither with latencies.

    python -m benchmarks.curve.search --data DIR --task cifar_resnet     # resumable; trainings take 20 minutes each
    python -m benchmarks.curve.search --data DIR --task cifar_resnet --smoke --to FILE     # to test the pipes
"""

import argparse
import json
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

import torch
from torch import nn

from benchmarks.curve.search_table import find_answer
from benchmarks.elastic.peers import find_epochs, make_recipe
from benchmarks.elastic.tasks import TASKS, PeerTask
from benchmarks.record import ROOT, Record, Tier
from widthwise import Curve, Elastic, Score, curve, search
from widthwise.curves.groupwise.lattice import PER_OCTAVE, make_lattice
from widthwise.training import Run, build_task, train

__all__ = ["BUDGETS", "METHODS", "SEARCHED", "list_keys", "main", "measure", "result_path"]

RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "benchmarks" / "search"
SEARCHED = ("cifar_resnet", "cifar_vit", "shrec_pointnet")
SHARINGS = ("shared", "jittered")
METHODS = ("common", "greedy", "evolution")
BUDGETS = (2, 4, 8)

Key = Mapping[str, object]


def result_path(task: str) -> Path:
    """Return the result file of a task."""
    return RESULTS / f"search_{task}.json"


def list_keys(seeds: Sequence[int], *, smoke: bool = False) -> list[dict[str, object]]:
    """Return the cells: what is looked for on each network; with `smoke`, on one."""
    return [
        {"sharing": sharing, "seed": seed, "method": method}
        for seed in seeds
        for sharing in (SHARINGS[-1:] if smoke else SHARINGS)
        for method in METHODS
    ]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A trained network with its data.

    Attributes:
        model: The network.
        score: On the validation split.
        test: On the test split.
        batches: For BatchNorm.
        macs: The budgets.
        smoke: Whether as little as possible is looked at.
    """

    model: Elastic
    score: Score[object]
    test: Score[object]
    batches: Iterable[object]
    macs: tuple[int, ...]
    smoke: bool = False

    @classmethod
    def open(cls, run: Run, *, smoke: bool) -> "Bench":
        """Return that of a finished run."""
        model = run.load_model()
        task = build_task(run.recipe, run.load_data(), model.net)
        score, test = (cast("Score[object]", task.score(split)) for split in ("validation", "test"))
        macs = tuple(model.macs() // share for share in (BUDGETS[:1] if smoke else BUDGETS))
        batches = [batch[:8] for batch in task.calibration_batches()[:1]] if smoke else task.calibration_batches()
        score, test = (_shorten(each) for each in (score, test)) if smoke else (score, test)
        return cls(model=model, score=score, test=test, batches=batches, macs=macs, smoke=smoke)

    def draw(self, widths: Iterable[float] | None = None) -> Curve:
        """Return the curve at half octaves, or at these widths."""
        return curve(self.model, self.score, widths=widths, calibrate=self.batches, latency=False, progress=False)

    def look(self, method: Literal["greedy", "evolution"], path: Path) -> Curve:
        """Return what a search finds, which is kept at `path`."""
        return search(
            self.model,
            self.score,
            max_macs=self.macs,
            method=method,
            calibrate=self.batches,
            max_trials=2 if self.smoke else None,
            latency=False,
            path=path,
            progress=False,
        )

    def common(self) -> list[float]:
        """Return fractions a quarter of an octave apart, and the widest one under each budget."""
        lattice = make_lattice(self.model, self.model.law.lowest)
        widest = [
            lattice.fractions[lattice.find_common(lambda units: self.model.macs(lattice.name(units)) / most)]  # noqa: B023
            for most in self.macs
        ]
        apart = 16 if self.smoke else 2
        spread = [each for each in lattice.fractions.values() if round(-PER_OCTAVE * math.log2(each)) % apart == 0]
        return sorted({*spread, *widest}, reverse=True)

    def describe(self, found: Curve) -> list[dict[str, object]]:
        """Return widths, costs and scores of the points, that on the test split read now."""
        return [
            {
                "width": point.width,
                "widths": point.widths,
                "macs": point.macs,
                "params": point.params,
                "validation": point.score,
                "test": self.test(self._extract(point.widths)),
            }
            for point in found
        ]

    def _extract(self, widths: dict[str, int]) -> nn.Module:
        is_full = widths == self.model.groups.sizes
        return self.model.extract(widths, calibrate=None if is_full else self.batches)


def measure(task: PeerTask, data: Path, runs: Path, smoke: bool, key: Key) -> dict[str, object]:
    """Train the network of a cell, unless it is there, and look for good widths of it."""
    run = train_once(task, data, runs, smoke, key)
    bench = Bench.open(run, smoke=smoke)
    found, seconds, num_tried = look(bench, run, str(key["method"]))
    if key["method"] == "common":
        # Searches are timed against the curve as one draws it, and compared with a finer one.
        found = bench.draw(bench.common())
    return {
        "points": bench.describe(found),
        "budgets": list(bench.macs),
        "full_macs": bench.model.macs(),
        "seconds": seconds,
        "num_tried": num_tried,
    }


def train_once(task: PeerTask, data: Path, runs: Path, smoke: bool, key: Key) -> Run:
    """Return the trained run of a cell."""
    changes = ("elastic.law=octaves", f"elastic.sharing={key['sharing']}")
    seed = cast("int", key["seed"])
    epochs = 1 if smoke else find_epochs(task, changes, "equal MACs")
    recipe = make_recipe(task, changes, epochs=epochs, seed=seed, rate=task.rate)
    return train(recipe, runs / f"{key['sharing']}-{seed}", data_folder=data, smoke=smoke, progress=False)


def look(bench: Bench, run: Run, method: str) -> tuple[Curve, float, int]:
    """Return what a method finds, in how many seconds, and from how many networks."""
    began = time.perf_counter()
    if method == "common":
        found = bench.draw()
        return found, time.perf_counter() - began, len(found)
    path = run.path / f"search_{method}.json"
    # What was scored by a search that was cut off would take no time now.
    path.unlink(missing_ok=True)
    found = bench.look(cast('Literal["greedy", "evolution"]', method), path)
    seconds = time.perf_counter() - began
    return found, seconds, len(json.loads(path.read_text(encoding="utf-8"))["search"]["scores"])


def main() -> None:
    """Run what is missing of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--task", choices=SEARCHED, required=True)
    parser.add_argument("--tier", choices=("screen", "confirm"), default="screen")
    parser.add_argument("--smoke", action="store_true", help="one epoch on a few hundred samples; needs --to")
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept")
    parser.add_argument("--to", type=Path, help="the result file")
    options = parser.parse_args()
    if options.smoke and options.to is None:
        parser.error("expected --to FILE beside --smoke, which is no result; name a file")
    torch.set_num_threads(1)
    task, tier = TASKS[options.task], cast("Tier", options.tier)
    seeds = (0, 1, 2) if tier == "confirm" else (0,)
    record = Record.open(
        options.to or result_path(options.task),
        benchmark=f"search_{options.task}",
        tier=tier,
        seeds=seeds,
        settings={
            "task": options.task,
            "recipe": task.recipe,
            "changes": list(task.changes),
            "law": "octaves",
            "epochs": 1 if options.smoke else task.epochs,
            "smoke": options.smoke,
            "rate": task.rate,
        },
    )
    runs = options.runs / (f"{options.task}-smoke" if options.smoke else options.task)
    keys = list_keys(seeds, smoke=options.smoke)
    record.fill(keys, partial(measure, task, options.data, runs, options.smoke), describe=_describe)


def _shorten(score: Score[object]) -> Score[object]:
    """Return the score on the first samples of the first batch, a pair of tensors."""
    inputs, labels = cast("tuple[torch.Tensor, torch.Tensor]", next(iter(score.loader)))
    return replace(score, loader=[(inputs[:16], labels[:16])])


def _describe(result: Key) -> str:
    budgets = cast("Sequence[int]", result["budgets"])
    answers = (find_answer(cast("Sequence[Key]", result["points"]), budget) for budget in budgets)
    tests = " ".join(f"{100 * cast('float', answer['test']):.2f}" for answer in answers)
    return f"test accuracy {tests} from {result['num_tried']} networks in {result['seconds']:.1f} s"


if __name__ == "__main__":
    main()
