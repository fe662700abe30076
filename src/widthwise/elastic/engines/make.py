"""Which engine runs a network: traced as a whole, traced in part, or with groups that a person names."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from torch import nn

from widthwise._shared import GroupError, TraceError, WidthError
from widthwise.elastic.engines.declared import DeclaredEngine
from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.engines.submodule import SubmoduleEngine
from widthwise.elastic.engines.traced import TracedEngine
from widthwise.elastic.laws.law import Law
from widthwise.graph import Example
from widthwise.groups import ALL, Declaration, Selection
from widthwise.groups.width import check_count
from widthwise.slicing import SlicedNetwork

__all__ = ["make_engine"]


def make_engine(
    net: nn.Module,
    example: Example | None,
    *,
    groups: Sequence[Declaration] | None,
    law: Law,
    selection: Selection,
    batch_dim: int,
    submodule: str | None,
    strict: bool,
    carried: str | None,
) -> Engine:
    """Return what runs a network; `Elastic` tells of its arguments.

    Raises:
        GroupError: `groups` stand beside what needs a trace.
        WidthError: The law rescales what only a trace tells, or has a step beside one of the groups.
        TraceError: There is neither an example nor groups.
    """
    _check_rounding(selection.round_to, law.step)
    if groups is not None:
        if replace(selection, round_to=1) != ALL or submodule is not None or strict or carried is not None:
            raise GroupError(
                "expected groups= alone, got stream=, queries=, values=, freeze=, only=, submodule=, strict= or "
                "carried= beside it, which say what to trace and to choose of what is found; name the groups you want"
            )
        if law.rescale != "none":
            raise WidthError(
                f"expected a law without rescale for named groups, got rescale={law.rescale!r}; which weights read the "
                "units only a trace tells, so use Law(rescale='none')"
            )
        return DeclaredEngine(net, groups, example, batch_dim, selection.round_to)
    if example is None:
        raise TraceError("expected example_inputs, got none; give the inputs of one call, or name the groups (groups=)")
    factor = None if law.rescale == "none" else law.factor
    options: dict[str, Any] = {"batch_dim": batch_dim, "factor": factor, "selection": selection, "strict": strict}
    if submodule is not None:
        if carried is not None:
            raise GroupError(
                f"expected submodule= or carried=, got both; a state of {submodule} stays full, so leave out carried="
            )
        return SubmoduleEngine(net, example, submodule, **options)
    return TracedEngine(SlicedNetwork(net, example, carried=carried, **options))


def _check_rounding(round_to: int, step: int) -> None:
    check_count("round_to", round_to, "use 1 for every width")
    if round_to > 1 and step > 1:
        raise WidthError(
            f"expected round_to= or a law with a step, got round_to={round_to} and step={step}; leave out step, which "
            "training alone knows of"
        )
