from benchmarks.speed.tables import (
    brief_demo,
    brief_extracted,
    brief_wrapped,
    draw_demo,
    draw_extracted,
    draw_wrapped,
)
from tests.benchmarks.samples import make_demo_record, make_extracted_record, make_wrapped_record


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


def test_every_wrapped_network_is_told() -> None:
    page = draw_wrapped(make_wrapped_record())
    row = "| MLP 256 | 1 | 0.25 | 0.253 | 1.010 (1.010 to 1.010) | 1.004 (1.004 to 1.004) | 1.012 (1.012 to 1.012) |"
    assert row in page
    assert len([line for line in page.splitlines() if line.startswith("|")]) == 2 + 3
    assert page.endswith("Goal: a wall ratio of at most 1.02. Met.")


def test_a_wrapped_network_that_misses_the_goal_is_named() -> None:
    names = ("MLP 256, batch 1", "MLP 256, batch 256", "ViT, batch 1")
    missed = "; ".join(f"{name}: 1.021" for name in names)
    assert draw_wrapped(make_wrapped_record(ratio=1.021)).endswith(f"at most 1.02. Missed by: {missed}.")


def test_the_brief_wrapped_networks_are_those_on_one_sample() -> None:
    assert brief_wrapped(make_wrapped_record()).splitlines()[2:] == [
        "| MLP 256 | 0.25 | 0.253 | 1.010 (1.010 to 1.010) |",
        "| ViT | 0.25 | 0.253 | 1.010 (1.010 to 1.010) |",
    ]


def test_every_run_of_the_demo_is_told() -> None:
    lines = draw_demo(make_demo_record()).splitlines()
    assert lines[2:5] == ["| 1 | 31.0 | 30.0 |", "| 2 | 42.0 | 30.0 |", "| 3 | 35.2 | 30.0 |"]
    assert lines[-1] == "Goal: under 60 s on 2 cores. Met."
    assert draw_demo(make_demo_record(slowest=61.0)).endswith("Missed by: 61.0 s.")


def test_the_brief_demo_is_a_sentence() -> None:
    assert brief_demo(make_demo_record()) == "`widthwise demo` takes 35 s (31 to 42 in 3 runs)."
