"""What does a network cost? Parameters, MACs, bytes on disk, memory, latency: each of the network that is handed in."""

from widthwise.measure.counter import count_call_macs
from widthwise.measure.latency import Latency, time_latency
from widthwise.measure.live import watch_peak_bytes
from widthwise.measure.macs import count_macs
from widthwise.measure.memory import count_peak_bytes
from widthwise.measure.mode import evaluating
from widthwise.measure.parameters import count_parameters
from widthwise.measure.size import PRECISIONS, Precision, safetensors_bytes, state_on_disk

__all__ = [
    "PRECISIONS",
    "Latency",
    "Precision",
    "count_call_macs",
    "count_macs",
    "count_parameters",
    "count_peak_bytes",
    "evaluating",
    "safetensors_bytes",
    "state_on_disk",
    "time_latency",
    "watch_peak_bytes",
]
