"""Against Torch-Pruning: the same trained network and data, the same extra epochs, at equal parameters.

    python -m benchmarks.curve.pruned --data DIR --task mnist            # resumable; needs torch-pruning
    python -m benchmarks.curve.pruned --data DIR --task cifar_resnet

Torch-Pruning cuts the trained network once for each budget, by magnitude or by the first-order Taylor term, the same
ratio in every layer, and each small network is trained on for F epochs. Ours makes the same trained network elastic
(`start="pretrained"`, sorted by Taylor) and trains it once for F epochs; all budgets are cut from that. Beside them
stands the network that was elastic from the start, at the price of the plain training, cut and then trained on for F
epochs like those of Torch-Pruning. Scores are those of the test split.
"""

import argparse
import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from benchmarks.coverage.pruning import find_output_layers
from benchmarks.elastic.peers import find_epochs, make_recipe
from benchmarks.elastic.tasks import TASKS, PeerTask
from benchmarks.record import ROOT, Record
from widthwise import Elastic
from widthwise._shared import make_generator
from widthwise.elastic import make_law
from widthwise.measure import count_parameters
from widthwise.training import Run, build_task, finetune, train
from widthwise.training.batch import Batch
from widthwise.training.optimiser import make_optimiser, make_schedule
from widthwise.training.stream import Stream
from widthwise.training.task import Task

__all__ = ["BUDGETS", "PRUNED_TASKS", "list_keys", "main", "prune", "result_path", "widest_under"]

RESULTS = Path(__file__).parent / "results"
RUNS = ROOT / "runs" / "benchmarks" / "pruned"
SEEDS = (0, 1, 2)
# Shares of the parameters that a small network may have.
BUDGETS = (0.5, 0.25, 0.125)
# Extra epochs of each.
PRUNED_TASKS: Mapping[str, int] = {"mnist": 3, "cifar_resnet": 2}
CRITERIA = ("magnitude", "Taylor")
OURS = ("from the trained network", "elastic from the start")
_NUM_TAYLOR = 8
_OCTAVES = "elastic.law=octaves"


def result_path(task: str) -> Path:
    """Return the result file of a task."""
    return RESULTS / f"pruned_{task}.json"


def list_keys(seeds: Sequence[int]) -> list[dict[str, object]]:
    """Return the cells: one of ours holds all budgets, one of Torch-Pruning a single one."""
    keys: list[dict[str, object]] = []
    for seed in seeds:
        keys += [dict[str, object](row=row, seed=seed) for row in OURS]
        keys += [
            dict[str, object](row=f"Torch-Pruning, {name}", budget=budget, seed=seed)
            for name in CRITERIA
            for budget in BUDGETS
        ]
    return keys


def measure(name: str, data: Path, runs: Path, key: Mapping[str, object]) -> dict[str, object]:
    """Return parameters and scores of one cell, as cut and after the extra epochs."""
    task, seed, row = TASKS[name], cast("int", key["seed"]), str(key["row"])
    bench = _Bench(task, PRUNED_TASKS[name], data, runs / f"{name}/{seed}", seed)
    if row in OURS:
        return bench.make_elastic() if row == OURS[0] else bench.cut_elastic()
    return bench.cut_trained(row.rpartition(" ")[2], cast("float", key["budget"]))


class _Bench:
    """The trainings of one seed that the cells share."""

    def __init__(self, task: PeerTask, extra: int, data: Path, runs: Path, seed: int) -> None:
        self._task, self._extra, self._data, self._runs, self._seed = task, extra, data, runs, seed
        self._run = self._train(["training.method=plain"], "plain", task.epochs)
        self._splits = self._run.load_data()
        self._model = self._run.load_model()
        self._learning = build_task(self._run.recipe, self._splits, self._model.net)
        self._score = self._learning.score("test")
        self._total = count_parameters(self._model.net)

    def cut_trained(self, criterion: str, budget: float) -> dict[str, object]:
        """Return what Torch-Pruning makes of the trained network."""
        net = copy.deepcopy(self._model.net).train(False)
        prune(net, self._model.example_args, round(budget * self._total), self._batches(), by=criterion)
        return self._finish({budget: net}, self._run)

    def make_elastic(self) -> dict[str, object]:
        """Return what the trained network gives at each budget when it is trained on at all widths."""
        law = make_law("default", lowest=1 / 8, widths=4)
        generator = make_generator(self._seed, Stream.WIDTHS)
        net = copy.deepcopy(self._model.net)
        model = Elastic(net, self._model.example_args, law=law, start="pretrained", generator=generator)
        model.sort(self._batches(), cross_entropy)
        _train_on(model, self._learning, self._run, self._extra)
        found = self._finish(self._cut(model), None)
        return found | {"trained": 100 * self._score(self._model.net.eval())}

    def cut_elastic(self) -> dict[str, object]:
        """Return what the network that was elastic from the start gives at each budget."""
        changes = [_OCTAVES]
        run = self._train(changes, "octaves", find_epochs(self._task, changes, "equal MACs"))
        return self._finish(self._cut(run.load_model()), run)

    def _cut(self, model: Elastic) -> dict[float, nn.Module]:
        batches = self._learning.calibration_batches() if model.has_statistics else None
        fractions = {budget: widest_under(model, round(budget * self._total)) for budget in BUDGETS}
        return {budget: model.extract(fraction, calibrate=batches) for budget, fraction in fractions.items()}

    def _finish(self, nets: Mapping[float, nn.Module], run: Run | None) -> dict[str, object]:
        """Return the scores of networks by budget as cut, and after the extra epochs where there is a run for them."""
        cut = {str(budget): 100 * self._score(net.eval()) for budget, net in nets.items()}
        params = {str(budget): count_parameters(net) for budget, net in nets.items()}
        if run is None:
            return {"params": params, "cut": cut, "total": self._total}
        for net in nets.values():
            finetune(net, run, epochs=self._extra, splits=self._splits, progress=False)
        tuned = {str(budget): 100 * self._score(net.eval()) for budget, net in nets.items()}
        return {"params": params, "cut": cut, "tuned": tuned, "total": self._total}

    def _train(self, changes: Sequence[str], name: str, epochs: int) -> Run:
        recipe = make_recipe(self._task, changes, epochs=epochs, seed=self._seed, rate=self._task.rate)
        return train(recipe, self._runs / name, data_folder=self._data, progress=False)

    def _batches(self) -> list[tuple[Tensor, Tensor]]:
        """Return a few batches (inputs, labels) of the training split."""
        samples = torch.utils.data.DataLoader(self._splits.train, batch_size=self._run.recipe.training.batch_size)  # pyright: ignore[reportArgumentType]
        return [batch for batch, _ in zip(samples, range(_NUM_TAYLOR), strict=False)]


