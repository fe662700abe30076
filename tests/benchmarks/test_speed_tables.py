from dataclasses import replace

from benchmarks.speed.tables import brief_demo, brief_extracted, brief_step, draw_demo, draw_extracted, draw_step
from tests.benchmarks.samples import make_demo_record, make_extracted_record, make_step_record


def test_every_step_is_told_with_its_spread_and_its_split() -> None:
    page = draw_step(make_step_record())
    assert "| 1024 | fused Adam | 2 | 20 | 10 | 0.50 (0.40 to 0.60) | 0.60 (0.50 to 0.70) | 0.44 |" in page
    assert "| 1024 | fused Adam | 2 | 5 → 2 | 12 → 4 | 3 → 3 |" in page
    assert page.count("| fused Adam | 2 |") == 4
    assert page.endswith("Goal: a wall ratio of at most 0.65 at W = 1024. Met.")


def test_a_step_that_misses_the_goal_is_named() -> None:
    page = draw_step(make_step_record((0.7, 0.6, 0.72)))
    assert page.endswith(
        "Missed by: 1024, Adam, 1: 0.70; 1024, Adam, 2: 0.70; 1024, fused Adam, 1: 0.70; 1024, fused Adam, 2: 0.70."
    )


def test_a_goal_without_its_cells_is_not_met() -> None:
    record = make_step_record()
    page = draw_step(replace(record, cells=[cell for cell in record.cells if cell.key["width"] == 256]))
    assert page.endswith("Not measured yet.")


def test_the_brief_steps_are_those_of_adam_on_one_thread() -> None:
    assert brief_step(make_step_record()).splitlines()[2:] == [
        "| W = 256 | 20 | 10 | 0.50 (0.40 to 0.60) |",
        "| W = 1024 | 20 | 10 | 0.50 (0.40 to 0.60) |",
    ]


def test_every_extracted_network_is_told() -> None:
    page = draw_extracted(make_extracted_record())
    assert "| MLP | 0.25 | own class | 1 | 0.25 | 0.25 | 1.01 (1.01 to 1.01) | 1.01 (1.01 to 1.01) | 112 |" in page
    assert len([line for line in page.splitlines() if line.startswith("|")]) == 2 + 8
    assert page.endswith("Goal: a wall ratio of at most 1.05, and at most 4096 bytes more. Met.")


def test_an_extracted_network_that_misses_the_goal_is_named() -> None:
    page = draw_extracted(make_extracted_record(ratio=1.2, num_bytes=5000))
    names = [
        f"{network}, 0.25, own class, {batch}: 1.20" for network in ("MLP", "ResidualConvNet") for batch in (1, 256)
    ]
    assert page.endswith(f"Missed by: {'; '.join(names)}; 5000 bytes.")


def test_the_brief_extracted_networks_are_those_of_their_own_class_at_batch_1() -> None:
    assert brief_extracted(make_extracted_record()).splitlines()[2:] == [
        "| MLP, width 0.25 | 0.25 | 0.25 | 1.01 (1.01 to 1.01) | 112 |",
        "| ResidualConvNet, width 0.25 | 0.25 | 0.25 | 1.01 (1.01 to 1.01) | 112 |",
    ]


def test_every_run_of_the_demo_is_told() -> None:
    lines = draw_demo(make_demo_record()).splitlines()
    assert lines[2:5] == ["| 1 | 31.0 | 30.0 |", "| 2 | 42.0 | 30.0 |", "| 3 | 35.2 | 30.0 |"]
    assert lines[-1] == "Goal: under 60 s on 2 cores. Met."
    assert draw_demo(make_demo_record(slowest=61.0)).endswith("Missed by: 61.0 s.")


def test_the_brief_demo_is_a_sentence() -> None:
    assert brief_demo(make_demo_record()) == "`widthwise demo` takes 35 s (31 to 42 in 3 runs)."
