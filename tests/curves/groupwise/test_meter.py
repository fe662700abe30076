import pytest
import torch
from torch import nn

from tests.curves.searchable import Searchable, make_searchable
from widthwise.curves import Limits, Point, curve
from widthwise.curves.groupwise.lattice import Units, make_lattice
from widthwise.curves.groupwise.meter import Meter

LATTICE = make_lattice(make_searchable(), 1 / 8)


def make_meter(model: Searchable, *, checks: list[Point] | None = None) -> Meter:
    points = list(curve(model, lambda _net: 0.0, widths=[1.0, 0.125], latency=False)) if checks is None else checks
    model.calls.clear()
    return Meter(
        model,
        LATTICE,
        points,
        extract=lambda units: model.extract(LATTICE.name(units)),
        time=lambda units: 1000.0 + units[0],
    )


@pytest.mark.parametrize("units", [(32, 16), (4, 2), (5, 13)])
def test_costs_are_those_of_the_curve_and_nothing_is_extracted(units: Units) -> None:
    model = make_searchable()
    meter = make_meter(model)
    point = curve(make_searchable(), lambda _net: 0.0, widths=[LATTICE.name(units)], latency=False).points[0]
    assert meter.is_outlined
    assert meter.cost("params", units) == point.params
    assert meter.cost("macs", units) == point.macs
    assert meter.cost("bytes", units) == point.bytes
    assert meter.cost("memory_bytes", units) == point.memory_bytes
    assert model.calls == []


def test_networks_are_extracted_where_their_outline_is_not_true() -> None:
    model = make_searchable()
    point = curve(model, lambda _net: 0.0, widths=[1.0], latency=False).points[0]

    class Padded(nn.Module):
        def __init__(self, _width: object) -> None:
            super().__init__()
            self.more = nn.Parameter(torch.empty(1000, device="meta"))

    model.outline = Padded  # pyright: ignore[reportAttributeAccessIssue]
    meter = make_meter(model, checks=[point])
    assert not meter.is_outlined
    assert meter.cost("params", LATTICE.full) == point.params
    assert model.calls == [{"fc1": 32, "fc2": 16}]


def test_every_cost_is_counted_once() -> None:
    model = make_searchable()
    meter = make_meter(model)
    asked: list[object] = []
    model.macs = lambda width, /: asked.append(width) or 5  # pyright: ignore[reportAttributeAccessIssue]
    assert [meter.cost("macs", (4, 2)), meter.cost("macs", (4, 2))] == [5, 5]
    assert len(asked) == 1


def test_the_load_is_the_largest_share_of_what_is_allowed() -> None:
    meter = make_meter(make_searchable())
    macs, params = meter.cost("macs", (16, 8)), meter.cost("params", (16, 8))
    assert meter.load(Limits(max_macs=int(macs)))((16, 8)) == 1.0
    both = meter.load(Limits(max_macs=int(2 * macs), max_params=4 * int(params)))
    assert both((16, 8)) == 0.5
    assert meter.load(Limits(max_latency_ms=2032.0))((16, 8)) == 0.5
