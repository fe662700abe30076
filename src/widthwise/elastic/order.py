"""The order of the units of an elastic model: the most important ones first.

Widths keep prefixes, so in a network that was trained without that the units that matter must come first. Sorting
changes nothing that the network computes at full width.
"""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from widthwise._shared import GroupError, TraceError, WidthWarning
from widthwise.elastic.arrangement import Arrangement
from widthwise.elastic.elimination import eliminate
from widthwise.elastic.engines.engine import Engine
from widthwise.elastic.objective import Criterion
from widthwise.elastic.samples import read_inputs, read_pairs
from widthwise.graph.trace import in_mode
from widthwise.slicing import Activation, Agreement, measure_magnitude, measure_reading
from widthwise.slicing.context import plain_context

__all__ = ["By", "Start", "is_pretrained", "sort_units"]

By = Literal["magnitude", "activation", "taylor"]
Start = Literal["random", "pretrained"]

# Sums in another order round otherwise, and layer upon layer adds to it.
_SLACK = 100.0


def is_pretrained(start: Start) -> bool:
    """Return whether units must be sorted before anything is trained.

    Raises:
        GroupError: `start` is neither of its values.
    """
    if start not in get_args(Start):
        raise GroupError(
            f"start must be one of {', '.join(get_args(Start))}, got {start!r}; leave it out to train anew"
        )
    return start == "pretrained"


def sort_units(
    engine: Engine,
    loader: Iterable[Any] | None = None,
    criterion: Criterion | None = None,
    *,
    by: By | None = None,
    optimizer: torch.optim.Optimizer | None = None,
) -> dict[str, Tensor]:
    """Return the order into which the units of each group were put, the most important first; in place.

    Parameters, their gradients and buffers of the network are permuted, so that at full width it computes what it did,
    which is checked on its example. Groups that move by name only are sorted too.

    Args:
        engine: Of the elastic model.
        loader: Yields batches of training samples, as for `extract(..., calibrate=)`; with `criterion` of
            (inputs, targets). The first 2,048 samples are used, in evaluation mode.
        criterion: Gives the loss as criterion(outputs, targets), a mean over samples.
        by: "taylor" (what the loss changes by to first order when a unit goes, asked again at every tenth that is left
            out; needs both), "activation" (what layers read of the unit varies by; needs a loader), "magnitude" (norms
            of its weights; needs no data). None takes the first for which there is enough.
        optimizer: What it keeps of the parameters (momenta, second moments) moves along.

    Returns:
        By the name of the group, the former place of each unit.

    Raises:
        GroupError: A setting does not fit the others, the importance of a group cannot be told (activations of networks
            with named groups never can), octaves have learned weights of their own, an optimiser keeps what cannot be
            sorted, or the network would compute something else (it is then as it was).
        DataError: The loader is empty or does not yield what the network takes.

    Warns:
        WidthWarning: Some groups keep their order, since something besides parameters and buffers remembers it.
    """
    _check(by, loader, criterion)
    if engine.octave_weights is not None and not engine.octave_weights.is_zero():
        raise GroupError(
            "units must be sorted before a law with octave_weights has trained, whose octaves have learned which units "
            "they keep; sort first, such as after a slow start"
        )
    with plain_context(), in_mode(engine.net, training=False):
        agreement = _know(engine)
        arrangement = Arrangement(engine, optimizer)
        if loader is not None and criterion is not None:
            eliminate(engine, list(read_pairs(engine, loader)), criterion, arrangement)
        else:
            scores = measure_magnitude(engine.units()) if loader is None else _measure_activation(engine, loader)
            arrangement.sort(scores, engine.groups.sizes)
        if agreement is not None and not agreement.holds(engine.net):
            arrangement.undo()
            raise GroupError(
                "a network must compute the same with its units in another order, but this one does not; let "
                "model.verify() find the group that is unsound, and keep it with freeze="
            )
        fixed = engine.units().fixed
    _warn_of_fixed(fixed)
    return arrangement.orders


def _check(by: By | None, loader: Iterable[Any] | None, criterion: Criterion | None) -> None:
    """Refuse settings that do not fit each other."""
    if criterion is not None and loader is None:
        raise GroupError("criterion needs samples to be computed on, got no loader; pass both, or neither")
    if by is not None and by not in get_args(By):
        raise GroupError(f"by must be one of {', '.join(get_args(By))}, got {by!r}; leave it out to take the best one")
    found: By = "magnitude" if loader is None else "activation" if criterion is None else "taylor"
    if by not in (None, found):
        needs = {"magnitude": "no data", "activation": "a loader alone", "taylor": "a loader and a criterion"}
        raise GroupError(f"by={by!r} takes {needs[by]}, got {needs[found]}; pass that, or leave out by=")


def _measure_activation(engine: Engine, loader: Iterable[Any]) -> Mapping[str, Tensor]:
    activation = Activation()
    for batch in read_inputs(engine, loader):
        engine.run_watched(activation, batch.inputs.args, batch.inputs.kwargs)
    reading = measure_reading(engine.units())
    return {name: score * reading[name].square() for name, score in activation.scores().items()}


def _know(engine: Engine) -> Agreement | None:
    """Return what the network computes on its example, None where that is not known or never the same twice."""
    try:
        agreement = Agreement(engine.net, engine.example, engine.input_batch_axes, slack=_SLACK)
    except TraceError:
        return None
    return agreement if agreement.holds(engine.net) else None


def _warn_of_fixed(fixed: Mapping[str, str]) -> None:
    if fixed:
        listed = ", ".join(f"{name} ({reason})" for name, reason in fixed.items())
        warnings.warn(
            f"expected units that may stand in any order, got some that keep theirs: {listed}; their prefix is as good "
            "as it was",
            WidthWarning,
            stacklevel=4,
        )
