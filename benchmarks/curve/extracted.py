"""An extracted network against the same built by hand, each in its own runtime: latency, bytes and outputs.

    python -m benchmarks.curve.extracted            all cells; continues where it was stopped
    python -m benchmarks.curve.extracted --smoke    a few passes of one network, into runs/

Both hold the same weights, are exported to the same format and run in one process, in turns, on one sample and one
thread. `eager` is torch under `torch.inference_mode`, `onnx` is ONNX Runtime, `pte` is ExecuTorch with XNNPACK, whose
extra need not be installed: its cells are then left for another time.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

import widthwise as ww
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import find_paired_ratio, summarize, take_turns
from benchmarks.speed.extracted import NETWORKS, make_same
from widthwise.graph import Example
from widthwise.slicing import export_network
from widthwise.slicing.formats import FORMATS, Plain

__all__ = ["RESULTS", "RUNTIMES", "fill", "main", "measure"]

RESULTS = ROOT / "benchmarks/curve/results/extracted.json"
SMOKE = ROOT / "runs/benchmarks/curve_extracted.json"
RUNTIMES = {"eager": ".safetensors", "onnx": ".onnx", "pte": ".pte"}
TURNS, RUNS_PER_TURN, WARMUP = 100, 20, 20


def main() -> None:
    """Measure the cells that the file does not have yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--smoke", action="store_true", help="a few passes of one network, into runs/")
    options = parser.parse_args()
    torch.set_num_threads(1)
    fill(SMOKE, smoke=True) if options.smoke else fill(RESULTS)


def fill(path: Path, *, smoke: bool = False) -> None:
    """Measure the cells that the file does not have yet, of the runtimes that are installed."""
    turns, runs = (2, 5) if smoke else (TURNS, RUNS_PER_TURN)
    seeds = (0,) if smoke else (0, 1, 2)
    networks = ("mlp",) if smoke else tuple(NETWORKS)
    settings = {
        "networks": {name: NETWORKS[name].describe for name in networks},
        "turns": turns,
        "runs_per_turn": runs,
        "warmup": WARMUP,
    }
    record = Record.open(
        path,
        benchmark="curve/extracted",
        tier="screen" if smoke else "confirm",
        seeds=seeds,
        settings=settings,
        threads=(1,),
    )
    keys = [
        {"network": network, "width": width, "runtime": runtime, "seed": seed}
        for seed in seeds
        for network in networks
        for width in (0.25, 0.5)
        for runtime in RUNTIMES
        if runtime != "pte" or find_spec("executorch") is not None
    ]
    record.fill(keys, lambda key: measure(key, turns, runs), describe=describe)


def describe(result: Mapping[str, object]) -> str:
    return f"wall {result['wall_ratio']:.3f} of by hand, outputs {result['difference']:.1g} apart"


def measure(key: Mapping[str, object], turns: int, runs: int) -> dict[str, object]:
    """Return the latencies of both, their ratio, how far outputs are apart, and how many bytes one has more."""
    network, width = NETWORKS[str(key["network"])], cast("float", key["width"])
    generator = torch.Generator().manual_seed(cast("int", key["seed"]))
    model = ww.Elastic(network.build(1.0, generator).eval(), (torch.randn(2, *network.shape, generator=generator),))
    nets = {"extracted": model.extract(width), "by_hand": network.build(width, generator).eval()}
    x = torch.randn(1, *network.shape, generator=generator)
    make_same(nets["extracted"], nets["by_hand"], x)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        suffix = RUNTIMES[str(key["runtime"])]
        # Neither says where it comes from, so that only the networks tell their sizes apart.
        plains = {name: Plain(net=net, example=_example(x, 2), batch_axes=[0], facts={}) for name, net in nets.items()}
        sizes, works = {}, {}
        for name, plain in plains.items():
            path = Path(folder) / name / f"net{suffix}"
            path.parent.mkdir()
            with torch.inference_mode(mode=False):
                sizes[name] = export_network(plain, path, [_example(x, 1)]).size_bytes
                works[name] = _open(plain, path)
        outputs = {name: work(x) for name, work in works.items()}
        times = take_turns(
            {name: lambda work=work: work(x) for name, work in works.items()}, turns=turns, runs=runs, warmup=WARMUP
        )
    return {
        **{name: {"wall": summarize(t.wall_ns), "cpu": summarize(t.cpu_ns)} for name, t in times.items()},
        "wall_ratio": find_paired_ratio(times["extracted"].wall_ns, times["by_hand"].wall_ns, runs),
        "cpu_ratio": find_paired_ratio(times["extracted"].cpu_ns, times["by_hand"].cpu_ns, runs),
        "difference": _difference(outputs["extracted"], outputs["by_hand"]),
        "bytes": sizes["extracted"],
        "bytes_more": sizes["extracted"] - sizes["by_hand"],
    }


def _open(plain: Plain, path: Path) -> Callable[[Tensor], Tensor]:
    """Return what runs a file; weights alone are run by torch."""
    if path.suffix == ".safetensors":
        return plain.net
    read = FORMATS[path.suffix].read(plain, path)
    return lambda x: pytree.tree_leaves(read(Example(args=(x,), kwargs={})))[0]


def _example(x: Tensor, num_samples: int) -> Example:
    return Example(args=(x.expand(num_samples, *x.shape[1:]).clone(),), kwargs={})


def _difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max() / other.abs().max())


if __name__ == "__main__":
    main()
