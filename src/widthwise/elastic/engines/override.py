"""Attributes of a module, set for a while."""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

from torch import nn

__all__ = ["ABSENT", "override"]

ABSENT = object()
"""In place of a value: the module itself has no such attribute, though its class may."""


@contextmanager
def override(module: nn.Module, **attributes: Any) -> Generator[None]:
    """Set attributes of a module, absent ones too, and put back what was there."""
    held = vars(module)
    before = {name: held.get(name, ABSENT) for name in attributes}
    try:
        _put(held, attributes)
        yield
    finally:
        _put(held, before)


def _put(held: dict[str, Any], attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        if value is ABSENT:
            held.pop(name, None)
        else:
            held[name] = value
