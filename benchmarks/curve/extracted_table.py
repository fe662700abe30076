"""The table of extracted networks beside those built by hand, in each runtime."""

from collections.abc import Mapping
from statistics import median
from typing import cast

from benchmarks.markdown import draw_table, find_results, spread
from benchmarks.record import Record
from benchmarks.speed.verdict import NETWORKS, describe_time, find_keys, find_ratio, judge

__all__ = ["brief_runtimes", "draw_runtimes"]

# What was aimed at before anything was measured.
LATENCY_GOAL, OUTPUT_GOAL, BYTES_GOAL = 1.05, 1e-5, 4096

_RUNTIMES = {"eager": "eager", "onnx": "ONNX Runtime", "pte": "ExecuTorch"}

_Key = Mapping[str, object]


def draw_runtimes(record: Record) -> str:
    """Return latency, outputs and bytes of every extracted network beside the one built by hand, and the verdict."""
    keys = find_keys(record, "network", "width", "runtime")
    header = [
        "network", "width", "runtime", "by hand, ms", "extracted, ms", "ratio, wall", "ratio, processor",
        "outputs apart", "bytes", "bytes more",
    ]  # fmt: skip
    rows = [[*_name(key), *_row(record, key)] for key in keys]
    return draw_table(header, rows, num_words=3) + "\n\n" + _judge(record, keys)


def brief_runtimes(record: Record) -> str:
    """Return in one sentence how far extracted networks are from those built by hand."""
    keys = find_keys(record, "network", "width", "runtime")
    slowest = max(find_ratio(record, key) for key in keys)
    names = ", ".join(_RUNTIMES[name] for name in dict.fromkeys(str(key["runtime"]) for key in keys))
    return f"Extracted networks take at most {slowest:.2f} times as long as the same built by hand, in {names}."


def _name(key: _Key) -> list[str]:
    return [NETWORKS[str(key["network"])], str(key["width"]), _RUNTIMES[str(key["runtime"])]]


def _row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    return [
        *(describe_time([_wall(result, name) for result in results]) for name in ("by_hand", "extracted")),
        *(
            spread([cast("float", result[name]) for result in results], digits=3)
            for name in ("wall_ratio", "cpu_ratio")
        ),
        f"{max(cast('float', result['difference']) for result in results):.0e}",
        f"{median(cast('int', result['bytes']) for result in results):,.0f}",
        str(max(cast("int", result["bytes_more"]) for result in results)),
    ]


def _judge(record: Record, keys: list[dict[str, object]]) -> str:
    missed: list[str] = []
    for key in keys:
        name, results = ", ".join(_name(key)), find_results(record, **key)
        if (ratio := find_ratio(record, key)) > LATENCY_GOAL:
            missed.append(f"{name}: {ratio:.2f}")
        if (apart := max(cast("float", result["difference"]) for result in results)) > OUTPUT_GOAL:
            missed.append(f"{name}: outputs {apart:.0e} apart")
        if (more := max(cast("int", result["bytes_more"]) for result in results)) > BYTES_GOAL:
            missed.append(f"{name}: {more} bytes")
    return (
        f"Goal: a wall ratio of at most {LATENCY_GOAL}, outputs within {OUTPUT_GOAL:g}, at most {BYTES_GOAL} bytes "
        f"more. {judge(missed)}"
    )


def _wall(result: Mapping[str, object], name: str) -> float:
    return cast("Mapping[str, Mapping[str, float]]", result[name])["wall"]["median_ms"]
