"""What `widthwise export --all-widths` writes: one file of a run with the networks of all widths."""

from pathlib import Path

from widthwise.cli.output import format_bytes
from widthwise.elastic import Elastic, Saved, save_elastic
from widthwise.training import Run, Splits, build_task

__all__ = ["describe_all_widths", "write_all_widths"]


def write_all_widths(run: Run, model: Elastic, path: Path, *, splits: Splits) -> Saved:
    """Return the checked file of all widths of a run, with BatchNorm statistics of its octaves.

    Args:
        run: The run.
        model: Its model.
        path: The file, .safetensors or .onnx.
        splits: Its data, of which training samples give the statistics.

    Raises:
        ExportError: As `widthwise.save_elastic` says.
    """
    task = build_task(run.recipe, splits, model.net)
    return save_elastic(model, path, calibrate=task.calibration_batches())


def describe_all_widths(saved: Saved) -> str:
    """Return the file, its size, and at how many widths it was compared, in two lines."""
    return (
        f"written: {saved.path}, {format_bytes(saved.size_bytes)}, with all widths from "
        f"{', '.join(f'{name}={units}' for name, units in saved.lowest.items())} on\n"
        f"read back and compared with the run at {len(saved.checked)} widths"
    )
