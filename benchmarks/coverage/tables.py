"""The page of which networks work, and the comparison with Torch-Pruning."""

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.coverage.subjects import ZOOS
from benchmarks.coverage.verdict import find_faults, find_faults_of_pruning, shares_of
from benchmarks.markdown import MISSING, draw_table
from benchmarks.record import Record

__all__ = ["GOAL_PASSED", "GOAL_TIME", "brief_coverage", "draw_comparison", "draw_models"]

# What was aimed at before anything was measured.
GOAL_PASSED, GOAL_TIME = 0.97, 1.5

_ZOOS = {
    "torchvision": "torchvision",
    "timm": "timm",
    "transformers": "Hugging Face transformers",
    "own": "Networks as users write them",
}

# Of two depths each, to see how time grows with the graph.
_DEPTHS = [
    ("torchvision", "resnet18"),
    ("torchvision", "resnet152"),
    ("torchvision", "densenet121"),
    ("torchvision", "densenet201"),
    ("own", "nanoGPT"),
    ("own", "nanoGPT of 48 blocks"),
]

_Result = Mapping[str, Any]
_Results = Mapping[tuple[str, str], _Result]


def draw_comparison(record: Record) -> str:
    """Return how many networks of each zoo pass with either tool, and where both do, which can shrink more."""
    ours, theirs = _results_of(record, "widthwise"), _results_of(record, "torch-pruning")
    rows = [
        [title, *_compare({key: ours[key] for key in ours if key[0] == zoo}, theirs)] for zoo, title in _ZOOS.items()
    ]
    rows.append(["all", *_compare(ours, theirs)])
    header = ["networks", "number", "widthwise passes", "Torch-Pruning passes", "both", "ours shrinks as much or more"]
    parts = [draw_table(header, rows), _judge_passed(ours), _judge_time(ours), *_draw_growth(ours)]
    return "\n\n".join(parts)


def brief_coverage(record: Record) -> str:
    """Return the comparison in a sentence."""
    ours, theirs = _results_of(record, "widthwise"), _results_of(record, "torch-pruning")
    number, passed, passed_there, *_ = _compare(ours, theirs)
    return f"Of {number} networks {passed} pass with widthwise, {passed_there} with Torch-Pruning."


def draw_models(record: Record) -> str:
    """Return a table of every network by zoo, and one of the reasons for which axes keep their size."""
    ours, theirs = _results_of(record, "widthwise"), _results_of(record, "torch-pruning")
    parts: list[str] = []
    for zoo, title in _ZOOS.items():
        chosen = {key: result for key, result in ours.items() if key[0] == zoo}
        if chosen:
            rows = [_draw_row(key[1], result, theirs.get(key)) for key, result in chosen.items()]
            parts += [f"## {title}", draw_table(_HEADER, rows), *_draw_failures(chosen)]
    return "\n\n".join([*parts, "## Why axes keep their size", _draw_reasons(ours)])


_HEADER = [
    "network", "groups", "can shrink, %", "left at 1/2, %", "form", "operators", "torch.export, s", "ours, s", "verify",
    "passes", "Torch-Pruning, %",
]  # fmt: skip


def _draw_row(name: str, result: _Result, other: _Result | None) -> list[str]:
    verdict = "no" if find_faults(result) else "yes"
    there = _draw_pruning(other)
    if "shares" not in result:
        return [name, *[MISSING] * 8, verdict, there]
    shares = shares_of(result)
    half: _Result = result.get("half", {})
    left = f"{100 * half['num_parameters'] / shares.num_parameters:.0f}" if half else MISSING
    return [
        name,
        str(result["num_groups"]),
        f"{100 * shares.inside:.1f}",
        left,
        str(half.get("form", MISSING)),
        str(result["num_nodes"]),
        f"{result['export_s']:.1f}",
        f"{result['infer_s']:.1f}",
        str(result.get("verify", MISSING)).partition(":")[0],
        verdict,
        there,
    ]


def _draw_pruning(result: _Result | None) -> str:
    """Return the share of all parameters that shrank, and whether it passed."""
    if result is None:
        return MISSING
    return "fails" if find_faults_of_pruning(result) else f"{100 * result['num_shrunk'] / result['num_parameters']:.1f}"


