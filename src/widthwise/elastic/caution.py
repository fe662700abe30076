"""What a user is told of a width at which the network is less than it could be."""

import warnings
from collections.abc import Iterable, Mapping

from torch import Tensor

from widthwise._shared import WidthWarning
from widthwise.elastic.laws.law import Law
from widthwise.groups import Group, Groups

__all__ = ["warn_of_statistics", "warn_of_unsound", "warn_of_width"]


def warn_of_width(
    widths: Mapping[str, int],
    groups: Groups,
    law: Law,
    *,
    advice: str | None,
    own: Iterable[Tensor],
    stacklevel: int,
) -> None:
    """Warn, in the caller `stacklevel` frames up, of what is wrong with a network at given widths.

    Args:
        widths: The units of each group.
        groups: Of the network.
        law: That it was trained with.
        advice: How to get BatchNorm statistics of these widths; None where there is no need of them.
        own: What octaves should have of their own by now.
        stacklevel: 1 is the function that calls this one.
    """
    _warn_of_untrained(widths, groups, law, stacklevel=stacklevel + 1)
    if advice is not None:
        warn_of_statistics(widths, groups, advice, runs_full=law.runs_full, stacklevel=stacklevel + 1)
    _warn_of_missing_state(widths, groups, own, stacklevel=stacklevel + 1)


def _warn_of_untrained(widths: Mapping[str, int], groups: Groups, law: Law, *, stacklevel: int) -> None:
    for group in groups:
        trained = group.units_at(law.lowest)
        if widths[group.name] < trained:
            remedy = "train with a smaller lowest" if group.follows else _let_follow(group)
            warnings.warn(
                f"the law draws at least {trained} units of {group.name} (lowest={law.lowest:g}), got "
                f"{widths[group.name]}; a width that training never saw scores poorly, {remedy}",
                WidthWarning,
                stacklevel=stacklevel + 1,
            )
            return


def warn_of_statistics(
    widths: Mapping[str, int], groups: Groups, advice: str, *, runs_full: bool, stacklevel: int
) -> None:
    """Warn, in the caller `stacklevel` frames up, of BatchNorm at a width that its statistics are not of."""
    if not runs_full:
        warnings.warn(
            "expected BatchNorm statistics of the width that is run, got a mixture, since the law seldom or never "
            f"draws full width; {advice}",
            WidthWarning,
            stacklevel=stacklevel + 1,
        )
    elif widths != groups.sizes:
        warnings.warn(
            "expected BatchNorm statistics of the width that is run, got those of the full width, with which a "
            f"narrower network scores far too low; {advice}",
            WidthWarning,
            stacklevel=stacklevel + 1,
        )


def _warn_of_missing_state(
    widths: Mapping[str, int], groups: Groups, own: Iterable[Tensor], *, stacklevel: int
) -> None:
    own = list(own)
    if own and widths != groups.sizes and not any(bool(tensor.detach().any()) for tensor in own):
        warnings.warn(
            "expected the elastic state of the law beside the weights that were loaded, got none; narrower widths miss "
            "what they learned of their own: call model.load_elastic_state with what elastic_state() gave",
            # A curve hides the other warnings, of which it has its own.
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def warn_of_unsound(frozen: Mapping[str, str], *, stacklevel: int) -> None:
    """Warn, in the caller `stacklevel` frames up, of groups that failed a check and keep their size since."""
    if frozen:
        listed = ", ".join(f"{name} ({reason})" for name, reason in frozen.items())
        warnings.warn(
            f"expected every group to keep to its operators, got some that do not and are frozen now: {listed}; please "
            "report these operators, and verify a model before it is trained, since training drew these widths too",
            WidthWarning,
            stacklevel=stacklevel + 1,
        )


def _let_follow(group: Group) -> str:
    """Say how a group that moves by name only can be drawn in training."""
    option = {"stream": "stream=True", "query": "queries=True", "value": "values=True"}.get(group.kind)
    return "training keeps these units whole" if option is None else f"train an Elastic(..., {option})"
