"""The data sets that a recipe can name."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from widthwise._shared import DataError
from widthwise.zoo.data.clouds import SHREC, load_clouds
from widthwise.zoo.data.digits import load_digits
from widthwise.zoo.data.image_set import FASHION, IMAGE_SETS, MNIST
from widthwise.zoo.data.jpeg_pictures import CIFAR, load_jpegs
from widthwise.zoo.data.pictures import load_pictures
from widthwise.zoo.data.splits import DataSplits, Task, TextSplits
from widthwise.zoo.data.text import PTB, SHAKESPEARE, TEXT_SETS, read_text_set

__all__ = ["DataCard", "describe_data", "list_data", "load_data", "load_text"]

_DIGITS = "digits"


@dataclass(frozen=True, kw_only=True, slots=True)
class DataCard:
    """Say of a data set what can be said before it is loaded."""

    name: str
    """What a recipe calls it."""
    title: str
    """What a table calls it."""
    task: Task
    """What is learned: "classification" is loaded by `load_data`, "language" by `load_text`."""


_CARDS: Mapping[str, DataCard] = MappingProxyType(
    {
        name: DataCard(name=name, title=title, task="language" if name in TEXT_SETS else "classification")
        for name, title in (
            (_DIGITS, "digits"),
            (MNIST.name, "MNIST"),
            (FASHION.name, "Fashion-MNIST"),
            (CIFAR.name, "CIFAR-10 (JPEG)"),
            (SHREC.name, "SHREC'11"),
            (PTB.name, "Penn Treebank"),
            (SHAKESPEARE.name, "Tiny Shakespeare"),
        )
    }
)


def list_data(task: Task | None = None) -> tuple[str, ...]:
    """Return the names of all data sets, or of those for one task."""
    return tuple(name for name, card in _CARDS.items() if task in (None, card.task))


def describe_data(name: str) -> DataCard:
    """Return title and task of a data set, without loading it.

    Raises:
        DataError: The name is unknown.

    Example:
        >>> describe_data("cifar")
        DataCard(name='cifar', title='CIFAR-10 (JPEG)', task='classification')
    """
    if name not in _CARDS:
        raise DataError(f"data must be one of {', '.join(_CARDS)}, got {name!r}; use one of these names")
    return _CARDS[name]


def load_data(name: str, folder: str | Path | None = None) -> DataSplits:
    """Return a data set of samples in memory: float32 inputs and int64 labels, in fixed splits.

    - `digits` comes with scikit-learn (extra `demo`): 8x8 pictures, 1000 to train, 300 to validate, 497 to test.
    - `mnist` and `fashion` have 28x28 pictures (1, H, W) in 0..1, 50,000 to train, 10,000 to validate (the last of the
      training files) and 10,000 to test. Their four IDX .gz files come from the network where no folder is named
      (extra `data`).
    - `cifar` has 3x32x32 pictures, 45,000 to train, 5,000 to validate (the last of the training part) and 10,000 to
      test, each channel with mean 0 and deviation 1 over the training split. JPEG took a part of them, so accuracies
      are not those of CIFAR-10. `cifar10_jpeg.npz` must lie in the folder; decoding it takes Pillow (extra `data`) and
      some ten seconds, the first time: the pictures (184 MB) then stay in the user's cache folder.
    - `shrec` has clouds of 1024 points (P, 3) in the unit ball, 390 to train, 90 to validate (3 of each of 30 classes)
      and 120 to test. `shrec11_split16.npz` must lie in the folder.

    The files, or a subfolder with them (`mnist`, `fashion_mnist`, `cifar10_jpeg`, `shapes`), lie in `folder`, else in
    the folder that the environment variable WIDTHWISE_DATA names. Every file is checked against its sha256.

    Args:
        name: One of `list_data("classification")`.
        folder: Where the files lie; digits take none.

    Raises:
        DataError: The name is unknown or that of a text, a file is missing or damaged, or digits were given a folder.
        MissingExtraError: Digits without scikit-learn, or JPEGs without Pillow.

    Example:
        >>> splits = load_data("digits")
        >>> len(splits.train), len(splits.validation), len(splits.test), splits.input_shape
        (1000, 300, 497, (1, 8, 8))
    """
    if describe_data(name).task != DataSplits.task:
        raise DataError(f"data must be samples with labels, got {name!r}, a text; load it with load_text")
    home = None if folder is None else Path(folder)
    if name == _DIGITS:
        if home is not None:
            raise DataError(f"digits come with scikit-learn and are read from no folder, got {folder}; leave it out")
        return load_digits()
    if name == CIFAR.name:
        return load_jpegs(CIFAR, home)
    if name == SHREC.name:
        return load_clouds(SHREC, home)
    return load_pictures(IMAGE_SETS[name], home)


def load_text(name: str, folder: str | Path | None = None) -> TextSplits:
    """Return a text in memory: int64 numbers into its vocabulary, in fixed splits.

    - `ptb` has words, 929,589 to train, 73,760 to validate and 82,430 to test, from a vocabulary of 10,000.
    - `shakespeare` has characters, 1,003,854 to train, 55,770 to validate and as many to test, 65 different ones.

    The files, packed (.gz) or not, or a subfolder with them (`ptb`, `tinyshakespeare`), lie in `folder`, else in the
    folder that the environment variable WIDTHWISE_DATA names; where neither is set they come from the network (extra
    `data`). Every file is checked against its sha256.

    Args:
        name: One of `list_data("language")`.
        folder: Where the files lie.

    Raises:
        DataError: The name is unknown or that of samples, or a file is missing or damaged.
    """
    if describe_data(name).task != TextSplits.task:
        raise DataError(f"data must be a text, got {name!r}, samples with labels; load it with load_data")
    return read_text_set(TEXT_SETS[name], None if folder is None else Path(folder))
