"""One point of a curve: a width, how good the network is there, and what it costs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast, final

from widthwise._shared import CurveError
from widthwise.curves.evidence import Evidence

__all__ = ["Point"]


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """What is known of the extracted network at one width. `model.at` and `model.extract` take a point as a width.

    Attributes:
        width: The fraction of every group; None where the groups were given one by one. 1.0 is the full network, and
            only that.
        widths: Units kept per group.
        score: The score that `Curve.pick` goes by.
        scores: Every score by name, that one included.
        params: Numbers in the parameters.
        macs: Multiply-accumulate operations of one sample.
        bytes: Size of the .safetensors file that `export` writes, to the byte.
        latency_ms: Median time of one pass at batch 1 on one thread, in milliseconds; None where it was not measured.
        latency_range_ms: 10th and 90th percentile of that time.
        latency_device: The kind of device that it was measured on, such as "cpu" or "cuda".
        memory_bytes: Most bytes that the values of one pass take at a time, at batch 1, weights left out; None where
            that is not known.
        bytes_by_dtype: Size of the .safetensors file where the weights are stored as another dtype, by its name.
        errors: Standard error of every score that is a mean over samples, by name.
        drop_errors: Standard error of the difference of such a score to that of full width on the same samples.
        evidence: What `ww.pick` rests on; None where the point was not picked by it.
    """

    width: float | None
    widths: dict[str, int]
    score: float
    scores: dict[str, float] = field(default_factory=dict[str, float])
    params: int
    macs: int
    bytes: int
    latency_ms: float | None = None
    latency_range_ms: tuple[float, float] | None = None
    latency_device: str | None = None
    memory_bytes: int | None = None
    bytes_by_dtype: dict[str, int] = field(default_factory=dict[str, int])
    errors: dict[str, float] = field(default_factory=dict[str, float])
    drop_errors: dict[str, float] = field(default_factory=dict[str, float])
    evidence: Evidence | None = None

    @property
    def flops(self) -> int:
        """Floating-point operations of one sample: two for each multiply-accumulate, and none for what `macs` omits.

        Example:
            >>> Point(width=0.25, widths={"fc1": 64}, score=0.9, params=5, macs=4, bytes=20).flops
            8
        """
        return 2 * self.macs

    @property
    def label(self) -> str:
        """The width in words: "0.25", or "fc1=64, fc2=32" where the groups were given one by one.

        Example:
            >>> Point(width=0.25, widths={"fc1": 64}, score=0.9, params=5, macs=4, bytes=20).label
            '0.25'
        """
        if self.width is not None:
            return f"{self.width:.4g}"
        return ", ".join(f"{group}={units}" for group, units in self.widths.items())

    def to_dict(self) -> dict[str, object]:
        """Return plain numbers, strings, lists and dicts that say everything about the point."""
        return {
            "width": self.width,
            "widths": dict(self.widths),
            "score": self.score,
            "scores": dict(self.scores),
            "params": self.params,
            "macs": self.macs,
            "bytes": self.bytes,
            "latency_ms": self.latency_ms,
            "latency_range_ms": None if self.latency_range_ms is None else list(self.latency_range_ms),
            "latency_device": self.latency_device,
            "memory_bytes": self.memory_bytes,
            "bytes_by_dtype": dict(self.bytes_by_dtype),
            "errors": dict(self.errors),
            "drop_errors": dict(self.drop_errors),
            "evidence": None if self.evidence is None else self.evidence.to_dict(),
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, object]) -> "Point":
        """Return the point that `to_dict` turned into `content`, or an earlier version of it, which said less.

        Raises:
            CurveError: Where an entry is missing or is not of its type.
        """
        width, latency, memory = (content.get(name) for name in ("width", "latency_ms", "memory_bytes"))
        evidence = content.get("evidence")
        return cls(
            width=None if width is None else _number(width, "width"),
            widths=_counts(content.get("widths"), "widths"),
            score=_number(content.get("score"), "score"),
            scores=_numbers(content.get("scores"), "scores"),
            params=_count(content.get("params"), "params"),
            macs=_count(content.get("macs"), "macs"),
            bytes=_count(content.get("bytes"), "bytes"),
            latency_ms=None if latency is None else _number(latency, "latency_ms"),
            latency_range_ms=_range(content.get("latency_range_ms")),
            latency_device=_word(content.get("latency_device"), "latency_device"),
            memory_bytes=None if memory is None else _count(memory, "memory_bytes"),
            bytes_by_dtype=_counts(content.get("bytes_by_dtype", {}), "bytes_by_dtype"),
            errors=_numbers(content.get("errors", {}), "errors"),
            drop_errors=_numbers(content.get("drop_errors", {}), "drop_errors"),
            evidence=None if evidence is None else Evidence.from_dict(evidence),
        )


def _number(value: object, name: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise _damaged(name, "a finite number", value)


def _count(value: object, name: str) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise _damaged(name, "a non-negative integer", value)


def _mapping(value: object, name: str) -> dict[str, object]:
    if isinstance(value, Mapping):
        return dict(cast("Mapping[str, object]", value))
    raise _damaged(name, "an object", value)


def _numbers(value: object, name: str) -> dict[str, float]:
    return {key: _number(each, key) for key, each in _mapping(value, name).items()}


def _counts(value: object, name: str) -> dict[str, int]:
    return {key: _count(each, key) for key, each in _mapping(value, name).items()}


def _word(value: object, name: str) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise _damaged(name, "a string", value)


def _range(value: object) -> tuple[float, float] | None:
    if value is None:
        return None
    if isinstance(value, list) and len(cast("list[object]", value)) == 2:
        low, high = cast("list[object]", value)
        return _number(low, "latency_range_ms"), _number(high, "latency_range_ms")
    raise _damaged("latency_range_ms", "two numbers", value)


def _damaged(name: str, expected: str, value: object) -> CurveError:
    return CurveError(
        f"expected {name} of a point to be {expected}, got {value!r}; the curve is damaged: measure it again"
    )
