"""What the tables of the speed benchmarks have in common: names, times, and whether a goal was met."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import cast

from benchmarks.markdown import MISSING, find_results
from benchmarks.record import Record

__all__ = ["NETWORKS", "describe_time", "find_keys", "find_ratio", "judge"]

NETWORKS: Mapping[str, str] = {
    "mlp": "MLP",
    "resnet": "ResidualConvNet",
    "mlp_256": "MLP 256",
    "mlp_1024": "MLP 1024",
    "vit": "ViT",
    "mlp_4096": "MLP 4096",
    "vit_s": "ViT-S/16",
    "resnet_18": "ResNet-18",
}
"""The words for the networks of the result files."""


def find_keys(record: Record, *names: str) -> list[dict[str, object]]:
    """Return the keys without what is not named, such as the seed; each once, in the order of their measurement."""
    keys = dict.fromkeys(tuple(cell.key[name] for name in names) for cell in record.cells)
    return [dict(zip(names, key, strict=True)) for key in keys]


def find_ratio(record: Record, key: Mapping[str, object], name: str = "wall_ratio") -> float:
    """Return the median of a ratio over the cells of a key."""
    return median(cast("float", result[name]) for result in find_results(record, **key))


def describe_time(values_ms: Sequence[float]) -> str:
    """Return the median of times."""
    return f"{median(values_ms):.3g}" if values_ms else MISSING


def judge(missed: Sequence[str]) -> str:
    """Return whether a goal was met, or what missed it."""
    return f"Missed by: {'; '.join(missed)}." if missed else "Met."