def _draw_failures(results: _Results) -> list[str]:
    """Return a list of the networks that do not pass, with their faults."""
    lines = [f"- {name}: {'; '.join(map(_escape, find_faults(result)))}" for (_, name), result in results.items()]
    lines = [line for line, result in zip(lines, results.values(), strict=True) if find_faults(result)]
    return ["Those that do not pass:", "\n".join(lines)] if lines else []


def _draw_reasons(results: _Results) -> str:
    """Return how many axes each reason holds, and in how many networks."""
    axes: Counter[str] = Counter()
    networks: Counter[str] = Counter()
    for result in results.values():
        axes.update(result.get("reasons", {}))
        networks.update(list(result.get("reasons", {})))
    rows = [[_escape(reason), str(number), str(networks[reason])] for reason, number in axes.most_common()]
    return draw_table(["reason", "axes", "networks"], rows)


def _compare(ours: _Results, theirs: _Results) -> list[str]:
    passed = [key for key, result in ours.items() if not find_faults(result)]
    measured = {key: result for key, result in theirs.items() if key in ours}
    passed_there = [key for key, result in measured.items() if not find_faults_of_pruning(result)]
    both = [key for key in passed if key in passed_there]
    # Of all parameters, since the other tool knows no edges; a thousandth is what rounding leaves.
    as_much = [
        key
        for key in both
        if shares_of(ours[key]).whole >= theirs[key]["num_shrunk"] / theirs[key]["num_parameters"] - 1e-3
    ]
    there = f"{len(passed_there)} of {len(measured)}" if len(measured) < len(ours) else str(len(passed_there))
    return [str(len(ours)), str(len(passed)), there, str(len(both)), str(len(as_much))]


def _judge_passed(ours: _Results) -> str:
    passed = sum(not find_faults(result) for result in ours.values())
    words = f"Goal: at least {GOAL_PASSED:.0%} of the networks pass."
    if not ours:
        return f"{words} Not measured yet."
    number = sum(len(list_zoo()) for list_zoo in ZOOS.values())
    if len(ours) < number:
        share = f"of those measured {passed / len(ours):.1%} pass"
        return f"{words} Not judged, since {number - len(ours)} of {number} networks are not measured yet; {share}."
    return f"{words} {'Met' if passed >= GOAL_PASSED * len(ours) else 'Missed'}: {passed / len(ours):.1%}."


def _judge_time(ours: _Results) -> str:
    ratios = _ratios(list(ours.values()))
    words = f"Goal: trace and inference together take at most {GOAL_TIME:g} times as long as torch.export alone."
    if not ratios:
        return f"{words} Not measured yet."
    slower = sum(ratio > GOAL_TIME for ratio in ratios)
    verdict = "Met" if not slower else f"Missed by {slower} of {len(ratios)}"
    verdict = f"{verdict}; median {median(ratios):.2f}, largest {max(ratios):.2f}."
    same = _ratios(list(ours.values()), "same_export_s")
    if not same:
        return f"{words} {verdict}"
    slower = sum(ratio > GOAL_TIME for ratio in same)
    return (
        f"{words} Against torch.export with a dynamic batch alone: {verdict} Ours leaves the lengths of sequences "
        f"dynamic too; against torch.export that does the same: {len(same) - slower} of {len(same)} within the goal, "
        f"median {median(same):.2f}, largest {max(same):.2f}."
    )


def _draw_growth(ours: _Results) -> list[str]:
    """Return a table of the time per operator at several depths; nothing where none of them was measured."""
    found = {key: ours[key] for key in _DEPTHS if ours.get(key, {}).get("infer_s")}
    rows = [
        [
            name,
            str(result["num_nodes"]),
            f"{1000 * result['export_s'] / result['num_nodes']:.1f}",
            f"{1000 * result['infer_s'] / result['num_nodes']:.1f}",
        ]
        for (_, name), result in found.items()
    ]
    header = ["network", "operators", "torch.export, ms per operator", "ours, ms per operator"]
    return ["How time grows with the graph:", draw_table(header, rows)] if rows else []


def _ratios(results: Sequence[_Result], export: str = "export_s") -> list[float]:
    return [result["infer_s"] / result[export] for result in results if result.get("infer_s") and result.get(export)]


def _results_of(record: Record, tool: str) -> _Results:
    return {
        (str(cell.key["zoo"]), str(cell.key["name"])): cell.result for cell in record.cells if cell.key["tool"] == tool
    }


def _escape(text: str) -> str:
    """Return text that a table of Markdown, and a page, show as it is."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
