from dataclasses import replace

from benchmarks.markdown import describe_source, draw_table, find_results, spread
from tests.benchmarks.samples import COMMIT, ENVIRONMENT, make_demo_record, make_step_record


def test_a_table_has_words_to_the_left_and_numbers_to_the_right() -> None:
    assert draw_table(["a", "b", "c"], [["x", "y", "1"]], num_words=2) == "\n".join(
        ["| a | b | c |", "| :-- | :-- | --: |", "| x | y | 1 |"]
    )


def test_results_are_found_by_any_part_of_their_key() -> None:
    record = make_step_record()
    found = find_results(record, network="mlp_1024", law="octaves", optimizer="adam", threads=2)
    assert [result["wall_ratio"] for result in found] == [0.5, 0.4, 0.6]
    assert find_results(record, network="mlp_512") == []


def test_a_spread_is_the_median_and_the_extremes() -> None:
    assert spread([0.6, 0.41, 0.5]) == "0.50 (0.41 to 0.60)"
    assert spread([]) == "-"


def test_the_source_of_a_number_is_told_in_one_line() -> None:
    assert describe_source(make_step_record(), "benchmarks/speed/results/step.json") == (
        "Tier confirm; commit 0123456789; Abacus 9, 2 cores, 1 thread; torch 2.13.0, Python 3.11.7; seeds 0, 1, 2; "
        "`benchmarks/speed/results/step.json`."
    )


def test_the_source_names_every_commit_and_what_was_not_committed() -> None:
    record = make_demo_record()
    first, second, third = record.cells
    record = replace(
        record,
        environment={**ENVIRONMENT, "threads": [1, 2], "gpu": "Loom 3"},
        cells=[first, replace(second, commit=COMMIT[::-1], dirty=True), replace(third, commit=None, dirty=True)],
    )
    assert describe_source(record, "demo.json") == (
        "Tier confirm; commits 0123456789, 7654321000 with uncommitted changes, none with uncommitted changes; "
        "Abacus 9, 2 cores, 1 and 2 threads; GPU Loom 3; torch 2.13.0, Python 3.11.7; `demo.json`."
    ).replace("7654321000", COMMIT[::-1][:10])
