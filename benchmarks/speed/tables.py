"""The tables of what comes after training: the speed of extracted and wrapped networks, and the demo."""

from collections.abc import Iterable, Mapping
from statistics import median
from typing import cast

from benchmarks.markdown import draw_table, find_results, spread
from benchmarks.record import Record
from benchmarks.speed.verdict import NETWORKS, describe_time, find_keys, find_ratio, judge

__all__ = [
    "brief_demo",
    "brief_extracted",
    "brief_wrapped",
    "draw_demo",
    "draw_extracted",
    "draw_wrapped",
]

# What was aimed at before anything was measured.
LATENCY_GOAL, BYTES_GOAL = 1.05, 4096
WRAPPED_GOAL = 1.02
DEMO_GOAL_S = 60

_FORMS = {"module": "own class", "graph": "graph"}

_Key = Mapping[str, object]


def draw_extracted(record: Record) -> str:
    """Return the latency of every extracted network beside that of the one built by hand, and the bytes of both."""
    keys = find_keys(record, "network", "width", "form", "batch")
    words = ["network", "width", "form", "batch"]
    header = [*words, "by hand, ms", "extracted, ms", "ratio, wall", "ratio, processor", "bytes more"]
    rows = [[*_name_extracted(key), *_extracted_row(record, key)] for key in keys]
    return draw_table(header, rows, num_words=4) + "\n\n" + _judge_extracted(record, keys)


def brief_extracted(record: Record) -> str:
    """Return the networks in their own class at batch 1."""
    keys = [
        key
        for key in find_keys(record, "network", "width", "form", "batch")
        if key["form"] == "module" and key["batch"] == 1
    ]
    header = ["Extracted network, batch 1", "by hand, ms", "extracted, ms", "ratio", "bytes more"]
    rows = [_extracted_row(record, key) for key in keys]
    names = [f"{NETWORKS[str(key['network'])]}, width {key['width']}" for key in keys]
    return draw_table(header, [[name, *row[:3], row[4]] for name, row in zip(names, rows, strict=True)])


def draw_wrapped(record: Record) -> str:
    """Return the latency of every wrapped network beside that of the bare one, and whether the goal was met."""
    keys = find_keys(record, "network", "batch")
    header = [
        "network",
        "batch",
        "bare, ms",
        "wrapped, ms",
        "ratio, wall",
        "ratio, processor",
        "in nn.Sequential, wall",
    ]
    rows = [[*_name_wrapped(key), *_wrapped_row(record, key)] for key in keys]
    ratios = {", batch ".join(_name_wrapped(key)): find_ratio(record, key) for key in keys}
    missed = [f"{name}: {ratio:.3f}" for name, ratio in ratios.items() if ratio > WRAPPED_GOAL]
    goal = f"Goal: a wall ratio of at most {WRAPPED_GOAL}."
    return f"{draw_table(header, rows, num_words=2)}\n\n{goal} {judge(missed)}"


def brief_wrapped(record: Record) -> str:
    """Return the networks on one sample."""
    keys = [key for key in find_keys(record, "network", "batch") if key["batch"] == 1]
    header = ["Elastic at full width, batch 1", "bare, ms", "wrapped, ms", "ratio"]
    return draw_table(header, [[_name_wrapped(key)[0], *_wrapped_row(record, key)[:3]] for key in keys])


def draw_demo(record: Record) -> str:
    """Return the seconds of each run of the demo."""
    results = find_results(record)
    rows = [[str(i), f"{result['wall_s']:.1f}", f"{result['cpu_s']:.1f}"] for i, result in enumerate(results, start=1)]
    slowest = max(cast("float", result["wall_s"]) for result in results)
    verdict = f"Goal: under {DEMO_GOAL_S} s on 2 cores. {judge([f'{slowest:.1f} s'] if slowest >= DEMO_GOAL_S else [])}"
    return draw_table(["run", "wall, s", "processor, s"], rows) + "\n\n" + verdict


def brief_demo(record: Record) -> str:
    """Return how long the demo takes, in one sentence."""
    seconds = [cast("float", result["wall_s"]) for result in find_results(record)]
    fastest, slowest = min(seconds), max(seconds)
    return f"`widthwise demo` takes {median(seconds):.0f} s ({fastest:.0f} to {slowest:.0f} in {len(seconds)} runs)."


def _name_extracted(key: _Key) -> list[str]:
    return [NETWORKS[str(key["network"])], str(key["width"]), _FORMS[str(key["form"])], str(key["batch"])]


def _extracted_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    return [
        describe_time([_wall(result, "by_hand") for result in results]),
        describe_time([_wall(result, "extracted") for result in results]),
        spread([cast("float", result["wall_ratio"]) for result in results]),
        spread([cast("float", result["cpu_ratio"]) for result in results]),
        str(max(cast("int", result["bytes_more"]) for result in results)),
    ]


def _name_wrapped(key: _Key) -> list[str]:
    return [NETWORKS[str(key["network"])], str(key["batch"])]


def _wrapped_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    ratios = ("wall_ratio", "cpu_ratio", "sequential_wall_ratio")
    return [
        *(describe_time([_wall(result, name) for result in results]) for name in ("bare", "wrapped")),
        *(spread([cast("float", result[name]) for result in results], digits=3) for name in ratios),
    ]


def _wall(result: Mapping[str, object], name: str) -> float:
    return cast("Mapping[str, Mapping[str, float]]", result[name])["wall"]["median_ms"]


def _judge_extracted(record: Record, keys: Iterable[_Key]) -> str:
    ratios = {", ".join(_name_extracted(key)): find_ratio(record, key) for key in keys}
    missed = [f"{name}: {ratio:.2f}" for name, ratio in ratios.items() if ratio > LATENCY_GOAL]
    most = max(cast("int", result["bytes_more"]) for result in find_results(record))
    if most > BYTES_GOAL:
        missed.append(f"{most} bytes")
    return f"Goal: a wall ratio of at most {LATENCY_GOAL}, and at most {BYTES_GOAL} bytes more. {judge(missed)}"
