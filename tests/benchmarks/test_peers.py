from pathlib import Path

import pytest

from benchmarks.elastic.peers import BUDGETS, FRACTIONS, ROWS, TASKS, find_epochs, list_keys, make_recipe
from benchmarks.elastic.peers_table import brief_peers, draw_peers
from benchmarks.record import Cell, Record
from widthwise.elastic import LAWS


def make_record(*, lost: float) -> Record:
    record = Record.open(
        Path("nowhere.json"),
        benchmark="peers",
        tier="screen",
        seeds=(0,),
        settings={"widths": [1.0, 0.03125], "epochs": 8},
    )
    for width in ("1.0", "0.03125"):
        key = {"row": "alone", "width": float(width), "seed": 0}
        record.cells.append(Cell(key=key, result={"accuracy": {width: 98.0}, "seconds": 1.0}, commit="a", dirty=False))
    for row in ("log_uniform", "fjord"):
        for budget in BUDGETS:
            result: dict[str, object] = {
                "accuracy": {"1.0": 98.0 - lost, "0.03125": 97.0 - lost},
                "mean_of_all": 97.5,
                "largest_fall": 0.25,
                "training_macs": 0.98,
                "epochs": 18,
                "seconds": 2.0,
            }
            key = {"row": row, "range": "to 1/32", "budget": budget, "seed": 0}
            record.cells.append(Cell(key=key, result=result, commit="a", dirty=False))
    return record


def test_points_lost_stand_beside_what_was_reached() -> None:
    lines = draw_peers(make_record(lost=0.5)).splitlines()
    assert lines[0].startswith("| law | widths | epochs | 1 | 1/32 | mean lost | most lost |")
    assert "| alone, one per width |  | 8 | 98.00 | 98.00 |  |  |  |  |  |" in lines
    assert lines.count("| fjord | to 1/32 | 18 | 97.50 | 96.50 | 1.00 | 1.50 | 97.50 | 0.25 | 0.98 |") == 2


@pytest.mark.parametrize(("lost", "met"), [(0.0, "log_uniform, fjord"), (0.5, "none")])
def test_who_meets_the_goal_is_told(lost: float, met: str) -> None:
    assert f"Met by{':' if met != 'none' else ''} {met}." in draw_peers(make_record(lost=lost))


def test_the_brief_table_is_that_of_equal_macs() -> None:
    assert brief_peers(make_record(lost=0.5)).splitlines()[2:] == [
        "| log_uniform | 1.00 | 1.50 |",
        "| fjord | 1.00 | 1.50 |",
    ]


def test_every_published_law_is_a_row_at_both_ranges() -> None:
    published = set(LAWS) - {"log_uniform", "octaves", "uniform"}
    assert published <= set(ROWS)
    assert all(set(ROWS[name]) == {"published", "to 1/32"} for name in published)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_makes_a_law_of_its_range(row: str) -> None:
    for each, changes in ROWS[row].items():
        law = make_recipe("mnist", changes, epochs=1, seed=0, rate=1e-3).elastic.make_law()
        assert each == "published" or law.lowest == pytest.approx(1 / 32, rel=1e-12)


@pytest.mark.parametrize("row", ["log_uniform", "us_nets"])
def test_equal_macs_are_as_many_epochs_as_one_plain_training_pays(row: str) -> None:
    epochs = find_epochs("mnist", ROWS[row]["to 1/32"], "equal MACs")
    # Of the widths of a sandwich the first layer is common to all.
    assert epochs == {"log_uniform": 18, "us_nets": 6}[row]
    assert find_epochs("mnist", ROWS[row]["to 1/32"], "equal epochs") == 8


def test_cells_are_listed_by_their_rows() -> None:
    keys = list_keys((0,), ["*"])
    assert [key["width"] for key in keys if key["row"] == "alone"] == list(FRACTIONS)
    assert len(keys) == len(FRACTIONS) + 2 * sum(map(len, ROWS.values()))
    assert {str(key["row"]) for key in list_keys((0,), ["us_*", "alone"])} == {"us_nets", "alone"}
    assert set(TASKS) == {"mnist", "fashion_mnist"}
