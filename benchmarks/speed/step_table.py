"""The tables of training steps, on a CPU and on a GPU."""

from collections.abc import Mapping
from statistics import median
from typing import cast

from benchmarks.markdown import draw_table, find_results, spread
from benchmarks.record import Record
from benchmarks.speed.verdict import NETWORKS, describe_time, find_keys, find_ratio, judge

__all__ = ["brief_step", "brief_step_gpu", "draw_step", "draw_step_gpu"]

# What was aimed at before anything was measured.
GOALS = {"mlp_1024": 0.65, "vit": 0.8, "resnet": 0.8}
GPU_GOALS = {"mlp_4096": 0.65, "vit_s": 0.8, "resnet_18": 0.8}

_LAWS = {"log_uniform": "log-uniform", "octaves": "octaves"}
_OPTIMIZERS = {"adam": "Adam", "fused_adam": "fused Adam"}
_PHASES = ("forward", "backward", "optimizer")
_WORDS = ["network", "law", "optimiser"]
_TIMES = ["plain, ms", "elastic, ms", "ratio, wall"]

_Key = Mapping[str, object]


def draw_step(record: Record) -> str:
    """Return the steps of every network, law, optimiser and number of threads, their split, and the verdict."""
    keys = find_keys(record, "network", "law", "optimizer", "threads")
    words = [*_WORDS, "threads"]
    times = [[*_name(key), str(key["threads"]), *_step_row(record, key), *_macs_row(record, key)] for key in keys]
    splits = [[*_name(key), str(key["threads"]), *_split_row(record, key)] for key in keys]
    parts = [
        draw_table([*words, *_TIMES, "ratio, processor", "MACs, timed (all draws)"], times, num_words=4),
        "Where the time goes, plain → elastic:",
        draw_table([*words, "forward, ms", "backward, ms", "optimiser, ms"], splits, num_words=4),
        _judge_step(record, keys, GOALS),
    ]
    return "\n\n".join(parts)


def brief_step(record: Record) -> str:
    """Return the steps with plain Adam on one thread."""
    keys = [
        key
        for key in find_keys(record, "network", "law", "optimizer", "threads")
        if key["optimizer"] == "adam" and key["threads"] == 1
    ]
    header = ["Training step", "law", "plain, ms", "elastic, ms", "ratio"]
    return draw_table(header, [[*_name(key)[:2], *_step_row(record, key)[:3]] for key in keys], num_words=2)


def draw_step_gpu(record: Record) -> str:
    """Return the steps on a GPU of every network, law, optimiser and mode, their peak memory, and the verdict."""
    keys = find_keys(record, "network", "law", "optimizer", "mode")
    header = [*_WORDS, "mode", *_TIMES, "plain, MB", "elastic, MB", "ratio, memory", "MACs, timed (all draws)"]
    rows = [
        [
            *_name(key),
            str(key["mode"]),
            *_step_row(record, key)[:3],
            *_memory_row(record, key),
            *_macs_row(record, key),
        ]
        for key in keys
    ]
    return f"{draw_table(header, rows, num_words=4)}\n\n{_judge_step(record, keys, GPU_GOALS)}"


def brief_step_gpu(record: Record) -> str:
    """Return the steps with fused Adam, as it is, without compiling."""
    keys = [
        key
        for key in find_keys(record, "network", "law", "optimizer", "mode")
        if key["optimizer"] == "fused_adam" and key["mode"] == "eager"
    ]
    header = ["Training step on a GPU", "law", "plain, ms", "elastic, ms", "ratio", "ratio, memory"]
    rows = [[*_name(key)[:2], *_step_row(record, key)[:3], _memory_row(record, key)[2]] for key in keys]
    return draw_table(header, rows, num_words=2)


def _name(key: _Key) -> list[str]:
    return [NETWORKS[str(key["network"])], _LAWS[str(key["law"])], _OPTIMIZERS[str(key["optimizer"])]]


def _step_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    return [
        *(describe_time([_take(result, name, "wall_ms") for result in results]) for name in ("plain", "elastic")),
        *(spread([cast("float", result[name]) for result in results]) for name in ("wall_ratio", "cpu_ratio")),
    ]


def _macs_row(record: Record, key: _Key) -> list[str]:
    result = find_results(record, **key)[0]
    return [f"{result['macs_ratio']:.2f} ({result['law_macs_ratio']:.2f})"]


def _split_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    return [
        " → ".join(
            describe_time([_take(result, name, f"{phase}_ms") for result in results]) for name in ("plain", "elastic")
        )
        for phase in _PHASES
    ]


def _memory_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    megabytes = [
        f"{median(_take(result, name, 'peak_bytes') for result in results) / 1e6:.0f}" for name in ("plain", "elastic")
    ]
    return [*megabytes, spread([cast("float", result["peak_ratio"]) for result in results])]


def _take(result: Mapping[str, object], name: str, what: str) -> float:
    return cast("Mapping[str, Mapping[str, float]]", result)[name][what]


def _judge_step(record: Record, keys: list[dict[str, object]], goals: Mapping[str, float]) -> str:
    aims = ", ".join(f"{goal} ({NETWORKS[name]})" for name, goal in goals.items())
    missed = [
        f"{', '.join([*_name(key), _describe_way(key)])}: {ratio:.2f}"
        for key in keys
        if (ratio := find_ratio(record, key)) > goals.get(str(key["network"]), ratio)
    ]
    absent = [NETWORKS[name] for name in goals if name not in {key["network"] for key in keys}]
    # Nothing is met before it is measured.
    verdict = [judge(missed)] if missed or not absent else []
    verdict += [f"Not measured yet: {', '.join(absent)}."] if absent else []
    return f"Goal: a wall ratio of at most {aims}. {' '.join(verdict)}"


def _describe_way(key: _Key) -> str:
    return f"{key['threads']} thread{'' if key['threads'] == 1 else 's'}" if "threads" in key else str(key["mode"])
