"""An extracted network against the same network built by hand at that size: latency and bytes on disk.

    python -m benchmarks.speed.extracted            all cells; continues where it was stopped
    python -m benchmarks.speed.extracted --smoke    a few passes of one network, into runs/

Both hold the same numbers (the weights of the one are loaded into the other) and run in one process, in turns, in eval
mode under `torch.inference_mode`. `form` is what `extract` returns: "module" is the network's own class, "graph" a
`torch.fx.GraphModule`.
"""

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_model
from torch import nn

import widthwise as ww
from benchmarks.record import ROOT, Record
from benchmarks.speed.clock import find_ratio, summarize, take_turns
from widthwise.slicing import Form
from widthwise.zoo import build_model

__all__ = ["RESULTS", "main", "measure"]

RESULTS = ROOT / "benchmarks/speed/results/extracted.json"
SMOKE = ROOT / "runs/benchmarks/extracted.json"
# Turns and passes per turn of either network, by batch.
PASSES = {1: (100, 20), 256: (50, 4)}
WARMUP = 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """A network of the zoo at any fraction of its width, as one would write it by hand."""

    shape: tuple[int, ...]
    build: Callable[[float, torch.Generator], nn.Module]
    describe: str


def _build_mlp(fraction: float, generator: torch.Generator) -> nn.Module:
    width = round(1024 * fraction)
    return build_model("mlp", generator=generator, sizes=[784, width, width, 10])


def _build_resnet(fraction: float, generator: torch.Generator) -> nn.Module:
    widths = [round(width * fraction) for width in (16, 24, 48)]
    return build_model("resnet", generator=generator, in_channels=3, widths=widths)


NETWORKS = {
    "mlp": Network(shape=(784,), build=_build_mlp, describe="MLP 784-1024-1024-10, ReLU"),
    "resnet": Network(shape=(3, 32, 32), build=_build_resnet, describe="ResidualConvNet 16-24-48 on 3x32x32"),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Time extracted networks against the same built by hand.")
    parser.add_argument("--smoke", action="store_true", help="a few passes of one network, into runs/")
    arguments = parser.parse_args()
    fill(SMOKE, smoke=True) if arguments.smoke else fill(RESULTS)


def fill(path: Path, *, smoke: bool = False) -> None:
    """Measure the cells that the file does not have yet."""
    passes = {1: (2, 5)} if smoke else PASSES
    seeds = (0,) if smoke else (0, 1, 2)
    networks = {"mlp": NETWORKS["mlp"]} if smoke else NETWORKS
    settings = {
        "networks": {name: network.describe for name, network in networks.items()},
        "turns_and_runs_per_turn": passes,
        "warmup": WARMUP,
    }
    torch.set_num_threads(1)
    record = Record.open(
        path,
        benchmark="speed/extracted",
        tier="screen" if smoke else "confirm",
        seeds=seeds,
        settings=settings,
        threads=(1,),
    )
    keys = [
        {"network": network, "width": width, "form": form, "batch": batch, "seed": seed}
        for seed in seeds
        for network in networks
        for width in (0.25, 0.5)
        for form in ("module", "graph")
        for batch in passes
    ]
    record.fill(keys, lambda key: measure(key, *passes[cast("int", key["batch"])]), describe=describe)


def describe(result: Mapping[str, object]) -> str:
    return f"wall {result['wall_ratio']:.3f} of by hand, {result['bytes_more']:+d} bytes"


def measure(key: Mapping[str, object], turns: int, runs: int) -> dict[str, object]:
    """Return the latencies of both, their ratios, and how many bytes the extracted file has more."""
    network, width = NETWORKS[cast("str", key["network"])], cast("float", key["width"])
    generator = torch.Generator().manual_seed(cast("int", key["seed"]))
    model = ww.Elastic(network.build(1.0, generator).eval(), (torch.randn(2, *network.shape, generator=generator),))
    extracted = model.extract(width, form=cast("Form", key["form"]))
    by_hand = network.build(width, generator).eval()
    x = torch.randn(cast("int", key["batch"]), *network.shape, generator=generator)
    make_same(extracted, by_hand, x)
    with torch.inference_mode():
        times = take_turns(
            {"extracted": lambda: extracted(x), "by_hand": lambda: by_hand(x)}, turns=turns, runs=runs, warmup=WARMUP
        )
    sizes = measure_files(model, width, by_hand)
    return {
        **{name: {"wall": summarize(t.wall_ns), "cpu": summarize(t.cpu_ns)} for name, t in times.items()},
        "wall_ratio": find_ratio(times["extracted"].wall_ns, times["by_hand"].wall_ns),
        "cpu_ratio": find_ratio(times["extracted"].cpu_ns, times["by_hand"].cpu_ns),
        **sizes,
    }


def make_same(extracted: nn.Module, by_hand: nn.Module, x: torch.Tensor) -> None:
    """Load the weights of the one into the other, and make sure that they are one network."""
    # Not strict: a graph has no use for the number of batches that a norm has seen.
    by_hand.load_state_dict(extracted.state_dict(), strict=False)
    with torch.inference_mode():
        torch.testing.assert_close(extracted(x), by_hand(x))


def measure_files(model: ww.Elastic, width: float, by_hand: nn.Module) -> dict[str, int]:
    """Return the bytes of the exported file, and how many it has more than the file of the network built by hand."""
    with tempfile.TemporaryDirectory() as folder:
        exported, plain = Path(folder) / "exported.safetensors", Path(folder) / "plain.safetensors"
        ww.export(model, width, exported)
        save_model(by_hand, str(plain))
        size = exported.stat().st_size
        return {"bytes": size, "bytes_more": size - plain.stat().st_size}


if __name__ == "__main__":
    main()
