"""What a choice by evidence rests on: which widths were tested, on how many samples, and what was found."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, final, get_args

from widthwise._shared import CurveError
from widthwise.curves.cells import align_cells

__all__ = ["Evidence", "Guarantee", "Trial", "Verdict"]

Verdict = Literal["within", "beyond", "undecided"]
Guarantee = Literal["any sample size", "many samples"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One width that was tested against the full network.

    Attributes:
        width: The fraction of every group; None where the groups were given one by one.
        widths: Units kept per group.
        verdict: "within" where the drop is proven to be at most the limit, "beyond" where it is proven to be above it,
            "undecided" where the samples that there were, or that could be paid for, prove neither.
        num_samples: On how many samples both networks were compared.
        drop: The mean drop on these samples, relative where the limit is; below 0 where the width was better.
        bound: The true drop of this width, taken alone, is at most this at the confidence that was asked for; at least
            0, and None where the samples give no bound.
    """

    width: float | None
    widths: dict[str, int]
    verdict: Verdict
    num_samples: int
    drop: float
    bound: float | None

    @property
    def label(self) -> str:
        """The width in words, as of the point that it is."""
        if self.width is not None:
            return f"{self.width:.4g}"
        return ", ".join(f"{group}={units}" for group, units in self.widths.items())


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Why a point was picked: it prints as a table of the widths that were tested.

    Attributes:
        max_drop: The limit as it was asked for.
        confidence: The probability that the true drop of what was picked keeps to it is at least this.
        guarantee: For which numbers of samples that holds: "any sample size" for scores of known bounds, else
            "many samples".
        num_available: Samples in the loader.
        num_full: Samples that the full network was run on, each once.
        num_narrow: Samples that the narrower networks were run on, all widths together.
        trials: From the widest to the narrowest; the last one that is "within" was picked, or full width where none is.
    """

    max_drop: float | str
    confidence: float
    guarantee: Guarantee
    num_available: int
    num_full: int
    num_narrow: int
    trials: tuple[Trial, ...]

    @property
    def num_samples(self) -> int:
        """Forward passes of samples in all, those of the full network among them."""
        return self.num_full + self.num_narrow

    def cells(self) -> list[list[str]]:
        """Return the table as rows of text, the first one the header."""
        sign = 100.0 if isinstance(self.max_drop, str) else 1.0
        unit = " %" if isinstance(self.max_drop, str) else ""
        header = ["width", "samples", f"drop{unit}", f"at most{unit}", f"drop <= {self.max_drop}"]
        return [
            header,
            *(
                [
                    trial.label,
                    f"{trial.num_samples:,}",
                    f"{sign * trial.drop:.4f}",
                    "-" if trial.bound is None else f"{sign * trial.bound:.4f}",
                    _WORDS[trial.verdict],
                ]
                for trial in self.trials
            ),
        ]

    def __str__(self) -> str:
        return align_cells(self.cells())

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers, strings, lists and dicts that say everything about the evidence."""
        return {
            "max_drop": self.max_drop,
            "confidence": self.confidence,
            "guarantee": self.guarantee,
            "num_available": self.num_available,
            "num_full": self.num_full,
            "num_narrow": self.num_narrow,
            "num_samples": self.num_samples,
            "trials": [
                {
                    "width": trial.width,
                    "widths": dict(trial.widths),
                    "verdict": trial.verdict,
                    "num_samples": trial.num_samples,
                    "drop": trial.drop,
                    "bound": trial.bound,
                }
                for trial in self.trials
            ],
        }

    @classmethod
    def from_dict(cls, content: object) -> "Evidence":
        """Return the evidence that `to_dict` turned into `content`.

        Raises:
            CurveError: Where an entry is missing or is not of its type.
        """
        entries = _object(content, "what is kept")
        max_drop, trials = entries.get("max_drop"), entries.get("trials")
        if not isinstance(trials, list):
            raise _damaged("trials", "a list", trials)
        return cls(
            max_drop=max_drop if isinstance(max_drop, str) else _number(entries, "max_drop"),
            confidence=_number(entries, "confidence"),
            guarantee=cast("Guarantee", _word(entries, "guarantee", get_args(Guarantee))),
            num_available=_count(entries, "num_available"),
            num_full=_count(entries, "num_full"),
            num_narrow=_count(entries, "num_narrow"),
            trials=tuple(_trial(_object(trial, "a trial")) for trial in cast("list[object]", trials)),
        )


_WORDS: Mapping[Verdict, str] = {"within": "proven", "beyond": "disproven", "undecided": "not proven"}


def _trial(entries: Mapping[str, object]) -> Trial:
    units = _object(entries.get("widths"), "widths of a trial")
    return Trial(
        width=None if entries.get("width") is None else _number(entries, "width"),
        widths={group: _count(units, group) for group in units},
        verdict=cast("Verdict", _word(entries, "verdict", get_args(Verdict))),
        num_samples=_count(entries, "num_samples"),
        drop=_number(entries, "drop"),
        bound=None if entries.get("bound") is None else _number(entries, "bound"),
    )


def _object(value: object, name: str) -> dict[str, object]:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise _damaged(name, "an object", value)


def _number(entries: Mapping[str, object], name: str) -> float:
    value = entries.get(name)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise _damaged(name, "a finite number", value)


def _count(entries: Mapping[str, object], name: str) -> int:
    value = entries.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _damaged(name, "a non-negative integer", value)


def _word(entries: Mapping[str, object], name: str, words: tuple[str, ...]) -> str:
    value = entries.get(name)
    if isinstance(value, str) and value in words:
        return value
    raise _damaged(name, f"one of {', '.join(words)}", value)


def _damaged(name: str, expected: str, value: object) -> CurveError:
    return CurveError(f"expected {name} in evidence to be {expected}, got {value!r}; the file is damaged: pick again")
