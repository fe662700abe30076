import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from benchmarks.curve import extracted
from benchmarks.curve.extracted_table import brief_runtimes, draw_runtimes
from benchmarks.record import Record
from tests.benchmarks.samples import make_record


def make_runtimes_record(ratio: float = 1.01, difference: float = 1e-7, num_bytes: int = 16) -> Record:
    times: dict[str, object] = {name: {"wall": {"median_ms": 0.25}} for name in ("by_hand", "extracted")}
    cells = [
        (
            {"network": network, "width": 0.25, "runtime": runtime, "seed": seed},
            {
                **times,
                "wall_ratio": ratio if runtime == "onnx" else 1.0,
                "cpu_ratio": 1.0,
                "difference": difference,
                "bytes": 12_345,
                "bytes_more": num_bytes,
            },
        )
        for seed in (0, 1, 2)
        for network in ("mlp", "resnet")
        for runtime in ("eager", "onnx", "pte")
    ]
    return make_record("curve/extracted", cells)


def test_every_runtime_has_its_row_and_the_goal_is_judged() -> None:
    table = draw_runtimes(make_runtimes_record())
    assert (
        "| MLP | 0.25 | ONNX Runtime | 0.25 | 0.25 | 1.010 (1.010 to 1.010) | 1.000 (1.000 to 1.000) | 1e-07 | 12,345 "
        "| 16 |"
    ) in table
    assert table.endswith("outputs within 1e-05, at most 4096 bytes more. Met.")
    assert brief_runtimes(make_runtimes_record()) == (
        "Extracted networks take at most 1.01 times as long as the same built by hand, in eager, ONNX Runtime, "
        "ExecuTorch."
    )


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({"ratio": 1.2}, "Missed by: MLP, 0.25, ONNX Runtime: 1.20; ResidualConvNet, 0.25, ONNX Runtime: 1.20."),
        ({"difference": 1e-3}, "MLP, 0.25, eager: outputs 1e-03 apart"),
        ({"num_bytes": 5000}, "MLP, 0.25, ExecuTorch: 5000 bytes"),
    ],
)
def test_what_misses_the_goal_is_named(changes: dict[str, float], missed: str) -> None:
    assert missed in draw_runtimes(make_runtimes_record(**changes))  # type: ignore[arg-type]


@pytest.mark.slow
def test_a_smoke_run_fills_the_runtimes_that_there_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxscript", reason="needs onnx: pip install 'widthwise[export]'")
    monkeypatch.setattr(extracted, "SMOKE", tmp_path / "smoke.json")
    monkeypatch.setattr(extracted, "WARMUP", 1)
    monkeypatch.setattr(sys, "argv", ["extracted", "--smoke"])
    extracted.main()
    record = Record.read(tmp_path / "smoke.json")
    assert len(record.cells) == 2 * (2 if find_spec("executorch") is None else 3)
    for cell in record.cells:
        assert float(str(cell.result["difference"])) <= 1e-5
        assert abs(int(str(cell.result["bytes_more"]))) <= 4096
