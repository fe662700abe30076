"""The tables of the speed benchmarks."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import median
from typing import cast

from benchmarks.markdown import MISSING, draw_table, find_results, spread
from benchmarks.record import Record

__all__ = [
    "brief_demo",
    "brief_extracted",
    "brief_step",
    "draw_demo",
    "draw_extracted",
    "draw_step",
]

# What was aimed at before anything was measured.
STEP_GOAL, STEP_GOAL_WIDTH = 0.65, 1024
LATENCY_GOAL, BYTES_GOAL = 1.05, 4096
DEMO_GOAL_S = 60

_OPTIMIZERS = {"adam": "Adam", "fused_adam": "fused Adam"}
_NETWORKS = {"mlp": "MLP", "resnet": "ResidualConvNet"}
_PHASES = ("forward", "backward", "optimizer")
_FORMS = {"module": "own class", "graph": "graph"}

_Key = Mapping[str, object]


def draw_step(record: Record) -> str:
    """Return the steps of every width, optimiser and number of threads, their split, and whether the goal was met."""
    keys = _keys(record, "width", "optimizer", "threads")
    names = [[str(key["width"]), _OPTIMIZERS[str(key["optimizer"])], str(key["threads"])] for key in keys]
    times = [[*name, *_step_row(record, key)] for name, key in zip(names, keys, strict=True)]
    splits = [[*name, *_split_row(record, key)] for name, key in zip(names, keys, strict=True)]
    words = ["W", "optimiser", "threads"]
    header = [*words, "plain, ms", "default law, ms", "ratio, wall", "ratio, processor", "MACs"]
    parts = [
        draw_table(header, times, num_words=3),
        "Where the time goes, plain → default law:",
        draw_table([*words, "forward, ms", "backward, ms", "optimiser, ms"], splits, num_words=3),
        _judge_step(record),
    ]
    return "\n\n".join(parts)


def brief_step(record: Record) -> str:
    """Return the steps with plain Adam on one thread."""
    keys = [
        key
        for key in _keys(record, "width", "optimizer", "threads")
        if key["optimizer"] == "adam" and key["threads"] == 1
    ]
    header = ["Training step of an MLP 784-W-W-10", "plain, ms", "default law, ms", "ratio"]
    return draw_table(header, [[f"W = {key['width']}", *_step_row(record, key)[:3]] for key in keys])


def draw_extracted(record: Record) -> str:
    """Return the latency of every extracted network beside that of the one built by hand, and the bytes of both."""
    keys = _keys(record, "network", "width", "form", "batch")
    words = ["network", "width", "form", "batch"]
    header = [*words, "by hand, ms", "extracted, ms", "ratio, wall", "ratio, processor", "bytes more"]
    rows = [[*_name_extracted(key), *_extracted_row(record, key)] for key in keys]
    return draw_table(header, rows, num_words=4) + "\n\n" + _judge_extracted(record, keys)


def brief_extracted(record: Record) -> str:
    """Return the networks in their own class at batch 1."""
    keys = [
        key
        for key in _keys(record, "network", "width", "form", "batch")
        if key["form"] == "module" and key["batch"] == 1
    ]
    header = ["Extracted network, batch 1", "by hand, ms", "extracted, ms", "ratio", "bytes more"]
    rows = [_extracted_row(record, key) for key in keys]
    names = [f"{_NETWORKS[str(key['network'])]}, width {key['width']}" for key in keys]
    return draw_table(header, [[name, *row[:3], row[4]] for name, row in zip(names, rows, strict=True)])


def draw_demo(record: Record) -> str:
    """Return the seconds of each run of the demo."""
    results = find_results(record)
    rows = [[str(i), f"{result['wall_s']:.1f}", f"{result['cpu_s']:.1f}"] for i, result in enumerate(results, start=1)]
    slowest = max(cast("float", result["wall_s"]) for result in results)
    verdict = (
        f"Goal: under {DEMO_GOAL_S} s on 2 cores. {_judge([f'{slowest:.1f} s'] if slowest >= DEMO_GOAL_S else [])}"
    )
    return draw_table(["run", "wall, s", "processor, s"], rows) + "\n\n" + verdict


def brief_demo(record: Record) -> str:
    """Return how long the demo takes, in one sentence."""
    seconds = [cast("float", result["wall_s"]) for result in find_results(record)]
    fastest, slowest = min(seconds), max(seconds)
    return f"`widthwise demo` takes {median(seconds):.0f} s ({fastest:.0f} to {slowest:.0f} in {len(seconds)} runs)."


def _keys(record: Record, *names: str) -> list[dict[str, object]]:
    """The keys without what is not named, such as the seed; each once, in the order in which they were measured."""
    keys = dict.fromkeys(tuple(cell.key[name] for name in names) for cell in record.cells)
    return [dict(zip(names, key, strict=True)) for key in keys]


def _name_step(key: _Key) -> str:
    return f"{key['width']}, {_OPTIMIZERS[str(key['optimizer'])]}, {key['threads']}"


def _name_extracted(key: _Key) -> list[str]:
    return [_NETWORKS[str(key["network"])], str(key["width"]), _FORMS[str(key["form"])], str(key["batch"])]


def _step_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    return [
        _time([_wall(result, "plain") for result in results]),
        _time([_wall(result, "elastic") for result in results]),
        spread([cast("float", result["wall_ratio"]) for result in results]),
        spread([cast("float", result["cpu_ratio"]) for result in results]),
        f"{results[0]['macs_ratio']:.2f}",
    ]


def _extracted_row(record: Record, key: _Key) -> list[str]:
    results = find_results(record, **key)
    return [
        _time([_wall(result, "by_hand") for result in results]),
        _time([_wall(result, "extracted") for result in results]),
        spread([cast("float", result["wall_ratio"]) for result in results]),
        spread([cast("float", result["cpu_ratio"]) for result in results]),
        str(max(cast("int", result["bytes_more"]) for result in results)),
    ]


def _wall(result: Mapping[str, object], name: str) -> float:
    return cast("Mapping[str, Mapping[str, float]]", result[name])["wall"]["median_ms"]


def _split_row(record: Record, key: _Key) -> list[str]:
    results = cast("list[Mapping[str, Mapping[str, float]]]", find_results(record, **key))
    return [
        " → ".join(_time([result[name][f"{phase}_ms"] for result in results]) for name in ("plain", "elastic"))
        for phase in _PHASES
    ]


def _time(values_ms: Sequence[float]) -> str:
    return f"{median(values_ms):.3g}" if values_ms else MISSING


def _judge_step(record: Record) -> str:
    goal = f"Goal: a wall ratio of at most {STEP_GOAL} at W = {STEP_GOAL_WIDTH}."
    keys = [key for key in _keys(record, "width", "optimizer", "threads") if key["width"] == STEP_GOAL_WIDTH]
    if not keys:
        return f"{goal} Not measured yet."
    ratios = {_name_step(key): _ratio(record, key) for key in keys}
    return f"{goal} {_judge([f'{name}: {ratio:.2f}' for name, ratio in ratios.items() if ratio > STEP_GOAL])}"


def _judge_extracted(record: Record, keys: Iterable[_Key]) -> str:
    ratios = {", ".join(_name_extracted(key)): _ratio(record, key) for key in keys}
    missed = [f"{name}: {ratio:.2f}" for name, ratio in ratios.items() if ratio > LATENCY_GOAL]
    most = max(cast("int", result["bytes_more"]) for result in find_results(record))
    if most > BYTES_GOAL:
        missed.append(f"{most} bytes")
    return f"Goal: a wall ratio of at most {LATENCY_GOAL}, and at most {BYTES_GOAL} bytes more. {_judge(missed)}"


def _ratio(record: Record, key: _Key) -> float:
    return median(cast("float", result["wall_ratio"]) for result in find_results(record, **key))


def _judge(missed: Sequence[str]) -> str:
    return f"Missed by: {'; '.join(missed)}." if missed else "Met."
