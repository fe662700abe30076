"""The 1797 handwritten digits that come with scikit-learn: 8x8 pictures, no file and no network.

Source: E. Alpaydin, C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository, 1998 (its
test part).
"""

# N samples, C = 1 channel, H = W = 8
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from widthwise._shared import require
from widthwise.zoo.data.splits import DataSplits

__all__ = ["load_digits", "stratified_order"]

_NUM_CLASSES = 10
_NUM_TRAIN, _NUM_VALIDATION = 1000, 300
# Grey values of the source lie in 0..16.
_BRIGHTEST = 16
# Any fixed number would do; with another one the splits, and so every published number, would change.
_SPLIT_SEED = 1797


def load_digits() -> DataSplits:
    """Return 1000 digits to train, 300 to validate and 497 to test, always the same ones.

    The source has no split of its own. A fixed, stratified permutation decides: every split holds the classes in the
    proportions of the whole set, to within one or two samples.

    Raises:
        MissingExtraError: scikit-learn is not installed (extra `demo`).
    """
    bunch = require("sklearn.datasets", "demo").load_digits()
    x_NCHW = torch.as_tensor(bunch.images, dtype=torch.float32).div(_BRIGHTEST).unsqueeze(1)
    y_N = torch.as_tensor(bunch.target, dtype=torch.int64)
    order = stratified_order(y_N, torch.Generator().manual_seed(_SPLIT_SEED))
    x_NCHW, y_N = x_NCHW[order], y_N[order]
    train, validation = slice(_NUM_TRAIN), slice(_NUM_TRAIN, _NUM_TRAIN + _NUM_VALIDATION)
    test = slice(_NUM_TRAIN + _NUM_VALIDATION, None)
    return DataSplits(
        name="digits",
        train=TensorDataset(x_NCHW[train], y_N[train]),
        validation=TensorDataset(x_NCHW[validation], y_N[validation]),
        test=TensorDataset(x_NCHW[test], y_N[test]),
        num_classes=_NUM_CLASSES,
        input_shape=tuple(x_NCHW.shape[1:]),
    )


def stratified_order(y_N: Tensor, generator: torch.Generator) -> Tensor:
    """Return a permutation of the samples of which every prefix holds each class in proportion.

    After a random permutation, sample r of the n of its class gets the place (r + 1/2) / n; all are sorted by place.
    """
    shuffled = torch.randperm(len(y_N), generator=generator)
    place_N = torch.empty(len(y_N), dtype=torch.float64)
    for label in y_N.unique():
        members = torch.nonzero(y_N[shuffled] == label).squeeze(1)
        place_N[members] = (torch.arange(len(members), dtype=torch.float64) + 0.5) / len(members)
    return shuffled[torch.argsort(place_N, stable=True)]
