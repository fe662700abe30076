"""The file formats that a plain network can be taken home in, by suffix."""

from collections.abc import Mapping
from types import MappingProxyType

from widthwise.slicing.formats.format import Format, Plain, Reader
from widthwise.slicing.formats.onnx import ONNX
from widthwise.slicing.formats.pt2 import PT2
from widthwise.slicing.formats.weights import PT, SAFETENSORS

__all__ = ["FORMATS", "Format", "Plain", "Reader"]

FORMATS: Mapping[str, Format] = MappingProxyType({".safetensors": SAFETENSORS, ".pt": PT, ".pt2": PT2, ".onnx": ONNX})
