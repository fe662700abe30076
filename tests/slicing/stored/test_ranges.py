from pathlib import Path

import pytest

from widthwise._shared import ExportError
from widthwise.slicing.stored import FileRanges, RangeReader


def test_a_range_of_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(bytes(range(10)))
    reader = FileRanges(path)
    assert isinstance(reader, RangeReader)
    assert reader.read(3, 4) == bytes([3, 4, 5, 6])
    assert reader.read(8, 4) == bytes([8, 9])


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        FileRanges(tmp_path / "none").read(0, 1)
    assert str(caught.value) == (
        f"expected a file that can be read at {tmp_path / 'none'}, got: No such file or directory; check the path"
    )
