from pathlib import Path

import pytest

from benchmarks.elastic import peers
from benchmarks.elastic.laws import BUDGETS, DEFAULT, FULL_ROWS, LONGER, PLAIN, PUBLISHED, ROWS
from benchmarks.elastic.peers import choose_rows, find_epochs, list_keys, make_recipe, measure_alone
from benchmarks.elastic.peers_table import brief_peers, draw_peers, losses_by_row
from benchmarks.elastic.tasks import FRACTIONS, TASKS, PeerTask
from benchmarks.record import Cell, Record
from widthwise._shared import RunError
from widthwise.elastic import LAWS
from widthwise.training import load_recipe

MNIST = TASKS["mnist"]


def make_record(*, lost: float, seeds: tuple[int, ...] = (0,), measure: str = "accuracy") -> Record:
    """Ours loses so much more than a network trained alone does, fjord as much and a tenth more."""
    record = Record.open(
        Path("nowhere.json"),
        benchmark="peers",
        tier="screen",
        seeds=seeds,
        settings={"widths": [1.0, 0.03125], "epochs": 8, "measure": measure},
    )

    def add(key: dict[str, object], score: dict[str, float]) -> None:
        curve = {"mean_of_all": 97.5, "largest_fall": 0.25, "training_macs": 0.98, "epochs": 18, "seconds": 2.0}
        record.cells.append(Cell(key=key, result={"score": score, **curve}, commit="a", dirty=False))

    for seed in seeds:
        for width in ("1.0", "0.03125"):
            add({"row": "alone", "width": float(width), "seed": seed, "changes": []}, {width: 98.0})
        for row, more in ((DEFAULT, 0.0), ("fjord", 0.1)):
            for budget in BUDGETS:
                found = {"1.0": 98.0 - lost - more + 0.01 * seed, "0.03125": 97.0 - lost - more + 0.01 * seed}
                add({"row": row, "range": "to 1/32", "budget": budget, "seed": seed, "changes": []}, found)
    return record


def test_what_is_lost_stands_beside_what_was_reached() -> None:
    lines = draw_peers(make_record(lost=0.5)).splitlines()
    assert lines[0].startswith("| law | widths | epochs | 1 | 1/32 | mean lost | most lost |")
    assert "| alone, one per width |  | 8 | 98.00 | 98.00 |  |  |  |  |  |" in lines
    assert lines.count("| fjord | to 1/32 | 18 | 97.40 | 96.40 | 1.10 | 1.60 | 97.50 | 0.25 | 0.98 |") == 2


def test_several_seeds_are_a_mean_with_its_deviation() -> None:
    lines = draw_peers(make_record(lost=0.5, seeds=(0, 1, 2))).splitlines()
    assert "| alone, one per width |  | 8 | 98.00 ± 0.00 | 98.00 ± 0.00 |  |  |  |  |  |" in lines
    assert sum("| 97.41 ± 0.01 | 96.41 ± 0.01 | 1.09 | 1.59 |" in line for line in lines) == 2


def test_a_perplexity_is_lost_in_percent() -> None:
    record = make_record(lost=-4.9, measure="perplexity")
    # 102.9 for 98.0 at full width, 101.9 at the narrow one.
    assert "| 102.90 | 101.90 | 4.49 | 5.00 |" in draw_peers(record)
    assert "at most 1 % of perplexity lost on average" in draw_peers(record)
    assert brief_peers(record).startswith("| perplexity, at width | 1 | 1/32 | mean % of perplexity lost |")


@pytest.mark.parametrize(("lost", "met"), [(-0.1, f"{DEFAULT}, fjord"), (0.0, DEFAULT), (0.5, "none")])
def test_who_meets_the_goal_is_told(lost: float, met: str) -> None:
    assert f"Met by{':' if met != 'none' else ''} {met}." in draw_peers(make_record(lost=lost))


@pytest.mark.parametrize(("cost", "met"), [(1.004, f": {DEFAULT}"), (1.03, " none")])
def test_who_cost_more_than_one_training_has_not_met_the_goal(cost: float, met: str) -> None:
    record = make_record(lost=0.0)
    for cell in record.cells:
        if "training_macs" in cell.result:
            cell.result["training_macs"] = cost  # pyright: ignore[reportIndexIssue]
    assert f"Met by{met}." in draw_peers(record)


def test_who_is_ahead_of_ours_is_told_with_several_seeds() -> None:
    ahead = make_record(lost=0.0, seeds=(0, 1, 2))
    assert "Ours is nowhere behind by more than two standard errors." in draw_peers(ahead)
    for cell in ahead.cells:
        if cell.key["row"] == "fjord":
            cell.result["score"]["1.0"] += 0.2  # pyright: ignore[reportIndexIssue]
    assert "Ours is behind by more than two standard errors: fjord (to 1/32) at 1." in draw_peers(ahead)
    assert "standard errors" not in draw_peers(make_record(lost=0.0))


def test_the_brief_table_is_that_of_equal_macs() -> None:
    record = make_record(lost=0.5)
    assert brief_peers(record).splitlines()[2:] == [
        "| alone, one per width | 98.00 | 98.00 |  |",
        f"| {DEFAULT} | 97.50 | 96.50 | 1.00 |",
        "| fjord | 97.40 | 96.40 | 1.10 |",
    ]
    assert losses_by_row(record) == pytest.approx({DEFAULT: 1.0, "fjord": 1.1})


