import json
from pathlib import Path

import pytest
import torch

import widthwise as ww
from tests.cli.conftest import Invoke, error_line
from tests.training.conftest import make_splits
from widthwise.cli.all_widths import describe_all_widths, write_all_widths
from widthwise.training import Run


def test_a_run_is_written_with_all_of_its_widths(trained: Path, tmp_path: Path) -> None:
    run = Run.open(trained)
    model = run.load_model()
    saved = write_all_widths(run, model, tmp_path / "all.safetensors", splits=make_splits())
    found, expected = ww.load(saved.path, 0.5), model.extract(0.5, form="graph")
    assert all(torch.equal(found.state_dict()[name], tensor) for name, tensor in expected.state_dict().items())
    size = saved.path.stat().st_size / 1000
    lowest = ", ".join(f"{name}={units}" for name, units in saved.lowest.items())
    assert describe_all_widths(saved) == (
        f"written: {tmp_path / 'all.safetensors'}, {size:.1f} kB, with all widths from {lowest} on\n"
        f"read back and compared with the run at {len(saved.checked)} widths"
    )


def test_export_writes_all_widths_where_asked(invoke: Invoke, run_copy: Path) -> None:
    told = json.loads(invoke("export", run_copy, "--all-widths", "--json").stdout)
    path = run_copy / "exports" / "tiny-all.safetensors"
    assert told["path"] == str(path)
    assert told["bytes"] == path.stat().st_size
    assert sum(p.numel() for p in ww.load(path, 0.5).parameters()) > 0
    assert invoke("export", run_copy, "--all-widths").stdout.startswith(f"written: {path}, ")


@pytest.mark.parametrize("other", [["--width", "0.5"], ["--max-params", "9999"], ["--dtype", "float16"]])
def test_all_widths_stand_alone(invoke: Invoke, run_copy: Path, other: list[str]) -> None:
    result = invoke("export", run_copy, "--all-widths", *other)
    assert result.exit_code == 2
    assert "expected --all-widths alone, got what speaks of one width beside it; leave one out" in error_line(result)


def test_all_widths_have_two_formats(invoke: Invoke, run_copy: Path) -> None:
    result = invoke("export", run_copy, "--all-widths", "--format", "pt")
    assert result.exit_code == 2
    assert "expected a .safetensors or .onnx file of all widths, got .pt; leave out --format, or --all-widths" in (
        error_line(result)
    )
