import sys
from pathlib import Path

import pytest

from benchmarks.curve import quantised
from benchmarks.curve.quantised_table import brief_quantised, draw_quantised, find_interaction
from benchmarks.record import Record
from tests.benchmarks.samples import make_record

SCORES = {"float32": (0.98, 0.96), "int8, static": (0.975, 0.949)}


def make_quantised_record(scores: dict[str, tuple[float, float]] = SCORES) -> Record:
    cells: list[tuple[dict[str, object], dict[str, object]]] = [
        ({"width": width, "kind": kind}, {"score": score, "bytes": size, "max_difference": 0.01})
        for place, (width, size) in enumerate(((1.0, 1_000_000), (0.25, 100_000)))
        for kind, score in ((kind, each[place]) for kind, each in scores.items())
    ]
    return make_record("curve/quantised", cells)


def test_what_both_lose_is_beside_the_sum_of_what_each_loses() -> None:
    record = make_quantised_record()
    # 3.1 points together; 2.0 by width and 0.5 by int8 alone.
    assert find_interaction(record, 0.25, "int8, static") == pytest.approx(0.6)
    table = draw_quantised(record)
    assert "| float32 | full | 98.00 | 1,000,000 | 1.0 | 0.00 | - | - |" in table
    assert "| int8, static | 1/4 | 94.90 | 100,000 | 10.0 | 3.10 | 2.50 | +0.60 |" in table
    assert table.endswith("than the sum of both alone. Missed by: int8, static at width 1/4: 0.60.")
    assert brief_quantised(record) == (
        "Width and quantisation together lose at most 0.60 points of accuracy more than the sum of what each loses "
        "alone (int8, static at width 1/4)."
    )


def test_savings_that_add_up_meet_the_goal() -> None:
    table = draw_quantised(make_quantised_record({"float32": (0.98, 0.96), "float16": (0.98, 0.96)}))
    assert "| float16 | 1/4 | 96.00 | 100,000 | 10.0 | 2.00 | 2.00 | +0.00 |" in table
    assert table.endswith(" Met.")


def test_what_could_not_be_exported_says_why() -> None:
    record = make_quantised_record()
    record.cells[-1].result.clear()
    record.cells[-1].result["left_out"] = "no torchao"
    table = draw_quantised(record)
    assert "| int8, static | 1/4 | - | - | - | - | - | - |" in table
    assert table.endswith("\n\nLeft out: int8, static at width 1/4: no torchao.")
    assert brief_quantised(record) == "Not measured at several widths."


@pytest.mark.slow
def test_a_smoke_run_fills_every_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="needs onnx: pip install 'widthwise[export]'")
    monkeypatch.setattr(quantised, "RUNS", tmp_path)
    monkeypatch.setattr(sys, "argv", ["quantised", "--smoke"])
    quantised.main()
    record = Record.read(tmp_path / "smoke.json")
    assert len(record.cells) == 2 * len(quantised.KINDS)
    for cell in record.cells:
        if "torchao" in str(cell.key["kind"]) and "left_out" in cell.result:
            assert "torchao" in str(cell.result["left_out"])
            continue
        assert 0 < float(str(cell.result["score"])) <= 1
    sizes = {str(cell.key["kind"]): int(str(cell.result["bytes"])) for cell in record.cells[:4]}
    assert sizes["int8, dynamic"] < sizes["float16"] < sizes["float32"]
