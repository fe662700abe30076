"""All subjects, by zoo."""

from collections.abc import Callable

from benchmarks.coverage.subject import Subject
from benchmarks.coverage.zoos.own import list_own
from benchmarks.coverage.zoos.timm import list_timm
from benchmarks.coverage.zoos.torchvision import list_torchvision
from benchmarks.coverage.zoos.transformers import list_transformers

__all__ = ["ZOOS", "find_subject"]

ZOOS: dict[str, Callable[[], list[Subject]]] = {
    "torchvision": list_torchvision,
    "transformers": list_transformers,
    "own": list_own,
    "timm": list_timm,
}


def find_subject(zoo: str, name: str) -> Subject:
    """Return a subject by its zoo and its name there.

    Raises:
        KeyError: There is none.
    """
    for subject in ZOOS[zoo]():
        if subject.name == name:
            return subject
    raise KeyError(f"expected the name of a network of {zoo}, got {name!r}; see benchmarks/coverage/zoos")
