import errno
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from widthwise._shared import CurveError, RunError, read_json, replace_file, write_json, write_text

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=15)
@given(content=st.dictionaries(st.text(), JSON, max_size=4))
def test_what_was_written_is_read(content: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("json") / "run.json"
    content = content | {"schema": 3}
    write_json(path, content)
    assert read_json(path, schema=3, what="run") == content


def test_text_is_written_byte_for_byte(tmp_path: Path) -> None:
    write_text(tmp_path / "page.html", "a\nb\r\né")
    assert (tmp_path / "page.html").read_bytes() == "a\nb\r\né".encode()


def test_the_old_file_stands_until_the_block_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "curve.png"
    path.write_text("old")
    with replace_file(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent
        assert temporary.suffix == ".png"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_of_the_old_file_reads_it_to_the_end(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_text("old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"


def write_half_and_fail(path: Path) -> None:
    path.write_text("half")
    raise KeyboardInterrupt


def test_a_block_that_raises_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "curve.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replace_file(path) as temporary:
        write_half_and_fail(temporary)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_one_file_do_not_share_a_temporary_path(tmp_path: Path) -> None:
    with replace_file(tmp_path / "a.txt") as first, replace_file(tmp_path / "a.txt") as second:
        assert first != second


@pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")
def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "plain").touch()
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_an_error_before_the_work(tmp_path: Path) -> None:
    path = tmp_path / "none" / "a.json"
    expected = (
        f"expected to be able to write {path}, got: No such file or directory; create the folder, or give another"
    )
    with pytest.raises(RunError, match=re.escape(expected)), replace_file(path):
        pytest.fail("the block must not run")


def test_a_temporary_file_that_went_away_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    expected = r"expected to be able to write .*a\.json, got: No such file"
    with pytest.raises(CurveError, match=expected), replace_file(path, error=CurveError) as temporary:
        temporary.unlink()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    expected = f"expected a file name to write to, got the folder {tmp_path}; give a file name inside it"
    with pytest.raises(RunError, match=re.escape(expected)):
        write_text(tmp_path, "x")


def test_a_number_that_json_lacks_is_an_error_and_the_old_file_stands(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(
        RunError, match=r"expected finite numbers to write to .*a\.json, got: .*; write null for a miss"
    ):
        write_json(path, {"loss": float("nan")})
    assert path.read_text() == "old"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "",
            "curve: expected JSON in {path}, got damaged content (Expecting value: line 1 column 1 (char 0)); restore",
        ),
        ('{"schema": 2, "poin', "curve: expected JSON in {path}, got damaged content (Unterminated string"),
        ("[" * 200_000, "curve: expected JSON in {path}, got damaged content ("),
        ("[1, 2]", "curve: expected a JSON object in {path}, got list; restore the file or make it again"),
        ("{}", "curve: expected schema 2 in {path}, got none; check that this is a file of widthwise"),
        ('{"schema": "2"}', "curve: expected schema 2 in {path}, got '2'; check that this is a file of widthwise"),
        ('{"schema": true}', "curve: expected schema 2 in {path}, got True; check that this is a file of widthwise"),
        ('{"schema": 3}', "curve: expected schema 2 in {path}, got schema 3; update widthwise to read it"),
        (
            '{"schema": 1}',
            "curve: expected schema 2 in {path}, got schema 1; make it again with this version of widthw",
        ),
    ],
)
def test_a_file_that_is_not_ours_is_one_clear_line(tmp_path: Path, text: str, expected: str) -> None:
    path = tmp_path / "curve.json"
    path.write_text(text)
    with pytest.raises(CurveError) as caught:
        read_json(path, schema=2, what="curve", error=CurveError)
    assert str(caught.value).startswith(expected.format(path=path))
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_damaged_content(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(b"\xff\xfe{")
    with pytest.raises(RunError, match=r"run: expected JSON in .*, got damaged content \('utf-8' codec"):
        read_json(path, schema=1, what="run")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"schema": "1"}'])
def test_the_caller_can_say_how_to_mend_damaged_content(tmp_path: Path, text: str) -> None:
    path = tmp_path / "run.json"
    path.write_text(text)
    with pytest.raises(RunError, match=r"^run: expected .* got .*; train again$"):
        read_json(path, schema=1, what="run", remedy="train again")


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    with pytest.raises(RunError, match=re.escape(f"run: expected a file {path}, got none; check the path")):
        read_json(path, schema=1, what="run")


def test_a_folder_read_as_a_file_is_one_clear_line(tmp_path: Path) -> None:
    expected = f"run: expected a readable file {tmp_path}, got: Is a directory; check what it is and who may read it"
    with pytest.raises(RunError, match=re.escape(expected)):
        read_json(tmp_path, schema=1, what="run")


def test_json_ends_with_a_line_end_and_keeps_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"schema": 1, "b": 1, "a": 2})
    text = (tmp_path / "a.json").read_text()
    assert text == '{\n  "schema": 1,\n  "b": 1,\n  "a": 2\n}\n'
    assert list(json.loads(text)) == ["schema", "b", "a"]


def test_a_file_has_the_permissions_of_any_other_whatever_the_writer_gives_it(tmp_path: Path) -> None:
    (tmp_path / "other").touch()
    with replace_file(tmp_path / "file") as temporary:
        temporary.unlink()
        temporary.touch(mode=0o600)
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_leaves_the_old_file_and_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    path = tmp_path / "curve.json"
    path.write_text("old")
    write_bytes = Path.write_bytes

    def write_half(target: Path, content: bytes) -> int:
        write_bytes(target, content[: len(content) // 2])
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "write_bytes", write_half)
    with pytest.raises(CurveError) as caught:
        write_text(path, "new and longer", error=CurveError)

    assert str(caught.value) == (
        f"expected to be able to write {path}, got: {os.strerror(code)}; free some space, or give another path"
    )
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_another_error_of_a_block_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), replace_file(tmp_path / "a.txt"):
        (tmp_path / "none").read_text()
