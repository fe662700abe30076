"""What does a network cost? Parameters, bytes on disk, latency. Every number is of the network that is handed in."""

from widthwise.measure.counter import count_call_macs
from widthwise.measure.latency import Latency, time_latency
from widthwise.measure.macs import count_macs
from widthwise.measure.mode import evaluating
from widthwise.measure.parameters import count_parameters
from widthwise.measure.size import safetensors_bytes, state_on_disk

__all__ = [
    "Latency",
    "count_call_macs",
    "count_macs",
    "count_parameters",
    "evaluating",
    "safetensors_bytes",
    "state_on_disk",
    "time_latency",
]
