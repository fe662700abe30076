"""Records with numbers that one can follow by hand."""

from pathlib import Path
from typing import Any

from benchmarks.record import Cell, Record

ENVIRONMENT: dict[str, object] = {
    "widthwise": "0.1.0",
    "python": "3.11.7",
    "torch": "2.13.0",
    "numpy": "2.4.6",
    "system": "Linux x86_64",
    "processor": "Abacus 9",
    "cores": 2,
    "threads": [1],
    "gpu": None,
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def make_record(benchmark: str, cells: list[tuple[dict[str, object], dict[str, object]]], **changes: object) -> Record:
    arguments: dict[str, object] = {
        "path": Path("toy.json"),
        "benchmark": benchmark,
        "tier": "confirm",
        "seeds": (0, 1, 2),
        "settings": {},
        "environment": ENVIRONMENT,
        "commit": COMMIT,
        "dirty": False,
        "cells": [Cell(key=key, result=result, commit=COMMIT, dirty=False) for key, result in cells],
    }
    return Record(**(arguments | changes))  # type: ignore[arg-type]


def make_step_record(ratios: tuple[float, float, float] = (0.5, 0.4, 0.6)) -> Record:
    def measure(ratio: float) -> dict[str, object]:
        plain = {"wall_ms": 20.0, "forward_ms": 5.0, "backward_ms": 12.0, "optimizer_ms": 3.0}
        elastic = {"wall_ms": 20 * ratio, "forward_ms": 2.0, "backward_ms": 4.0, "optimizer_ms": 3.0}
        found = {"wall_ratio": ratio, "cpu_ratio": ratio + 0.1, "macs_ratio": 0.44, "law_macs_ratio": 0.45}
        return {"plain": plain, "elastic": elastic, **found}

    cells = [
        (
            {"seed": seed, "network": name, "law": law, "optimizer": optimizer, "mode": "eager", "threads": threads},
            measure(ratio),
        )
        for seed, ratio in enumerate(ratios)
        for name in ("mlp_256", "mlp_1024", "vit", "resnet")
        for law in ("log_uniform", "octaves")
        for optimizer in ("adam", "fused_adam")
        for threads in (1, 2)
    ]
    return make_record("speed/step", cells)


def make_step_gpu_record(ratio: float = 0.5) -> Record:
    plain, elastic = {"wall_ms": 4.0, "peak_bytes": 400e6}, {"wall_ms": 4 * ratio, "peak_bytes": 300e6}
    found = {"wall_ratio": ratio, "cpu_ratio": ratio, "peak_ratio": 0.75, "macs_ratio": 0.44, "law_macs_ratio": 0.45}
    cells: list[tuple[dict[str, object], dict[str, object]]] = [
        (
            {"seed": 0, "network": name, "law": "octaves", "optimizer": optimizer, "mode": mode, "threads": 1},
            {"plain": plain, "elastic": elastic, **found},
        )
        for name in ("mlp_4096", "vit_s", "resnet_18")
        for optimizer in ("adam", "fused_adam")
        for mode in ("eager", "compiled")
    ]
    return make_record("speed/step_gpu", cells, environment={**ENVIRONMENT, "gpu": "Loom 3"})


def make_wrapped_record(ratio: float = 1.01) -> Record:
    times: dict[str, object] = {
        name: {"wall": {"median_ms": median_ms}} for name, median_ms in (("bare", 0.25), ("wrapped", 0.253))
    }
    cells = [
        (
            {"network": network, "batch": batch, "seed": seed},
            {**times, "wall_ratio": ratio, "cpu_ratio": 1.004, "sequential_wall_ratio": 1.0125},
        )
        for seed in (0, 1, 2)
        for network, batch in (("mlp_256", 1), ("mlp_256", 256), ("vit", 1))
    ]
    return make_record("speed/wrapped", cells)


def make_extracted_record(ratio: float = 1.01, num_bytes: int = 112) -> Record:
    def measure(form: str) -> dict[str, object]:
        found = ratio if form == "module" else 1.02
        times: dict[str, object] = {name: {"wall": {"median_ms": 0.25}} for name in ("by_hand", "extracted")}
        return {**times, "wall_ratio": found, "cpu_ratio": found, "bytes_more": num_bytes}

    cells = [
        ({"network": network, "width": 0.25, "form": form, "batch": batch, "seed": seed}, measure(form))
        for seed in (0, 1, 2)
        for network in ("mlp", "resnet")
        for form in ("module", "graph")
        for batch in (1, 256)
    ]
    return make_record("speed/extracted", cells)


def make_demo_record(slowest: float = 42.0) -> Record:
    cells: list[tuple[dict[str, object], dict[str, object]]] = [
        ({"run": run}, {"wall_s": wall_s, "cpu_s": 30.0}) for run, wall_s in enumerate((31.0, slowest, 35.2))
    ]
    return make_record("speed/demo", cells, seeds=())


def make_coverage_result(changes: dict[str, Any] | None = None) -> dict[str, Any]:
    """A network that passes; changes are given by name, as "verify", "num_at_edge" or "half.difference"."""
    part = {"num_parameters": 280, "form": "own class", "same_shapes": True, "difference": 1e-7}
    result: dict[str, Any] = {
        "export_s": 1.0,
        "num_nodes": 70,
        "infer_s": 1.4,
        "num_groups": 4,
        "shares": {"num_parameters": 1000, "num_outside": 0, "num_in_groups": 950, "num_at_edge": 0},
        "reasons": {"aten.sort works along this axis": 3},
        "half": dict(part),
        "random": dict(part),
        "verify": "sound",
    }
    for name, value in (changes or {}).items():
        place, _, inner = name.rpartition(".")
        target = result[place] if place else result["shares"] if name in result["shares"] else result
        target[inner] = value
    return result


def make_coverage_record() -> Record:
    """Two networks that pass, of which Torch-Pruning manages one, and one that cannot be traced."""
    names = [("torchvision", "resnet18"), ("torchvision", "swin_t")]
    ours: list[tuple[dict[str, object], dict[str, object]]] = [
        ({"tool": "widthwise", "zoo": zoo, "name": name}, make_coverage_result()) for zoo, name in names
    ]
    failed = {"error": "TraceError: <no>"}
    pruned = {"num_parameters": 1000, "num_left": 300, "num_shrunk": 900, "way": "plain"}
    return make_record(
        "coverage",
        [
            *ours,
            ({"tool": "widthwise", "zoo": "own", "name": "WaveNet"}, dict(failed)),
            ({"tool": "torch-pruning", "zoo": "torchvision", "name": "resnet18"}, pruned),
            ({"tool": "torch-pruning", "zoo": "torchvision", "name": "swin_t"}, {"error": "took longer than 120 s"}),
        ],
        seeds=(0,),
    )
