import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from widthwise._shared import DataError
from widthwise.zoo.data.splits import TextSplits
from widthwise.zoo.data.text import PTB, SHAKESPEARE, TEXT_SETS, TextSet, read_text_set

REMEDY = "use the original files"
LINES = {"a.train": " the cat <unk> \n a cat \n", "a.valid": "the dog\n", "a.test": "a cat sat\n"}


def write_set(folder: Path, files: Mapping[str, str | bytes], unit: Any = "word") -> TextSet:
    contents = {file: text if isinstance(text, bytes) else text.encode() for file, text in files.items()}
    for file, content in contents.items():
        (folder / file).write_bytes(content)
    sha256 = {file: hashlib.sha256(content).hexdigest() for file, content in contents.items()}
    return TextSet(name="tiny", folder="no", address=None, sha256=sha256, unit=unit)


def read(splits: TextSplits) -> list[list[str]]:
    return [[splits.vocabulary[i] for i in part.tolist()] for part in (splits.train, splits.validation, splits.test)]


def test_words_come_back_with_the_ends_of_lines(tmp_path: Path) -> None:
    splits = read_text_set(write_set(tmp_path, LINES), tmp_path)
    assert splits.vocabulary == ("<eos>", "<unk>", "a", "cat", "the")
    assert (splits.name, splits.task, splits.num_classes) == ("tiny", "language", 5)
    assert read(splits) == [
        ["the", "cat", "<unk>", "<eos>", "a", "cat", "<eos>"],
        ["the", "<unk>", "<eos>"],
        ["a", "cat", "<unk>", "<eos>"],
    ]
    assert [part.dtype for part in (splits.train, splits.validation, splits.test)] == [torch.int64] * 3


def test_one_file_is_cut_in_three(tmp_path: Path) -> None:
    text = "ab\nc" * 10
    splits = read_text_set(write_set(tmp_path, {"a.txt": text}, "character"), tmp_path)
    assert splits.vocabulary == ("\n", "a", "b", "c")
    assert ["".join(part) for part in read(splits)] == [text[:36], text[36:38], text[38:]]


def test_a_word_that_training_lacks_is_an_error_where_nothing_stands_for_it(tmp_path: Path) -> None:
    files = {**LINES, "a.train": "the cat\n a cat\n"}
    with pytest.raises(DataError) as caught:
        read_text_set(write_set(tmp_path, files), tmp_path)
    assert str(caught.value) == (
        f"the validation split of tiny must hold words of the training split, got 'dog'; {REMEDY}"
    )


@pytest.mark.parametrize(("file", "split"), [("a.train", "training"), ("a.valid", "validation"), ("a.test", "test")])
def test_an_empty_split_is_an_error(file: str, split: str, tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_text_set(write_set(tmp_path, {**LINES, file: ""}), tmp_path)
    assert str(caught.value) == f"the {split} split of tiny must hold at least one token, got none; {REMEDY}"


def test_other_bytes_than_text_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        read_text_set(write_set(tmp_path, {**LINES, "a.test": b"a cat \xff"}), tmp_path)
    assert str(caught.value) == f"a.test must be a text in UTF-8, got other bytes at 6; {REMEDY}"


def test_the_texts_are_listed_by_name() -> None:
    assert dict(TEXT_SETS) == {"ptb": PTB, "shakespeare": SHAKESPEARE}


def test_penn_treebank_has_its_known_numbers(data_folder: Path) -> None:
    splits = read_text_set(PTB, data_folder)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (929_589, 73_760, 82_430)
    assert splits.num_classes == 10_000
    assert [int(part.max()) < 10_000 for part in (splits.train, splits.validation, splits.test)] == [True] * 3
    end = splits.vocabulary.index("<eos>")
    lines = [int((part == end).sum()) for part in (splits.train, splits.validation, splits.test)]
    assert lines == [42_068, 3_370, 3_761]


def test_shakespeare_has_its_known_numbers(data_folder: Path) -> None:
    splits = read_text_set(SHAKESPEARE, data_folder)
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (1_003_854, 55_770, 55_770)
    assert splits.num_classes == 65
    assert "".join(read(splits)[0][:14]) == "First Citizen:"
