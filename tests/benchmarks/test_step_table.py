from dataclasses import replace

from benchmarks.markdown import describe_source
from benchmarks.speed.step_table import brief_step, brief_step_gpu, draw_step, draw_step_gpu
from tests.benchmarks.samples import make_step_gpu_record, make_step_record

GOAL = "Goal: a wall ratio of at most 0.65 (MLP 1024), 0.8 (ViT), 0.8 (ResidualConvNet)."


def test_every_step_is_told_with_its_spread_and_its_split() -> None:
    page = draw_step(make_step_record())
    name = "| MLP 1024 | octaves | fused Adam | 2 |"
    assert f"{name} 20 | 10 | 0.50 (0.40 to 0.60) | 0.60 (0.50 to 0.70) | 0.44 (0.45) |" in page
    assert f"{name} 5 → 2 | 12 → 4 | 3 → 3 |" in page
    assert page.count("| fused Adam | 2 |") == 2 * 4 * 2
    assert page.endswith(f"{GOAL} Met.")


def test_a_step_that_misses_the_goal_of_its_network_is_named() -> None:
    page = draw_step(make_step_record((0.7, 0.6, 0.72)))
    names = [
        f"MLP 1024, {law}, {optimizer}, {threads}: 0.70"
        for law in ("log-uniform", "octaves")
        for optimizer in ("Adam", "fused Adam")
        for threads in ("1 thread", "2 threads")
    ]
    assert page.endswith(f"{GOAL} Missed by: {'; '.join(names)}.")


def test_a_goal_of_every_network_can_be_missed() -> None:
    page = draw_step(make_step_record((0.9, 0.9, 0.9)))
    assert "ViT, octaves, Adam, 1 thread: 0.90" in page
    assert "ResidualConvNet, log-uniform, fused Adam, 2 threads: 0.90" in page
    assert "MLP 256, octaves, Adam, 1 thread" not in page


def test_a_goal_without_its_cells_is_not_met() -> None:
    record = make_step_record()
    few = replace(record, cells=[cell for cell in record.cells if cell.key["network"] in ("mlp_256", "vit")])
    assert draw_step(few).endswith(f"{GOAL} Not measured yet: MLP 1024, ResidualConvNet.")
    slow = make_step_record((0.9, 0.9, 0.9))
    one = replace(slow, cells=[cell for cell in slow.cells if cell.key["network"] == "vit"])
    assert "ViT, octaves, fused Adam, 2 threads: 0.90. Not measured yet: MLP 1024" in draw_step(one)


def test_the_brief_steps_are_those_of_adam_on_one_thread() -> None:
    lines = brief_step(make_step_record()).splitlines()
    assert lines[2] == "| MLP 256 | log-uniform | 20 | 10 | 0.50 (0.40 to 0.60) |"
    assert len(lines) == 2 + 4 * 2


def test_every_step_on_a_gpu_is_told_with_its_memory() -> None:
    record = make_step_gpu_record()
    page = draw_step_gpu(record)
    numbers = "4 | 2 | 0.50 (0.50 to 0.50) | 400 | 300 | 0.75 (0.75 to 0.75) | 0.44 (0.45) |"
    assert f"| ViT-S/16 | octaves | Adam | compiled | {numbers}" in page
    goals = "0.65 (MLP 4096), 0.8 (ViT-S/16), 0.8 (ResNet-18)"
    assert page.endswith(f"Goal: a wall ratio of at most {goals}. Met.")
    assert "GPU Loom 3" in describe_source(record, "toy.json")


def test_a_step_on_a_gpu_that_misses_the_goal_is_named() -> None:
    page = draw_step_gpu(make_step_gpu_record(ratio=0.7))
    assert "Missed by: MLP 4096, octaves, Adam, eager: 0.70; MLP 4096, octaves, Adam, compiled: 0.70; MLP" in page
    assert "ViT-S/16, octaves, Adam, eager" not in page


def test_the_brief_steps_on_a_gpu_are_those_of_fused_adam_as_they_are() -> None:
    lines = brief_step_gpu(make_step_gpu_record()).splitlines()
    assert lines[2] == "| MLP 4096 | octaves | 4 | 2 | 0.50 (0.50 to 0.50) | 0.75 (0.75 to 0.75) |"
    assert len(lines) == 2 + 3
