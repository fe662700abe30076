"""The comparison with Torch-Pruning: cells, budgets and the table."""

from pathlib import Path

import pytest
import torch
from torch import nn

import widthwise as ww
from benchmarks.curve.pruned import BUDGETS, list_keys, prune, widest_under
from benchmarks.curve.pruned_table import draw_pruned
from benchmarks.record import Cell, Record
from widthwise.measure import count_parameters


def make_net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 3))


def test_ours_have_one_cell_for_all_budgets() -> None:
    keys = list_keys((0, 1))
    assert len(keys) == 2 * (2 + 2 * len(BUDGETS))
    assert sum("budget" in key for key in keys) == 2 * 2 * len(BUDGETS)


@pytest.mark.parametrize("most", [100, 1000, 2500])
def test_the_widest_fraction_leaves_no_more_than_is_allowed(most: int) -> None:
    model = ww.Elastic(make_net(), (torch.zeros(2, 8),), law=ww.Law())
    fraction = widest_under(model, most)
    assert count_parameters(model.outline(fraction)) <= most
    assert count_parameters(model.outline(fraction + 1 / 32)) > most


@pytest.mark.parametrize("by", ["magnitude", "Taylor"])
def test_pruning_leaves_no_more_than_is_allowed(by: str) -> None:
    pytest.importorskip("torch_pruning", reason="needs torch-pruning: pip install 'widthwise[coverage]'")
    net, batches = make_net(), [(torch.randn(16, 8), torch.zeros(16, dtype=torch.long))]
    prune(net, (torch.zeros(2, 8),), 1000, batches, by=by)
    assert 800 < count_parameters(net) <= 1000


def test_the_table_tells_scores_before_and_after_and_what_was_spent() -> None:
    settings: dict[str, object] = {"budgets": [0.5, 0.25], "extra_epochs": 3}
    record = Record.open(Path("nowhere.json"), benchmark="curve/pruned", tier="confirm", seeds=(0,), settings=settings)
    scores = {"0.5": 97.0, "0.25": 96.0}
    once = {"cut": scores, "trained": 98.0}
    record.cells.append(Cell(key={"row": "from the trained network", "seed": 0}, result=once, commit="a", dirty=False))
    for budget, score in scores.items():
        result = {"cut": {budget: score - 9}, "tuned": {budget: score}}
        key: dict[str, object] = {"row": "Torch-Pruning, Taylor", "budget": float(budget), "seed": 0}
        record.cells.append(Cell(key=key, result=dict(result), commit="a", dirty=False))
    lines = draw_pruned(record).splitlines()
    assert lines[2] == "| from the trained network | - | - | 97.00 | 96.00 | 3 |"
    assert lines[3] == "| Torch-Pruning, Taylor | 88.00 | 87.00 | 97.00 | 96.00 | 6 |"
    assert lines[-1] == "The trained network: 98.00."
