"""Operators that trade channels against positions, or channels among each other."""

import math

from widthwise.graph.call import Axes, Call, Outcome
from widthwise.graph.rules.registry import rule
from widthwise.graph.term import Frozen, Size, Term, multiply_factors, quotient, size_of

__all__: list[str] = []


@rule("pixel_shuffle")
def pixel_shuffle(call: Call) -> Outcome:
    """Channels are (out x factor x factor), the factors become height and width."""
    axes, factor = call.axes("self"), call.arguments["upscale_factor"]
    channels, _ = _split(call, axes[-3], factor * factor)
    return _finish(call, (*axes[:-3], channels))


@rule("pixel_unshuffle")
def pixel_unshuffle(call: Call) -> Outcome:
    """Blocks of positions become an inner factor of the channels."""
    axes, factor = call.axes("self"), call.arguments["downscale_factor"]
    channels = multiply_factors((axes[-3], Frozen(factor * factor, call.name)))
    return _finish(call, (*axes[:-3], channels))


@rule("channel_shuffle")
def channel_shuffle(call: Call) -> Outcome:
    """Channels are (groups x per group) and become (per group x groups); the number of groups stays."""
    axes, groups = list(call.axes("self")), call.arguments["groups"]
    inner = quotient(size_of(axes[1]), groups)
    assert inner is not None
    outer, within = call.solver.split(axes[1], (groups, inner), f"groups of {call.name}")
    call.freeze([outer], " has this number of groups")
    axes[1] = multiply_factors((within, call.solver.resolve(outer)))
    return Outcome(outputs=(tuple(axes),))


@rule("im2col")
def im2col(call: Call) -> Outcome:
    """Windows: channels x positions in a window, and one position per window."""
    axes = call.axes("self")
    window = math.prod(call.arguments["kernel_size"])
    call.freeze(axes[-2:], " slides along this axis")
    windows = Frozen(call.output_shapes()[0][-1], call.name)
    return Outcome(outputs=((*axes[:-3], multiply_factors((axes[-3], Frozen(window, call.name))), windows),))


@rule("col2im")
def col2im(call: Call) -> Outcome:
    """The inverse of im2col, overlaps added up."""
    axes = call.axes("self")
    channels, _ = _split(call, axes[-2], math.prod(call.arguments["kernel_size"]))
    call.freeze(axes[-1:], " slides along this axis")
    spatial = tuple(Frozen(size, call.name) for size in call.output_shapes()[0][-2:])
    return Outcome(outputs=((*axes[:-2], channels, *spatial),))


@rule("grid_sampler", "grid_sampler_2d", "grid_sampler_3d")
def grid_sampler(call: Call) -> Outcome:
    """Channels pass; positions are read where the grid says."""
    axes, grid = call.axes("input"), call.axes("grid")
    call.freeze([*axes[2:], *grid], " reads along this axis where its grid says")
    call.unify(axes[0], grid[0])
    return Outcome(outputs=((*axes[:2], *call.axes("grid")[1:-1]),))


def _split(call: Call, channels: Term, inner: int) -> tuple[Term, Term]:
    """Return channels as (outer, inner), the inner one frozen."""
    outer_size: Size | None = quotient(size_of(channels), inner)
    assert outer_size is not None
    outer, block = call.solver.split(channels, (outer_size, inner), f"blocks of {call.name}")
    call.freeze([block], " makes positions of this factor")
    return outer, block


def _finish(call: Call, leading: Axes) -> Outcome:
    call.freeze(call.axes("self")[-2:], " changes the number of positions along this axis")
    spatial = tuple(Frozen(size, call.name) for size in call.output_shapes()[0][-2:])
    return Outcome(outputs=((*leading, *spatial),))