def test_every_published_law_is_a_row_at_both_ranges() -> None:
    assert set(PUBLISHED) == set(LAWS) - {"default", "octaves", "sandwich", "log_uniform", "uniform"}
    assert all(set(ROWS[name]) == {"published", "to 1/32"} for name in PUBLISHED)
    assert set(FULL_ROWS) <= set(ROWS)


@pytest.mark.parametrize("row", ROWS)
def test_every_row_makes_a_law_of_its_range(row: str) -> None:
    for each, changes in ROWS[row].items():
        law = make_recipe(MNIST, changes, epochs=1, seed=0, rate=1e-3).elastic.make_law()
        assert each == "published" or law.lowest == pytest.approx(1 / 32, rel=1e-12)


@pytest.mark.parametrize("task", TASKS)
def test_every_task_is_a_recipe_that_can_be_cut(task: str) -> None:
    changes = ("model.width=0.5", "training.method=plain")
    recipe = make_recipe(TASKS[task], changes, epochs=3, seed=1, rate=1e-3)
    assert (recipe.model.width, recipe.training.epochs, recipe.training.seed) == (0.5, 3, 1)


def test_the_law_of_a_recipe_gives_way_to_those_that_are_compared() -> None:
    assert load_recipe("shrec-pointnet").elastic.lowest is not None
    recipe = make_recipe(TASKS["shrec_pointnet"], ROWS["paper"]["published"], epochs=1, seed=0, rate=1e-3)
    assert recipe.elastic.make_law() == LAWS["paper"]


@pytest.mark.parametrize("row", ["log_uniform", "us_nets"])
def test_equal_macs_are_as_many_epochs_as_one_plain_training_pays(row: str) -> None:
    epochs = find_epochs(MNIST, ROWS[row]["to 1/32"], "equal MACs")
    # Of the widths of a sandwich the first layer is common to all.
    assert epochs == {"log_uniform": 18, "us_nets": 6}[row]
    assert find_epochs(MNIST, ROWS[row]["to 1/32"], "equal epochs") == 8
    assert find_epochs(MNIST, ROWS[PLAIN]["to 1/32"], "equal MACs") == 8


def test_cells_are_listed_with_their_changes() -> None:
    keys = list_keys((0,), ["octaves", "fjord"], (1e-3, 1e-2))
    assert [key["width"] for key in keys if key["row"] == "alone"] == list(FRACTIONS)
    assert len(keys) == len(FRACTIONS) + 2 * 3
    assert keys[0]["changes"] == ["model.width=1.0", "training.method=plain"]
    assert keys[0]["rates"] == [1e-3, 1e-2]
    confirmed = list_keys((0, 1), ["octaves", "fjord"], (1e-3, 1e-2), tier="confirm")
    assert len(confirmed) == 2 * len(FRACTIONS) + 2 * 2
    assert {str(key.get("range", "to 1/32")) for key in confirmed} == {"to 1/32"}


def test_a_network_alone_has_the_best_of_its_rates_by_the_validation_split(tmp_path: Path) -> None:
    task = PeerTask(title="", words="", recipe="digits-mlp", epochs=1, rate=1e-3, alone_rates=(1e-6, 1e-2))
    key = list_keys((0,), [], task.alone_rates)[1]
    found = measure_alone(task, None, tmp_path, key)
    validation, score = found["validation"], found["score"]
    assert isinstance(validation, dict)
    assert isinstance(score, dict)
    assert found["rate"] == "0.01"
    assert validation["1e-06"] < 30 < validation["0.01"]
    assert score.keys() == {"0.5"}
    assert score["0.5"] > 30


def test_a_table_without_ours_says_that_it_is_not_finished() -> None:
    record = make_record(lost=0.5)
    record.cells[:] = [cell for cell in record.cells if cell.key["row"] != DEFAULT]
    assert draw_peers(record).endswith("\n\nNot finished: octaves is not measured yet.")


def test_networks_alone_for_longer_have_cells_and_a_row_of_their_own(tmp_path: Path) -> None:
    keys = list_keys((0, 1), ["octaves", LONGER], (1e-3, 1e-2), tier="confirm")
    assert sum(key["row"] == LONGER for key in keys) == 2 * len(FRACTIONS)
    record = make_record(lost=0.5)
    record.cells.append(
        Cell(
            key={"row": LONGER, "width": 1.0, "seed": 0},
            result={"score": {"1.0": 99.0}, "epochs": 29},
            commit="a",
            dirty=False,
        )
    )
    lines = draw_peers(record).splitlines()
    assert lines[3] == f"| {LONGER} |  | 29 | 99.00 | - |  |  |  |  |  |"
    assert lines[2] == draw_peers(make_record(lost=0.5)).splitlines()[2]


def test_rows_are_chosen_by_task_tier_and_pattern(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "RESULTS", tmp_path)
    assert choose_rows("mnist", ["*"], "screen") == list(ROWS)
    assert choose_rows("cifar_resnet", ["us*"], "screen") == ["us_nets"]
    with pytest.raises(
        RunError, match=r"^expected the screen in .*, which tells the best peer, got none; run it first$"
    ):
        choose_rows("mnist", ["*"], "confirm")
    record = make_record(lost=0.0)
    Record(
        **{name: getattr(record, name) for name in Record.__dataclass_fields__} | {"path": peers.result_path("mnist")}
    ).write()
    assert choose_rows("mnist", ["*"], "confirm") == [DEFAULT, "paper", "fjord", LONGER, PLAIN]
