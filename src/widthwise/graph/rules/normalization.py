"""Normalisations: batch, layer, RMS, group and instance norm."""

from widthwise.graph.call import Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, atoms_of, quotient, size_of

__all__: list[str] = []


@rule(
    "batch_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_functional",
    "_native_batch_norm_legit_no_training",
)  # fmt: skip
def batch_norm(call: Call) -> Outcome:
    """Axis 1 is that of gain, bias and statistics, old and new."""
    _tie_channels(call)
    axes = call.axes("input")
    statistics = [() if not shape else (axes[1] if shape[0] else Frozen(0, "empty"),) for shape in call.output_shapes()]
    return Outcome(outputs=(axes, *statistics[1:]))


@rule("instance_norm")
def instance_norm(call: Call) -> Outcome:
    """Axis 1 is that of gain, bias and statistics; the axes behind it are normalised together and keep their size."""
    _tie_channels(call)
    call.freeze(call.axes("input")[2:], " normalises along this axis")
    return Outcome(outputs=(call.axes("input"),))


@rule("layer_norm", "rms_norm")
def layer_norm(call: Call) -> Outcome:
    """The last axes are normalised over what is kept of them; they are those of gain and bias."""
    rank = len(call.arguments["normalized_shape"])
    for name in ("weight", "bias"):
        if call.has(name):
            for one, other in zip(call.axes("input")[-rank:], call.axes(name), strict=True):
                call.unify(one, other)
    axes = call.axes("input")
    return Outcome(outputs=(axes,), sizes={"normalized_shape": axes[-rank:]})


@rule("group_norm")
def group_norm(call: Call) -> Outcome:
    """Axis 1 is groups x channels, and there are as many groups as are kept of what lies left of the cut.

    Factors that others made may go there: whole groups that do not meet the rest. A factor that is only made here
    stays, so that channels go from every group. Where each channel is a group of its own, channels do not meet.
    """
    _tie_channels(call)
    channels, num_groups = call.axes("input")[1], call.arguments["num_groups"]
    per_group = quotient(size_of(channels), num_groups)
    assert per_group is not None
    if per_group == 1:
        call.freeze(call.axes("input")[2:], " normalises along this axis")
    made_before = set(atoms_of(channels))
    groups, _ = call.solver.split(channels, (num_groups, per_group), f"groups of {call.name}")
    call.freeze([atom for atom in atoms_of(groups) if atom not in made_before], " counts its groups along this axis")
    return Outcome(outputs=(call.axes("input"),), sizes={"num_groups": groups})


def _tie_channels(call: Call) -> None:
    for name in ("weight", "bias", "running_mean", "running_var"):
        if call.has(name):
            call.unify(call.axes("input")[1], call.axes(name)[0])
