"""The data sets that a recipe can name."""

from pathlib import Path

from widthwise._shared import DataError
from widthwise.zoo.data.digits import load_digits
from widthwise.zoo.data.image_set import IMAGE_SETS
from widthwise.zoo.data.pictures import load_pictures
from widthwise.zoo.data.splits import DataSplits

__all__ = ["list_data", "load_data"]

_DIGITS = "digits"


def list_data() -> tuple[str, ...]:
    """Return the names that `load_data` knows."""
    return (_DIGITS, *IMAGE_SETS)


def load_data(name: str, folder: str | Path | None = None) -> DataSplits:
    """Return a data set in memory: float32 pictures (1, H, W) in 0..1 and int64 labels, in fixed splits.

    - `digits` comes with scikit-learn (extra `demo`): 8x8 pictures, 1000 to train, 300 to validate, 497 to test.
    - `mnist` and `fashion` have 28x28 pictures, 50,000 to train, 10,000 to validate (the last of the training files)
      and 10,000 to test. Their four IDX .gz files, or a subfolder `mnist` or `fashion_mnist` with them, lie in
      `folder`, else in the folder that the environment variable WIDTHWISE_DATA names; where neither is set
      they come from the network (extra `data`). Every file is checked against its sha256.

    Args:
        name: One of `list_data()`.
        folder: Where the files lie; digits take none.

    Raises:
        DataError: The name is unknown, a file is missing or damaged, or digits were given a folder.
        MissingExtraError: Digits without scikit-learn.

    Example:
        >>> splits = load_data("digits")
        >>> len(splits.train), len(splits.validation), len(splits.test), splits.input_shape
        (1000, 300, 497, (1, 8, 8))
    """
    if name == _DIGITS:
        if folder is not None:
            raise DataError(f"digits come with scikit-learn and are read from no folder, got {folder}; leave it out")
        return load_digits()
    if name not in IMAGE_SETS:
        raise DataError(f"data must be one of {', '.join(list_data())}, got {name!r}; use one of these names")
    return load_pictures(IMAGE_SETS[name], None if folder is None else Path(folder))
