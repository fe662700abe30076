from pathlib import Path

import torch

import widthwise as ww
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
