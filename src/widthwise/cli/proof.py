"""A choice by evidence on the command line."""

from pathlib import Path
from typing import Annotated

import typer

from widthwise.curves import Limits, Point, pick
from widthwise.training import Run, build_task

__all__ = ["Confidence", "prove_point"]

Confidence = Annotated[
    float | None,
    typer.Option(
        "--confidence",
        metavar="SHARE",
        help="With --max-drop: prove the drop on as many validation samples as that takes, this sure, such as 0.95.",
        rich_help_panel="Budget",
    ),
]


def prove_point(run: Run, limits: Limits, confidence: float, data: Path | None) -> Point:
    """Return the smallest network whose drop is proven on the validation samples.

    Raises:
        BadParameter: Other limits stand beside the drop, or the confidence is no share.
    """
    if limits.max_drop is None or limits != Limits(max_drop=limits.max_drop):
        raise typer.BadParameter("expected --confidence with --max-drop and no other limit; leave the others out")
    if not 0 < confidence < 1:
        raise typer.BadParameter(f"expected --confidence to lie between 0 and 1, got {confidence:g}; 0.95 is usual")
    model = run.load_model()
    task = build_task(run.recipe, run.load_data(data), model.net)
    return pick(
        model,
        task.score(),
        max_drop=limits.max_drop,
        confidence=confidence,
        calibrate=task.calibration_batches(),
    )
