"""Width and quantisation together: is what both lose the sum of what each loses alone?

    python -m benchmarks.curve.quantised --data DIR            resumable; trains mnist-mlp first, some 2 minutes
    python -m benchmarks.curve.quantised --data DIR --network cifar-resnet
    python -m benchmarks.curve.quantised --smoke               the digits, one epoch, into runs/

One training per network; its networks at each width are exported in each kind of numbers, read back in the runtime of
the file, and scored there on the validation split. Kinds: float32 and float16 in ONNX Runtime; int8 by its quantiser,
with ranges of activations measured at run time (dynamic) or on training samples (static); int8 weights by torchao, in
the program of torch.export. Bytes are those of the file.
"""

import argparse
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import nn

import widthwise as ww
from benchmarks.record import ROOT, Record
from widthwise._shared import ExportError, MissingExtraError
from widthwise.graph import Example
from widthwise.slicing import DtypeName, batch_inputs, convert, export_network
from widthwise.slicing.finish.dtype import cast_inputs
from widthwise.slicing.formats import Plain
from widthwise.training import Task, build_task, load_recipe, train

__all__ = ["KINDS", "NETWORKS", "WIDTHS", "Kind", "fill", "main", "measure", "result_path"]

NETWORKS = ("mnist-mlp", "cifar-resnet")
WIDTHS = (1.0, 1 / 2, 1 / 4, 1 / 8)
RUNS = ROOT / "runs/benchmarks/quantised"


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Numbers in which a file holds its weights, and who made it so."""

    suffix: str
    dtype: DtypeName | None
    is_calibrated: bool = False


KINDS = {
    "float32": Kind(suffix=".onnx", dtype=None),
    "float16": Kind(suffix=".onnx", dtype="float16"),
    "int8, dynamic": Kind(suffix=".onnx", dtype="int8"),
    "int8, static": Kind(suffix=".onnx", dtype="int8", is_calibrated=True),
    "int8 weights, torchao": Kind(suffix=".pt2", dtype="int8"),
}


def result_path(network: str) -> Path:
    """Return the result file of a network."""
    return ROOT / f"benchmarks/curve/results/quantised_{network.replace('-', '_')}.json"


def main() -> None:
    """Measure the cells that the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder with the files of the data sets")
    parser.add_argument("--network", choices=NETWORKS, default=NETWORKS[0], help="recipe that is trained")
    parser.add_argument("--smoke", action="store_true", help="the digits, one epoch, into runs/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.smoke:
        fill("digits-mlp", RUNS / "smoke.json", data=None, smoke=True)
    else:
        fill(options.network, result_path(options.network), data=options.data)


def fill(network: str, path: Path, *, data: Path | None, smoke: bool = False) -> None:
    """Train a network where that has not been done, and measure the cells that the file does not have yet."""
    recipe = load_recipe(network)
    record = Record.open(
        path,
        benchmark="curve/quantised",
        tier="screen",
        seeds=(recipe.training.seed,),
        settings={"recipe": network, "split": "validation", "kinds": {name: str(kind) for name, kind in KINDS.items()}},
        threads=(1,),
    )
    run = train(recipe, RUNS / f"{network}{'-smoke' if smoke else ''}", data_folder=data, smoke=smoke)
    model = run.load_model()
    task = build_task(run.recipe, run.load_data(), model.net)
    keys = [{"width": width, "kind": kind} for width in (WIDTHS[::2] if smoke else WIDTHS) for kind in KINDS]
    record.fill(keys, lambda key: measure(model, task, key), describe=describe)


def measure(model: ww.Elastic, task: Task, key: Mapping[str, object]) -> dict[str, object]:
    """Return score and bytes of the file of a width in a kind of numbers; why there is none, where that is so."""
    width, kind = cast("float", key["width"]), KINDS[str(key["kind"])]
    small = model.extract(width, calibrate=task.calibration_batches() if width < 1 else None)
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"net{kind.suffix}"
            exported = export_network(
                make_plain(model, task, small, kind), path, task.compared_inputs(), reference=small
            )
            score = task.score()(exported.net)
    except (ExportError, MissingExtraError) as error:
        return {"left_out": str(error)}
    return {"score": score, "bytes": exported.size_bytes, "max_difference": exported.max_difference}


def make_plain(model: ww.Elastic, task: Task, small: nn.Module, kind: Kind) -> Plain:
    """Return an extracted network as the writer of a kind takes it."""
    args, kwargs = model.example_batch(2)
    example = Example(args=args, kwargs=kwargs)
    return Plain(
        net=small if kind.dtype == "int8" else convert(small, kind.dtype),
        example=cast_inputs(example, kind.dtype),
        batch_axes=model.input_batch_axes,
        facts={},
        dtype=kind.dtype,
        calibration=[batch_inputs(batch, example) for batch in task.calibration_batches()]
        if kind.is_calibrated
        else (),
    )


def describe(result: Mapping[str, object]) -> str:
    return str(result.get("left_out")) if "left_out" in result else f"{result['score']:.4f}, {result['bytes']:,} bytes"


if __name__ == "__main__":
    main()
