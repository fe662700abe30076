"""One file of all widths: the bytes that a width reads, and what widths as inputs of an ONNX file cost.

    python -m benchmarks.curve.one_file                  both; continues where it was stopped
    python -m benchmarks.curve.one_file --part bytes     bytes alone, which a busy machine changes nothing about
    python -m benchmarks.curve.one_file --smoke          the smallest network, into runs/

Bytes: a reader counts what `load` reads at a width alone, and what an upgrade from the width before it reads. Beside
them stand two other layouts of the same numbers: a plain .safetensors file, whose ranges at a width are counted, and
shells of octaves, which read the next octave whole. Latency: ONNX Runtime on one thread and one sample, the file with
the widths as inputs and the file of the extracted network in turns.
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

import widthwise as ww
from benchmarks.curve.subjects import SUBJECTS
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import find_paired_ratio, summarize, take_turns
from widthwise._shared import require
from widthwise.elastic.engines.traced import TracedEngine
from widthwise.slicing.running.cut import cut

__all__ = ["RESULTS", "WIDTHS", "fill_bytes", "fill_latency", "main", "measure_bytes", "measure_latency"]

RESULTS = {part: ROOT / f"benchmarks/curve/results/one_file_{part}.json" for part in ("bytes", "latency")}
SMOKE = {part: ROOT / f"runs/benchmarks/one_file_{part}.json" for part in RESULTS}
# Octaves, one width between two of them, and full.
WIDTHS = (1 / 32, 1 / 8, 1 / 4, 3 / 8, 1 / 2, 1.0)
IN_ONNX = ("mlp", "resnet", "vit")
TIMED = (1 / 8, 1 / 4, 1 / 2, 1.0)
TURNS, RUNS, WARMUP = 100, 10, 20


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure files of all widths.")
    parser.add_argument("--part", choices=tuple(RESULTS), help="one of the two alone")
    parser.add_argument("--smoke", action="store_true", help="the smallest network, into runs/")
    arguments = parser.parse_args()
    paths = SMOKE if arguments.smoke else RESULTS
    for part, fill in {"bytes": fill_bytes, "latency": fill_latency}.items():
        if arguments.part in (None, part):
            fill(paths[part], smoke=arguments.smoke)


def fill_bytes(path: Path, *, smoke: bool = False) -> None:
    """Count the bytes of the networks that the file does not have yet."""
    names = ("mlp",) if smoke else tuple(SUBJECTS)
    settings = {"networks": {name: SUBJECTS[name].words for name in names}, "widths": WIDTHS}
    # Bytes are counted, so that one run says all.
    record = Record.open(path, benchmark="curve/one_file_bytes", tier="full", seeds=(), settings=settings)
    record.fill(
        [{"network": name} for name in names],
        lambda key: measure_bytes(cast("str", key["network"])),
        describe=lambda result: f"{result['file_bytes']:,} bytes",
    )


def fill_latency(path: Path, *, smoke: bool = False) -> None:
    """Time the networks that the file does not have yet."""
    names, seeds, turns = (("mlp",), (0,), 3) if smoke else (IN_ONNX, (0, 1, 2), TURNS)
    settings = {
        "networks": {name: SUBJECTS[name].words for name in names},
        "turns_and_runs_per_turn": (turns, RUNS),
        "warmup": WARMUP,
    }
    torch.set_num_threads(1)
    tier = "screen" if smoke else "confirm"
    record = Record.open(
        path, benchmark="curve/one_file_latency", tier=tier, seeds=seeds, settings=settings, threads=(1,)
    )
    keys = [{"network": name, "width": width, "seed": seed} for seed in seeds for name in names for width in TIMED]
    record.fill(
        keys,
        lambda key: measure_latency(
            cast("str", key["network"]), cast("float", key["width"]), cast("int", key["seed"]), turns=turns
        ),
        describe=lambda result: f"wall {result['wall_ratio']:.3f} of the extracted",
    )


def measure_bytes(name: str) -> dict[str, object]:
    """Return the bytes of a network's file, and for each width what is read of it and of other layouts."""
    model = SUBJECTS[name].build(torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "all.safetensors"
        # Statistics are left out: they are some bytes more for each width, and not of the layout.
        saved = ww.save_elastic(model, path)
        growing = ww.ElasticFile(path)
        header = growing.bytes_read
        widths: dict[str, object] = {}
        for width in WIDTHS:
            alone, before = ww.ElasticFile(path), (growing.bytes_read, growing.num_reads)
            small = alone.load(width)
            growing.load(width)
            widths[f"{width:g}"] = {
                "extracted_bytes": _num_bytes([*small.parameters(), *small.buffers()]),
                "extracted_file_bytes": ww.export(model, width, Path(folder) / "small.safetensors").size_bytes,
                "read_bytes": alone.bytes_read,
                "reads": alone.num_reads,
                "upgrade_bytes": growing.bytes_read - before[0],
                "upgrade_reads": growing.num_reads - before[1],
                **_measure_others(model, width),
            }
    return {"file_bytes": saved.size_bytes, "header_bytes": header, "widths": widths}


def measure_latency(name: str, width: float, seed: int, *, turns: int) -> dict[str, object]:
    """Return the latencies of the file with widths as inputs and of the extracted one, their ratio and their bytes."""
    with _save_both(name, width, seed) as (elastic, extracted):
        model, x = _build(name, seed)
        units = [model.widths(width)[group] for group in _moving(model)]
        files = {"width_as_input": (elastic, [x, *map(torch.tensor, units)]), "extracted": (extracted, [x])}
        works = {key: _make_run(path, inputs) for key, (path, inputs) in files.items()}
        outputs = [torch.from_numpy(work()[0]) for work in works.values()]
        torch.testing.assert_close(*outputs, rtol=0, atol=1e-5 * float(outputs[1].abs().max()))
        times = take_turns(works, turns=turns, runs=RUNS, warmup=WARMUP)
        one, other = times["width_as_input"], times["extracted"]
        return {
            **{key: {"wall": summarize(t.wall_ns), "cpu": summarize(t.cpu_ns)} for key, t in times.items()},
            "wall_ratio": find_paired_ratio(one.wall_ns, other.wall_ns, RUNS),
            "cpu_ratio": find_paired_ratio(one.cpu_ns, other.cpu_ns, RUNS),
            "bytes": {key: path.stat().st_size for key, (path, _) in files.items()},
        }


def _measure_others(model: ww.Elastic, width: float) -> dict[str, int]:
    """Return what a plain .safetensors file and shells of octaves would read at a width, without their headers."""
    engine = model.engine
    assert isinstance(engine, TracedEngine)
    octave = next(2.0**-i for i in range(16, -1, -1) if 2.0**-i >= width)
    kept, larger = engine.sliced.kept(model.widths(width)), engine.sliced.kept(model.widths(octave))
    found = {"plain_ranges": 0, "plain_span_bytes": 0, "octave_shell_bytes": 0}
    program, seen = engine.sliced.evaluation.program, set[int]()
    for axes, tensor in zip(program.axes, engine.sliced.evaluation.state(), strict=True):
        if id(tensor) in seen:
            continue
        seen.add(id(tensor))
        places = torch.arange(tensor.numel()).reshape(tensor.shape)
        wanted = cut(places, axes, kept).reshape(-1)
        found["plain_ranges"] += 1 + int((wanted.diff() != 1).sum())
        # One range for each tensor, from the first number that is needed to the last.
        found["plain_span_bytes"] += int(wanted[-1] - wanted[0] + 1) * tensor.element_size()
        found["octave_shell_bytes"] += cut(places, axes, larger).numel() * tensor.element_size()
    return found


def _num_bytes(tensors: list[Tensor]) -> int:
    return sum(tensor.nbytes for tensor in {id(tensor): tensor for tensor in tensors}.values())


@cache
def _build(name: str, seed: int) -> tuple[ww.Elastic, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return SUBJECTS[name].build(generator), SUBJECTS[name].draw(1, generator)


@cache
def _save_elastic(name: str, seed: int) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        return ww.save_elastic(_build(name, seed)[0], Path(folder) / "all.onnx").path.read_bytes()


@contextmanager
def _save_both(name: str, width: float, seed: int) -> Iterator[tuple[Path, Path]]:
    with tempfile.TemporaryDirectory() as folder:
        elastic, extracted = Path(folder) / "all.onnx", Path(folder) / "small.onnx"
        elastic.write_bytes(_save_elastic(name, seed))
        ww.export(_build(name, seed)[0], width, extracted)
        yield elastic, extracted


def _moving(model: ww.Elastic) -> list[str]:
    return [group.name for group in model.groups if group.follows]


def _make_run(path: Path, inputs: list[Tensor]):  # noqa: ANN202  (of a runtime that may be missing)
    runtime = require("onnxruntime", "export")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    feeds: Mapping[str, object] = {
        entry.name: value.numpy() for entry, value in zip(session.get_inputs(), inputs, strict=True)
    }
    return lambda: session.run(None, feeds)


if __name__ == "__main__":
    main()
