import hashlib
import io
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import DataError
from widthwise.zoo.data.clouds import SHREC, CloudSet, draw_points, load_clouds

REMEDY = "use the original file"
# Two classes of three training samples and one test sample each, in an order of their own.
LABELS = [0, 1, 0, 1, 0, 0, 1, 1]
IS_TRAIN = [True, True, True, True, False, True, True, False]


def write_set(folder: Path, **changed: npt.ArrayLike) -> CloudSet:
    points = np.random.default_rng(0).uniform(-1, 1, (8, 5, 3)).astype(np.float16)
    points[:, 0, 0] = np.arange(8) / 8  # The number of the sample.
    arrays = {"points": points, "labels": np.array(LABELS, np.int16), "is_train": np.array(IS_TRAIN), **changed}
    content = io.BytesIO()
    np.savez(content, **arrays)
    (folder / "tiny.npz").write_bytes(content.getvalue())
    sha256 = {"tiny.npz": hashlib.sha256(content.getvalue()).hexdigest()}
    return CloudSet(name="tiny", folder="no", address=None, sha256=sha256, num_classes=2, num_validation=1)


def test_the_last_training_samples_of_each_class_validate(tmp_path: Path) -> None:
    splits = load_clouds(write_set(tmp_path), tmp_path)
    places = [
        (split.tensors[0][:, 0, 0] * 8).int().tolist() for split in (splits.train, splits.validation, splits.test)
    ]
    assert places == [[0, 1, 2, 3], [5, 6], [4, 7]]
    assert splits.validation.tensors[1].tolist() == [0, 1]
    assert (splits.name, splits.num_classes, splits.input_shape) == ("tiny", 2, (5, 3))
    assert [tensor.dtype for tensor in splits.train.tensors] == [torch.float32, torch.int64]


@given(kept=st.integers(1, 6), samples=st.integers(1, 4), seed=st.integers(0, 2**31))
def test_drawn_points_are_different_points_of_the_same_cloud(kept: int, samples: int, seed: int) -> None:
    points = torch.arange(samples * 6 * 3, dtype=torch.float32).reshape(samples, 6, 3)
    drawn = draw_points(points, kept, torch.Generator().manual_seed(seed))
    assert drawn.shape == (samples, kept, 3)
    for i in range(samples):
        rows = {tuple(row) for row in drawn[i].tolist()}
        assert len(rows) == kept
        assert rows <= {tuple(row) for row in points[i].tolist()}


def test_each_point_is_drawn_as_often_as_any_other() -> None:
    points = torch.arange(8.0).reshape(1, 8, 1).expand(4000, 8, 3)
    counts = draw_points(points, 2, torch.Generator().manual_seed(0))[..., 0].long().flatten().bincount()
    assert (counts / 4000 - 1 / 4).abs().max() < 5 * (1 / 4 * 3 / 4 / 4000) ** 0.5


def test_draws_depend_on_the_generator_alone() -> None:
    points, generator = torch.rand(3, 50, 3), torch.Generator().manual_seed(1)
    before = torch.get_rng_state()
    first, second = (draw_points(points, 10, generator) for _ in range(2))
    assert torch.equal(first, draw_points(points, 10, torch.Generator().manual_seed(1)))
    assert not torch.equal(first, second)
    places = draw_points(torch.arange(50.0).reshape(1, 50, 1).expand(2, 50, 1), 10, generator)
    assert not torch.equal(places[0], places[1])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("num_points", [0, 6])
def test_more_points_than_there_are_cannot_be_drawn(num_points: int) -> None:
    with pytest.raises(DataError) as caught:
        draw_points(torch.zeros(2, 5, 3), num_points, torch.Generator())
    assert str(caught.value) == (
        f"num_points must lie in 1..5, the points of each cloud, got {num_points}; choose a number in this range"
    )


@pytest.mark.parametrize(
    ("changed", "got"),
    [
        ({"points": np.zeros((8, 15))}, "(8, 15), (8,), (8,)"),
        ({"points": np.zeros((8, 5, 2))}, "(8, 5, 2), (8,), (8,)"),
        ({"labels": np.zeros(7, np.int16)}, "(8, 5, 3), (7,), (8,)"),
        ({"is_train": np.zeros((8, 1), bool)}, "(8, 5, 3), (8,), (8, 1)"),
    ],
)
def test_arrays_that_do_not_fit_together_are_an_error(
    changed: dict[str, npt.ArrayLike], got: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        load_clouds(write_set(tmp_path, **changed), tmp_path)
    expected = "points, labels and is_train in tiny.npz must have the shapes (N, P, 3), (N,) and (N,)"
    assert str(caught.value) == f"{expected}, got {got}; {REMEDY}"


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_of_no_class_is_an_error(label: int, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_clouds(write_set(tmp_path, labels=np.array([0] * 7 + [label], np.int16)), tmp_path)
    assert str(caught.value) == f"labels in tiny.npz must lie in 0..1, got {label}; {REMEDY}"


def test_points_that_are_no_numbers_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_clouds(write_set(tmp_path, points=np.full((8, 5, 3), np.nan, np.float16)), tmp_path)
    assert str(caught.value) == f"points in tiny.npz must be finite, got some that are not; {REMEDY}"


@pytest.mark.parametrize(
    ("is_train", "split"), [([True] * 8, "test"), ([False] * 8, "train"), ([True, True, *[False] * 6], "train")]
)
def test_an_empty_split_is_an_error(is_train: list[bool], split: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load_clouds(write_set(tmp_path, is_train=np.array(is_train)), tmp_path)
    assert str(caught.value) == f"tiny.npz must hold samples of the {split} split, got none; {REMEDY}"


def test_shrec_has_its_known_numbers(data_folder: Path) -> None:
    splits = load_clouds(SHREC, data_folder)
    for split, per_class in ((splits.train, 13), (splits.validation, 3), (splits.test, 4)):
        x, y = split.tensors
        assert x.shape == (30 * per_class, 1024, 3)
        assert y.bincount().tolist() == [per_class] * 30
        assert x.norm(dim=2).max() <= 1 + 1e-3  # float16 keeps three digits.
