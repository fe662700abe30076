"""A training step of an elastic model: what its law draws, and what that costs."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, final

import torch
from torch import Tensor

from widthwise._shared import GroupError
from widthwise.elastic.drawing import Drawing
from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.laws.law import Law
from widthwise.elastic.ranks import Ranks
from widthwise.elastic.watch import Watch
from widthwise.groups import Group

__all__ = ["Steps", "mean_macs", "reached_groups", "start_step"]

# Samples of a batch, large enough for as many chunks as a law is likely to have.
_BATCH = 256
# Of a law that draws one width, for each draw that is asked for.
_NUM_STEPS = 16


@final
class Steps:
    """The training steps of a model, one after the other; one that fails leaves nothing behind.

    Args:
        engine: Of the model.
        ranks: Shares the strata out among processes.
        law: Of the model; drawn from once, so that one without a width to draw fails now and not far into training.

    Attributes:
        last: The widths at which the last step ran, each once.

    Raises:
        GroupError: The law reaches no group.
        WidthError: No group that it reaches has a width below full among those that it draws.
    """

    def __init__(self, engine: Engine, ranks: Ranks, law: Law) -> None:
        self._engine = engine
        self._ranks = ranks
        self._watch = Watch()
        self.last: list[dict[str, int]] = []
        Drawing(law, engine.groups, reached_groups(engine, law), torch.Generator()).widths(1)

    @contextmanager
    def take(self, law: Law, generator: torch.Generator, num_steps: Tensor | None) -> Generator[Drawing]:
        """Give what the next step draws; an error inside puts the generator and the number of steps back.

        Args:
            law: Of the model.
            generator: Draws the widths.
            num_steps: The steps taken so far, counted up here; None where the law starts at once.

        Raises:
            GroupError: The law reaches no group.
            WidthError: The law is not that of rank 0.

        Warns:
            WidthWarning: The first batch is too small, a group gets no gradients in the first steps, or what the law
                learns is in no optimiser.
        """
        self._watch.look_at_gradients(self._engine.net, self._engine.groups)
        self._watch.look_at_optimizer(self._engine.net, self._engine.own_parameters())
        # Before anything is remembered: what the processes agreed on stays, whatever becomes of the step.
        self._ranks.agree(law, generator)
        state, taken = generator.get_state(), None if num_steps is None else num_steps.clone()
        try:
            drawing = start_step(self._engine, law, generator, self._ranks, num_steps)
            yield drawing
        except BaseException:
            generator.set_state(state)
            if num_steps is not None and taken is not None:
                num_steps.copy_(taken)
            raise
        self.last = [part.widths for part in drawing.parts]
        self._watch.look_at_batch(len(drawing.parts), drawing.num_left_out)


def start_step(
    engine: Engine, law: Law, generator: torch.Generator, ranks: Ranks | None = None, num_steps: Tensor | None = None
) -> Drawing:
    """Return what the next training step draws.

    Args:
        engine: Of the model.
        law: Of the model.
        generator: Draws the widths.
        ranks: Shares the strata out among processes; None draws for this one alone.
        num_steps: The steps taken so far, counted up here; None where the law starts at once.

    Raises:
        GroupError: The law reaches no group.
    """
    reached = reached_groups(engine, law)
    if num_steps is None:
        return Drawing(law, engine.groups, reached, generator, ranks)
    num_steps += 1
    return Drawing(law.at_step(int(num_steps) - 1), engine.groups, reached, generator, ranks)


def mean_macs(engine: Engine, law: Law, num_draws: int) -> float:
    """Return the mean forward multiply-accumulates per sample under a law, over so many draws of a fixed generator."""
    generator = torch.Generator().manual_seed(0)
    count = _count_stacked if law.sandwich is not None else _count_split
    known: dict[Any, list[int]] = {}
    # One width per step has no strata that would keep the mean steady.
    num_draws *= _NUM_STEPS if law.is_random else 1
    return sum(count(engine, start_step(engine, law, generator), known) for _ in range(num_draws)) / num_draws


def _count_split(engine: Engine, drawing: Drawing, known: dict[Any, list[int]]) -> float:
    """Return the mean of a sample of a batch that is split."""
    total = 0
    for part in drawing.split(_BATCH):
        key = tuple(part.widths.values())
        if key not in known:
            known[key] = [engine.count_macs(part.widths)]
        total += known[key][0] * part.num_samples
    return total / _BATCH


def _count_stacked(engine: Engine, drawing: Drawing, known: dict[Any, list[int]]) -> float:
    """Return the sum of all widths at which a sample is run."""
    parts = drawing.stack(_BATCH)
    key = tuple(tuple(part.widths.values()) for part in parts)
    if key not in known:
        known[key] = engine.count_stacked(parts)
    return sum(known[key])


def reached_groups(engine: Engine, law: Law) -> frozenset[str]:
    """Return the names of the groups that a law draws; others stay full.

    Raises:
        GroupError: There is none, or the law asks for the last layer of a network of which that is not known.
    """
    head = engine.head_groups() if law.reach == "head" else frozenset[str]()
    names = frozenset(group.name for group in engine.groups if group.follows and _is_reached(group, law, head))
    if not names:
        what = {"hidden": "of hidden units", "head": "that the last layer reads"}.get(law.reach, "that follows")
        raise GroupError(
            f"a law of reach {law.reach!r} must find a group {what}, got {', '.join(engine.groups.sizes)}; "
            "use reach='all'"
        )
    return names


def _is_reached(group: Group, law: Law, head: frozenset[str]) -> bool:
    if law.reach == "head":
        return group.name in head
    return law.reach == "all" or group.kind == "units"