def prune(
    net: nn.Module,
    inputs: tuple[Tensor, ...],
    most: int,
    batches: Sequence[tuple[Tensor, Tensor]],
    *,
    by: str = "magnitude",
) -> None:
    """Cut a network with Torch-Pruning, in place, at the smallest common ratio that leaves at most so many parameters.

    Args:
        net: The network, in evaluation mode.
        inputs: What it is called with.
        most: The most parameters.
        batches: (inputs, labels), from which the Taylor term takes its gradients.
        by: "magnitude" or "Taylor".
    """
    low, high = 0.0, 0.98
    for _ in range(12):
        middle = (low + high) / 2
        trial = copy.deepcopy(net)
        _prune_by(trial, inputs, middle, batches, by="magnitude")
        low, high = (low, middle) if count_parameters(trial) <= most else (middle, high)
    _prune_by(net, inputs, high, batches, by=by)


def widest_under(model: Elastic, most: int) -> float:
    """Return the widest common fraction, to 1/1024, that leaves at most so many parameters."""
    low, high = 1, 1024
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _count_at(model, middle / 1024) <= most else (low, middle)
    return low / 1024


def _count_at(model: Elastic, fraction: float) -> int:
    return count_parameters(model.outline(fraction))


def _prune_by(
    net: nn.Module, inputs: tuple[Tensor, ...], ratio: float, batches: Sequence[tuple[Tensor, Tensor]], *, by: str
) -> None:
    import torch_pruning  # pyright: ignore[reportMissingImports]

    importance = torch_pruning.importance.GroupMagnitudeImportance()
    if by == "Taylor":
        importance = torch_pruning.importance.GroupTaylorImportance()
        net.zero_grad()
        for x, labels in batches:
            cross_entropy(net(x), labels).backward()
    ignored = find_output_layers(net, inputs)
    pruner = torch_pruning.pruner.MetaPruner(
        net, inputs, importance=importance, pruning_ratio=ratio, ignored_layers=ignored
    )
    pruner.step()
    net.zero_grad(set_to_none=True)


def _train_on(model: Elastic, task: Task, run: Run, epochs: int) -> None:
    """Train an elastic model for so many epochs, with the recipe's optimiser and rate."""
    settings = run.recipe.training
    optimiser = make_optimiser(model, settings)
    schedule = make_schedule(optimiser, settings, epochs * task.num_batches)
    model.train()
    for epoch in range(settings.epochs + 1, settings.epochs + epochs + 1):
        parts = task.order(make_generator(settings.seed, Stream.ORDER, epoch))
        for step, indices in enumerate(parts, start=1):
            loss = task.loss(model, Batch(indices=indices, epoch=epoch, step=step, is_last=step == len(parts)))
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            schedule.step()
    model.eval()


def main() -> None:
    """Run what is missing of the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with the data sets")
    parser.add_argument("--task", choices=tuple(PRUNED_TASKS), required=True)
    parser.add_argument("--runs", type=Path, default=RUNS, help="where runs are kept")
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = TASKS[options.task]
    record = Record.open(
        result_path(options.task),
        benchmark=f"curve/pruned_{options.task}",
        tier="confirm",
        seeds=SEEDS,
        settings={
            "task": options.task,
            "changes": list(task.changes),
            "epochs": task.epochs,
            "extra_epochs": PRUNED_TASKS[options.task],
            "budgets": list(BUDGETS),
            "rate": task.rate,
        },
    )
    record.fill(list_keys(SEEDS), partial(measure, options.task, options.data, options.runs), describe=_describe)


def _describe(result: Mapping[str, object]) -> str:
    scores = cast("Mapping[str, float]", result.get("tuned", result["cut"]))
    return ", ".join(f"{score:.2f} at {budget}" for budget, score in scores.items())


if __name__ == "__main__":
    main()
