"""Compile an elastic model: one graph for each width of its law's grid.

A graph holds for one set of sizes, and compiling one takes seconds. So it pays for widths that come again and again:
those of a law with `widths`, and with a `step` so large that few are left.
"""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import nn

from widthwise._shared import WidthWarning
from widthwise.elastic.drawing import Drawing
from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.laws.law import Law
from widthwise.elastic.step import reached_groups
from widthwise.groups.width import check_count
from widthwise.slicing import Compilation

__all__ = ["MAX_GRAPHS", "CompiledByWidth", "find_grid"]

MAX_GRAPHS = 16
"""The most graphs of one mode, unless a caller says otherwise."""

Grid = dict[str, Collection[int]]


class CompiledByWidth(nn.Module):
    """A model of which every width of its law can have a compiled graph of its own.

    Attributes:
        law: From which training draws widths.
    """

    law: Law
    _engine: Engine

    @property
    def engine(self) -> Engine:
        """What runs the network at widths."""
        return self._engine

    def compile(self, *, max_graphs: int = MAX_GRAPHS, **options: object) -> None:
        """Compile what runs at widths that the law draws, in training and inside `at`: a graph each, at its first run.

        Numbers stay those of the plain run but for rounding; layers such as nn.Dropout draw other random numbers. A
        graph takes seconds to compile, and batches of other sizes share it. Evaluation at full width calls the network
        itself, which `model.net.compile()` compiles. A copy of the model has no graphs; compile it too.

        Args:
            max_graphs: The most graphs in training, and in evaluation as many; what comes beyond them runs as it is.
            options: Those of `torch.compile`, such as `backend` and `mode`.

        Raises:
            GroupError: The network is not traced, so that there is no graph.
            WidthError: `max_graphs` is no positive whole number.

        Warns:
            WidthWarning: The law draws any width, of which only the full one is compiled, or leaves its `widths`.
        """
        check_count("max_graphs", max_graphs, "use 16, or do not compile")
        self._engine.compile(Compilation(find_grid(self._engine, self.law), max_graphs, options))
        if advice := _advise(self._engine, self.law):
            warnings.warn(f"expected a law of few widths to compile, got one {advice}", WidthWarning, stacklevel=2)


def find_grid(engine: Engine, law: Law) -> Grid:
    """Return the units of each group at the widths of a law that come again; groups that may have any are left out.

    Args:
        engine: Of the model.
        law: Of the model.

    Raises:
        GroupError: The law reaches no group.
    """
    groups, reached = engine.groups, reached_groups(engine, law)
    full: Grid = {name: {size} for name, size in groups.sizes.items()}
    if not law.levels:
        return {name: units for name, units in full.items() if name not in reached} if _has_step(engine, law) else full
    # With as many chunks as levels every stratum is one level.
    changes = {"sandwich": None, "distillation": None, "slow_start": 0, "between": 0.0, "p": 1.0, "sharing": "shared"}
    every = replace(law, chunks=len(law.levels), **changes)  # pyright: ignore[reportArgumentType]
    draws: list[Mapping[str, int]] = list(Drawing(every, groups, reached, torch.Generator()).widths())
    return {name: {draw[name] for draw in draws} for name in full}


def _has_step(engine: Engine, law: Law) -> bool:
    return law.step > 1 or any(group.step > 1 for group in engine.groups)


def _advise(engine: Engine, law: Law) -> str:
    """Say which widths of a law are not compiled, and what to do; nothing where all are."""
    if law.between:
        return f"that leaves its widths with probability {law.between:g}; those draws run as they are: use between=0"
    if not law.levels and not _has_step(engine, law):
        return "that draws any; full width is compiled, all else runs as it is: use widths=6, or a step"
    return ""
