"""A network at all of its widths as plain values and bytes, so that a width can be read without the others."""

from widthwise.slicing.stored.file import StoredFile, write_file
from widthwise.slicing.stored.graph import StoredGraph, read_constant, write_graph
from widthwise.slicing.stored.ranges import FileRanges, RangeReader
from widthwise.slicing.stored.section import Section, Stock, Stored, damaged
from widthwise.slicing.stored.shells import Births
from widthwise.slicing.stored.terms import read_term, write_term

__all__ = [
    "Births", "FileRanges", "RangeReader", "Section", "Stock", "Stored", "StoredFile", "StoredGraph", "damaged",
    "read_constant", "read_term", "write_file", "write_graph", "write_term",
]  # fmt: skip
