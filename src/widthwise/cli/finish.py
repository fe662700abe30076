"""What is done to an extracted network before it is written, and what a file is worth: its own score."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, final

import typer
from torch import nn

from widthwise.cli.failure import report_note
from widthwise.cli.output import format_score
from widthwise.slicing import DtypeName
from widthwise.training import Run, Splits, finetune

__all__ = ["DtypeOption", "Finetune", "Finish", "RefitHead"]

_FINISH = "Finish"

DtypeOption = Annotated[
    Literal["float16", "bfloat16", "int8"] | None,
    typer.Option("--dtype", help="Of the weights in the file; its score is then measured.", rich_help_panel=_FINISH),
]
RefitHead = Annotated[
    bool,
    typer.Option("--refit-head", help="Fit the last layer again, for this width alone.", rich_help_panel=_FINISH),
]
Finetune = Annotated[
    int | None,
    typer.Option(
        "--finetune", metavar="EPOCHS", min=1, help="Train on at this width, at a tenth of the rate.",
        rich_help_panel=_FINISH,
    ),
]  # fmt: skip


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Finish:
    """What is asked for, beside the width."""

    dtype: DtypeName | None = None
    refit_head: bool = False
    epochs: int | None = None

    @property
    def is_asked(self) -> bool:
        """Whether the file will hold another network than the one that was scored."""
        return self.dtype is not None or self.refit_head or self.epochs is not None

    def make_training(self, run: Run, splits: Splits) -> Callable[[nn.Module], str] | None:
        """Return what trains an extracted network on and tells it; None where that is not asked for."""
        epochs = self.epochs
        if epochs is None:
            return None

        def train(net: nn.Module) -> str:
            found = finetune(net, run, epochs=epochs, splits=splits)
            before, after = (format_score(score, found.name) for score in (found.before, found.after))
            what = f"{before} before, {after} after" if found.is_kept else f"{before} before, no better after: undone"
            report_note(f"fine-tuned for {epochs} epochs, {found.name} on the validation split: {what}")
            return f"finetuned {epochs} epochs" if found.is_kept else "finetuning undone"

        return train
