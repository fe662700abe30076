from typing import Any

import pytest

from benchmarks.coverage.measure import describe
from benchmarks.coverage.verdict import find_faults, find_faults_of_pruning
from tests.benchmarks.samples import make_coverage_result


def test_a_network_that_meets_every_rule_passes() -> None:
    result = make_coverage_result()
    assert find_faults(result) == []
    assert describe(result) == (
        "pass (groups 4, share 0.950, at half 0.280, own class, export 1.0 s, ours 1.4 s, verify sound)"
    )


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"error": "TraceError: no"}, "TraceError: no"),
        ({"num_in_groups": 890}, "only 89% can shrink"),
        ({"half.same_shapes": False}, "other output shapes at half widths"),
        ({"random.difference": 0.02}, "extract and views differ by 0.02 at random widths"),
        ({"half.num_parameters": 401}, "0.40 of the parameters are left at one half"),
        ({"verify": "failed: aten.roll"}, "verify failed: aten.roll"),
    ],
)
def test_each_rule_that_is_broken_is_named(changes: dict[str, Any], fault: str) -> None:
    result = make_coverage_result(changes)
    assert find_faults(result) == [fault]
    assert describe(result).startswith(f"FAIL {fault}")


def test_what_keeps_its_size_may_be_left_at_one_half() -> None:
    # 50 of 1000 are in no group: 400 may be left; 100 more at an edge halve, which leaves 50 more.
    assert find_faults(make_coverage_result({"half.num_parameters": 400})) == []
    assert find_faults(make_coverage_result({"half.num_parameters": 450, "num_at_edge": 100})) == []
    assert find_faults(make_coverage_result({"half.num_parameters": 451, "num_at_edge": 100})) != []


def test_what_cannot_be_told_is_no_fault() -> None:
    on_meta = {"half.difference": None, "random.difference": None, "verify": "skipped: on meta"}
    assert find_faults(make_coverage_result(on_meta)) == []


def test_pruning_passes_if_something_shrank() -> None:
    assert find_faults_of_pruning({"num_parameters": 10, "num_shrunk": 4}) == []
    assert find_faults_of_pruning({"num_parameters": 10, "num_shrunk": 0}) == ["nothing shrank"]
    assert find_faults_of_pruning({"error": "IndexError: 3"}) == ["IndexError: 3"]
    assert describe({"num_parameters": 10, "num_shrunk": 4}) == "pass (0.400 shrank)"
