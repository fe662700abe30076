import pytest

from tests.curves.evaluations import BATCH, first_output, short_time_latency
from tests.curves.stand_in import StandIn
from widthwise.curves import curve, plan
from widthwise.measure import PRECISIONS, watch_peak_bytes
from widthwise.slicing.formats import exported_bytes


def test_memory_and_sizes_at_other_precisions_are_stored(model: StandIn) -> None:
    for point in curve(model, first_output, widths=[1.0, 0.5], latency=False):
        small = model.extract(point)
        assert point.memory_bytes == model.memory_bytes(point)
        assert point.memory_bytes == watch_peak_bytes(small, (BATCH[:1].clone(),), {})
        assert point.bytes_by_dtype == {
            precision: exported_bytes(small, point.widths, precision) for precision in PRECISIONS
        }
        assert point.bytes_by_dtype["float32"] == point.bytes
        assert point.flops == 2 * point.macs


def test_latency_tells_its_device(model: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "time_latency", short_time_latency)

    assert curve(model, first_output, widths=[0.5]).points[0].latency_device == "cpu"
    assert curve(model, first_output, widths=[0.5], latency=False).points[0].latency_device is None
