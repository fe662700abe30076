"""`widthwise search`: a width for each group of a run under budgets, in place of one fraction for all."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from widthwise._shared import NoPointError
from widthwise.cli.options import AsJson, DataFolder, RunFolder
from widthwise.cli.output import say, say_json
from widthwise.cli.points import describe_point, open_run, say_refusal
from widthwise.curves import Curve, Limits
from widthwise.curves import search as search_widths
from widthwise.curves.groupwise.budget import LIMITS, limited_costs, make_budgets
from widthwise.curves.pick import find_nearest
from widthwise.training import Run, build_task

__all__ = ["EXAMPLE", "search"]

EXAMPLE = "widthwise search runs/mnist --max-macs 100000,50000"

Kind = Literal["greedy", "evolution"]
Amounts = dict[str, list[int] | list[float] | None]

_BUDGET = "Budget"
_WORDS = {
    "params": "parameters",
    "macs": "MACs",
    "bytes": "bytes",
    "latency_ms": "ms",
    "memory_bytes": "bytes of activations",
}


def _amounts(flag: str, words: str) -> typer.models.OptionInfo:
    return typer.Option(flag, metavar="N,N,...", help=words, rich_help_panel=_BUDGET)


MaxParams = Annotated[str | None, _amounts("--max-params", "Most parameters; several numbers are searched in one run.")]
MaxMacs = Annotated[str | None, _amounts("--max-macs", "Most MACs per sample, likewise.")]
MaxBytes = Annotated[str | None, _amounts("--max-bytes", "Largest .safetensors file, in bytes, likewise.")]
MaxLatency = Annotated[
    str | None, _amounts("--max-latency-ms", "Longest median time of a pass, batch 1, one thread, likewise; slower.")
]
MaxMemory = Annotated[
    str | None, _amounts("--max-memory", "Most bytes of activations at a time, batch 1, likewise; weights come on top.")
]
Method = Annotated[
    Kind,
    typer.Option("--method", help="How to search; evolution is there to compare with, and takes longer."),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", min=1, help="Validation samples that networks are compared on; 2,048 where not given."),
]
NoLatency = Annotated[bool, typer.Option("--no-latency", help="Do not time the networks that are found.")]


def search(
    run: RunFolder,
    max_params: MaxParams = None,
    max_macs: MaxMacs = None,
    max_bytes: MaxBytes = None,
    max_latency_ms: MaxLatency = None,
    max_memory: MaxMemory = None,
    method: Method = "greedy",
    samples: Samples = None,
    no_latency: NoLatency = False,
    data: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Find the widths of each group that score best under a budget; writes search.json, and goes on where it stopped.

    Worth it for a run that was trained with --set elastic.sharing=jittered. Limits on several costs hold together, and
    one of them may be several numbers. Exits 3 where the narrowest network does not fit.
    """
    amounts: Amounts = {
        "max_params": _parse("--max-params", max_params, int),
        "max_macs": _parse("--max-macs", max_macs, int),
        "max_bytes": _parse("--max-bytes", max_bytes, int),
        "max_latency_ms": _parse("--max-latency-ms", max_latency_ms, float),
        "max_memory": _parse("--max-memory", max_memory, int),
    }
    budgets = _check(amounts)
    opened = open_run(run)
    try:
        found = _search(opened, amounts, method, samples=samples, latency=not no_latency, data=data)
    except NoPointError as error:
        if as_json:
            known = Curve.load(opened.search_path)
            say_refusal(error, find_nearest(known.points, budgets[-1], higher_is_better=known.higher_is_better))
        raise
    _tell(found, budgets, as_json=as_json)
    if not as_json:
        say(f"written: {opened.search_path}")
        say(f"next: widthwise export {run} --from search {_flags(budgets[-1])}")


def _search(
    run: Run, amounts: Amounts, method: Kind, *, samples: int | None, latency: bool, data: Path | None
) -> Curve:
    """Return what is found on the validation split, with the score on the test split beside it."""
    model = run.load_model()
    task = build_task(run.recipe, run.load_data(data), model.net)
    test = task.score("test")
    return search_widths(
        model,
        task.score(),
        max_params=amounts["max_params"],
        max_macs=amounts["max_macs"],
        max_bytes=amounts["max_bytes"],
        max_latency_ms=amounts["max_latency_ms"],
        max_memory=amounts["max_memory"],
        method=method,
        num_samples=samples,
        calibrate=task.calibration_batches(),
        latency=latency,
        path=run.search_path,
        extra_scores={test.name: test},
    )


def _tell(found: Curve, budgets: Sequence[Limits], *, as_json: bool) -> None:
    answers = [(budget, found.pick(**asdict(budget))) for budget in budgets]
    if as_json:
        listed = [{**limited_costs(budget), "point": point.to_dict()} for budget, point in answers]
        say_json({"answers": listed, "curve": found.to_dict()})
        return
    for budget, point in answers:
        say(f"at most {_describe(budget)}:")
        say(describe_point(point, found))


def _parse(flag: str, text: str | None, kind: type[int] | type[float]) -> list[int] | list[float] | None:
    if text is None:
        return None
    try:
        return [kind(part) for part in text.split(",")]  # pyright: ignore[reportReturnType]
    except ValueError as cause:
        raise typer.BadParameter(
            f"expected numbers between commas for {flag}, such as 200000,100000, got '{text}'; write such numbers"
        ) from cause


def _check(amounts: Amounts) -> tuple[Limits, ...]:
    try:
        return make_budgets(**amounts)
    except ValueError as cause:
        raise typer.BadParameter(str(cause)) from cause


def _describe(budget: Limits) -> str:
    return " and ".join(f"{limit:,} {_WORDS[name]}" for name, limit in limited_costs(budget).items())


def _flags(budget: Limits) -> str:
    return " ".join(f"--{LIMITS[name].replace('_', '-')} {limit}" for name, limit in limited_costs(budget).items())
