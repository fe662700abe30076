"""The options that several verbs share, and how text from the command line becomes what the rooms take."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from widthwise.curves import Limits

__all__ = [
    "AsJson",
    "DataFolder",
    "MaxBytes",
    "MaxDrop",
    "MaxLatency",
    "MaxMacs",
    "MaxMemory",
    "MaxParams",
    "MinScore",
    "RunFolder",
    "Source",
    "make_limits",
    "parse_drop",
]

_BUDGET = "Budget"

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.", show_default=False)]
DataFolder = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder with the files of the data set; else WIDTHWISE_DATA, else a download."
    ),
]
Source = Annotated[
    Literal["curve", "search"],
    typer.Option("--from", help="Which points to pick from: the curve, or what `widthwise search` found."),
]
MaxParams = Annotated[int | None, typer.Option("--max-params", min=1, help="Most parameters.", rich_help_panel=_BUDGET)]
MaxMacs = Annotated[
    int | None, typer.Option("--max-macs", min=1, help="Most MACs per sample.", rich_help_panel=_BUDGET)
]
MaxBytes = Annotated[
    int | None,
    typer.Option(
        "--max-bytes",
        min=1,
        help="Largest file, in bytes; the curve knows that of .safetensors.",
        rich_help_panel=_BUDGET,
    ),
]
MaxLatency = Annotated[
    float | None,
    typer.Option(
        "--max-latency-ms", help="Longest median time of a pass, batch 1, one thread.", rich_help_panel=_BUDGET
    ),
]
MaxMemory = Annotated[
    int | None,
    typer.Option(
        "--max-memory",
        min=1,
        help="Most bytes of activations in a pass, batch 1; the weights come on top.",
        rich_help_panel=_BUDGET,
    ),
]
MinScore = Annotated[
    float | None,
    typer.Option("--min-score", help="Least score; an accuracy is between 0 and 1.", rich_help_panel=_BUDGET),
]
MaxDrop = Annotated[
    str | None,
    typer.Option(
        "--max-drop",
        metavar="DROP",
        help="Most that the score may drop below full width: 0.01 is one point of accuracy, 1% is relative.",
        rich_help_panel=_BUDGET,
    ),
]


def make_limits(
    *,
    max_params: int | None,
    max_macs: int | None,
    max_bytes: int | None,
    max_latency_ms: float | None,
    max_memory: int | None,
    min_score: float | None,
    max_drop: str | None,
) -> Limits | None:
    """Return the limits that the budget options ask for, None where none is set.

    Raises:
        typer.BadParameter: Where one of them makes no sense.
    """
    given = (max_params, max_macs, max_bytes, max_latency_ms, max_memory, min_score, max_drop)
    if all(limit is None for limit in given):
        return None
    try:
        return Limits(
            max_params=max_params,
            max_macs=max_macs,
            max_bytes=max_bytes,
            max_latency_ms=max_latency_ms,
            max_memory=max_memory,
            min_score=min_score,
            max_drop=None if max_drop is None else parse_drop(max_drop),
        )
    except ValueError as cause:
        raise typer.BadParameter(str(cause)) from cause


def parse_drop(text: str) -> float | str:
    """Return a drop in the unit of the score as a number, a relative one ("1%") as the text that it is."""
    try:
        return float(text)
    except ValueError:
        return text
