from pathlib import Path
from typing import Any, cast

import pytest
import torch

from benchmarks.curve import one_file
from benchmarks.curve.one_file_table import draw_latency
from benchmarks.curve.subjects import SUBJECTS
from benchmarks.record import Cell, Record


@pytest.mark.slow
def test_bytes_of_the_smallest_network_are_counted(tmp_path: Path) -> None:
    one_file.fill_bytes(tmp_path / "bytes.json", smoke=True)
    (cell,) = Record.read(tmp_path / "bytes.json").cells
    widths = cast("dict[str, dict[str, int]]", cell.result["widths"])
    assert list(widths) == [f"{width:g}" for width in one_file.WIDTHS]
    header = int(str(cell.result["header_bytes"]))
    before = 0
    for found in widths.values():
        assert found["read_bytes"] == found["extracted_bytes"] + header
        assert found["upgrade_bytes"] == found["extracted_bytes"] - before
        assert (found["reads"], found["upgrade_reads"]) == (3, 1)
        assert found["plain_span_bytes"] >= found["extracted_bytes"]
        before = found["extracted_bytes"]
    # 784-96-96-10 of 784-256-256-10: rows of three matrices, three biases.
    assert widths["0.375"]["plain_ranges"] == 1 + 1 + 96 + 1 + 10 + 1
    assert widths["0.375"]["octave_shell_bytes"] == widths["0.5"]["extracted_bytes"]
    assert widths["1"]["plain_ranges"] == 6
    assert cell.result["file_bytes"] == widths["1"]["read_bytes"]


@pytest.mark.slow
def test_widths_as_inputs_are_timed_beside_the_extracted_network() -> None:
    pytest.importorskip("onnxruntime")
    result = one_file.measure_latency("mlp", 0.25, 0, turns=2)
    assert set(result) == {"width_as_input", "extracted", "wall_ratio", "cpu_ratio", "bytes"}
    sizes = cast("dict[str, int]", result["bytes"])
    assert sizes["width_as_input"] > 2 * sizes["extracted"]


def test_both_parts_can_be_asked_for_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    for part in ("bytes", "latency"):
        monkeypatch.setattr(
            one_file, f"fill_{part}", lambda path, *, smoke, part=part: asked.append((part, path, smoke))
        )
    monkeypatch.setattr("sys.argv", ["one_file", "--part", "latency"])
    one_file.main()
    monkeypatch.setattr("sys.argv", ["one_file", "--smoke"])
    one_file.main()
    assert asked == [
        ("latency", one_file.RESULTS["latency"], False),
        ("bytes", one_file.SMOKE["bytes"], True),
        ("latency", one_file.SMOKE["latency"], True),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_subject_takes_its_samples(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    model, x = SUBJECTS[name].build(generator), SUBJECTS[name].draw(3, generator)
    assert x.shape[SUBJECTS[name].batch_dim] == 3
    assert model(x).shape[SUBJECTS[name].batch_dim] == 3


def test_the_table_of_latency_has_medians_over_the_seeds() -> None:
    settings: dict[str, object] = {"networks": {"mlp": "MLP"}}
    record = Record.open(Path("nowhere.json"), benchmark="b", tier="confirm", seeds=(0, 1, 2), settings=settings)
    for seed, ratio in enumerate((1.2, 1.0, 2.0)):
        key: dict[str, object] = {"network": "mlp", "width": 0.5, "seed": seed}
        record.cells.append(Cell(key=key, result={"wall_ratio": ratio}, commit="a", dirty=False))
    assert draw_latency(record).splitlines()[-1] == "| MLP | 0.5 | 1.20 (1.00 to 2.00) |"
