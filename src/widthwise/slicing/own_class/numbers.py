"""Whole numbers that modules remember by themselves, and what to set them to at a kept set.

Which size a number is cannot be known, only guessed from what its module sees of widths; so there are several
settings, the likeliest first, and whoever asks keeps the first one with which the network computes what it should.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import torch
from torch import nn

from widthwise.slicing.own_class.vocabulary import Meaning, Vocabulary

__all__ = ["AS_IT_WAS", "Holder", "Remembered", "find_numbers", "recall", "replace_numbers", "settings"]

Holder = nn.Module | dict[Any, Any] | object
# The choice to leave a number alone.
AS_IT_WAS = -1
# How many settings are tried: each one costs a few calls of the small network.
_MOST_SETTINGS = 12
# Names of numbers that are hardly a width, however much they look like one.
_OTHERS = re.compile(
    r"layer|depth|vocab|position|token|label|class|patch|window|shift|kernel|stride|padding|dilation|image|img|max_|min_"
    r"|seq|len|chunk|block_size|steps|version|_id$|axis|dims$"
)
# Names of the width of one head, which stands after the heads wherever both stand.
_HEAD_WIDTH = re.compile(
    r"head_?(dim|size|width|channels)|(dim|size|width|channels)_?(per_)?head|d_(k|v|q|kv|head)$|per_head"
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Remembered:
    """An attribute of a module (or an entry of something it holds) with whole numbers in it.

    Attributes:
        holder: What has the attribute; a dict has the entry.
        name: Of the attribute or entry.
        full: Its value at full width.
        kept: What each of its numbers may become, the likeliest first.
        taken: What each of its numbers becomes that an operator of the module takes as a size.
    """

    holder: Holder
    name: Any
    full: Any
    kept: Mapping[int, tuple[int, ...]]
    taken: Mapping[int, int]

    @property
    def key(self) -> tuple[type, Any]:
        """What tells apart attributes that need not stand for the same thing."""
        return type(self.holder), self.name

    @property
    def is_likely(self) -> bool:
        """Whether its name could be that of a width."""
        return not _OTHERS.search(str(self.name).lower())

    @property
    def num_choices(self) -> int:
        """How many values it may take."""
        return max(len(kept) for kept in self.kept.values())

    def choose(self, choice: int) -> None:
        """Set it: to the likeliest value (0), to others, or to what it was (-1)."""
        chosen = {} if choice == AS_IT_WAS else self.kept
        self.set({full: kept[choice if choice < len(kept) else 0] for full, kept in chosen.items()})

    def remember(self) -> Callable[[], None]:
        """Return a function that sets it to what it is now, or takes it away where it is not there."""
        held: dict[Any, Any] = self.holder if isinstance(self.holder, dict) else vars(self.holder)
        before = {name: held[name] for name in (self.name,) if name in held}

        def restore() -> None:
            held.pop(self.name, None)
            held.update(before)

        return restore

    def set(self, kept: Mapping[int, int]) -> None:
        """Set it to its value at full width with numbers replaced."""
        value = replace_numbers(self.full, lambda number: kept.get(number, number))
        if isinstance(self.holder, dict):
            self.holder[self.name] = value
        else:
            # Frozen dataclasses among them: what is written to is a copy that nobody else holds.
            object.__setattr__(self.holder, self.name, value)


def find_numbers(holder: Holder, vocabulary: Vocabulary, path: str) -> Iterator[Remembered]:
    """Yield what a holder remembers of sizes that a module sees.

    Args:
        holder: The module, or an object or a dict that it holds.
        vocabulary: What modules see.
        path: The module.
    """
    for name, value in (holder if isinstance(holder, dict) else vars(holder)).items():
        number = recall(holder, name, value, vocabulary, path)
        if number is not None:
            yield number


def recall(holder: Holder, name: Any, value: Any, vocabulary: Vocabulary, path: str) -> Remembered | None:
    """Return one attribute of a holder with what its numbers may become, None where they stay whatever they mean."""
    options: dict[int, tuple[int, ...]] = {}
    taken: dict[int, int] = {}
    for number in dict.fromkeys(_numbers(value)):
        meanings = vocabulary.meanings(path, number)
        if not isinstance(holder, nn.Module):
            # What a config names is rather one size than a product of some.
            meanings = sorted(meanings, key=lambda meaning: meaning.complexity)
        if _HEAD_WIDTH.search(str(name).lower()):
            meanings = _inner_first(meanings)
        if any(meaning.kept != number for meaning in meanings):
            options[number] = tuple(dict.fromkeys(meaning.kept for meaning in meanings))
            if meanings[0].is_taken:
                taken[number] = meanings[0].kept
    return Remembered(holder=holder, name=name, full=value, kept=options, taken=taken) if options else None


def settings(numbers: list[Remembered]) -> Iterator[Callable[[], None]]:
    """Yield functions that set all of these numbers, in one way each, the likeliest way first."""
    if not numbers:
        yield lambda: None
        return
    yield from islice(_settings(numbers), _MOST_SETTINGS)


def replace_numbers(value: Any, replace: Callable[[int], int]) -> Any:
    """Return a value with its whole numbers replaced, alone or in a tuple, a list or a size."""
    kind: Any = type(value)
    if kind is int:
        return replace(value)
    if kind in (tuple, list, torch.Size):
        return kind([replace_numbers(item, replace) for item in value])
    return value


def _settings(numbers: list[Remembered]) -> Iterator[Callable[[], None]]:
    likely = {number.key: 0 if number.is_likely else AS_IT_WAS for number in numbers}
    yield lambda: _choose(numbers, likely)
    yield lambda: _take(numbers)
    choices = {number.key: number.num_choices for number in numbers}
    alternatives = [(key, choice) for key in choices for choice in range(choices[key]) if choice != likely[key]]
    alternatives += [(key, AS_IT_WAS) for key in choices if likely[key] != AS_IT_WAS]
    for key, choice in alternatives:
        yield lambda key=key, choice=choice: _choose(numbers, {**likely, key: choice})


def _choose(numbers: list[Remembered], choices: Mapping[tuple[type, Any], int]) -> None:
    for number in numbers:
        number.choose(choices[number.key])


def _take(numbers: list[Remembered]) -> None:
    for number in numbers:
        number.set(number.taken)


def _numbers(value: Any) -> Iterator[int]:
    if isinstance(value, tuple | list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, int) and not isinstance(value, bool) and value > 1:
        # A size of 1 cannot shrink.
        yield value


def _inner_first(meanings: list[Meaning]) -> list[Meaning]:
    """Return meanings of one kind in reverse."""
    kinds = list(dict.fromkeys((type(each.term), each.is_taken) for each in meanings))
    return [each for kind in kinds for each in reversed(meanings) if (type(each.term), each.is_taken) == kind]
