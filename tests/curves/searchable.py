"""A small model that a search can be run on, and scores of it whose best widths are known."""

import itertools
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace

from torch import nn

from tests.curves.stand_in import StandIn, make_stand_in
from widthwise.curves import Point
from widthwise.curves.groupwise.lattice import Lattice, Units
from widthwise.curves.sweep import Evaluate

# What a layer is worth: fc2 three times as much as fc1, each with diminishing returns.
WORTH = {"fc1": 1.0, "fc2": 3.0}


class Searchable(StandIn):
    """The stand-in of the curve, with what a search asks for besides."""

    def outline(self, width: float | Mapping[str, int | float] | Point, /) -> nn.Module:
        calls, calibrations = list(self.calls), list(self.calibrations)
        net = self.extract(width).to("meta")
        self.calls[:], self.calibrations[:] = calls, calibrations
        return net

    @contextmanager
    def at(self, width: float | Mapping[str, int | float] | Point, /) -> Generator[nn.Module]:
        yield self.outline(width)


def make_searchable(*, sharing: str = "jittered", lowest: float = 1 / 8) -> Searchable:
    plain = make_stand_in()
    law = SimpleNamespace(lowest=lowest, sharing=sharing, runs_full=True)
    return Searchable(net=plain.net, law=law, calls=[], calibrations=[])


def worth(net: nn.Module) -> float:
    """A separable score with diminishing returns."""
    return -WORTH["fc1"] * 32 / net[0].out_features - WORTH["fc2"] * 16 / net[2].out_features


def counted(evaluate: Evaluate, calls: list[tuple[int, int]], *, stop_after: int | None = None) -> Evaluate:
    """The same score, which lists what it is asked about, and is interrupted after so many calls."""

    def score(net: nn.Module) -> float:
        if stop_after is not None and len(calls) >= stop_after:
            raise KeyboardInterrupt
        calls.append((net[0].out_features, net[2].out_features))
        return evaluate(net)

    return score


def make_rungs(*rungs: Iterator[int] | range | tuple[int, ...]) -> Lattice:
    """A lattice of these rungs; a fraction of it is a place from the top, where all groups have as many."""
    columns = tuple(tuple(sorted(column)) for column in rungs)
    common = list(zip(*(reversed(column) for column in columns), strict=False))
    fractions: dict[Units, float] = {units: 1 - place / 1000 for place, units in enumerate(common)}
    fractions.setdefault(tuple(column[0] for column in columns), 0.001)
    return Lattice(groups=tuple(f"fc{i}" for i in range(len(columns))), rungs=columns, fractions=fractions)


def every_units(lattice: Lattice) -> list[Units]:
    return list(itertools.product(*lattice.rungs))
