from pathlib import Path

import pytest

from widthwise._shared import ExportError
from widthwise.slicing.folder import replace_folder


def replace_with_new(target: Path, *, fail: bool = False) -> None:
    with replace_folder(target) as temporary:
        fill(temporary, "new")
        if fail:
            raise KeyError


def fill(folder: Path, text: str) -> None:
    folder.mkdir()
    (folder / "widthwise.json").write_text(text)


def read(folder: Path) -> dict[str, str]:
    return {str(file.relative_to(folder)): file.read_text() for file in folder.rglob("*") if file.is_file()}


def test_a_folder_takes_its_name_at_the_end_of_the_block(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "net") as temporary:
        fill(temporary, "new")
        assert not (tmp_path / "net").exists()
    assert read(tmp_path) == {"net/widthwise.json": "new"}


def test_one_that_was_exported_before_is_replaced_and_an_empty_one_too(tmp_path: Path) -> None:
    fill(tmp_path / "old", "old")
    (tmp_path / "old" / "more").write_text("more")
    (tmp_path / "empty").mkdir()
    for name in ("old", "empty"):
        with replace_folder(tmp_path / name) as temporary:
            fill(temporary, "new")
    assert read(tmp_path) == {"old/widthwise.json": "new", "empty/widthwise.json": "new"}


def test_an_error_leaves_what_stood_there(tmp_path: Path) -> None:
    fill(tmp_path / "net", "old")
    with pytest.raises(KeyError):
        replace_with_new(tmp_path / "net", fail=True)
    assert read(tmp_path) == {"net/widthwise.json": "old"}


def test_a_rename_that_fails_puts_the_old_one_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "net", "old")
    rename = Path.rename

    def refuse(path: Path, target: Path) -> Path:
        if path.name.endswith(".partial"):
            raise OSError(5, "Input/output error")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(ExportError) as caught:
        replace_with_new(tmp_path / "net")
    assert str(caught.value) == (
        f"expected to be able to write {tmp_path / 'net'}, got: Input/output error; create the folder above it, or "
        "give another path"
    )
    assert read(tmp_path) == {"net/widthwise.json": "old"}


def test_other_files_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    (tmp_path / "file").write_text("dear")
    for name, got in (
        ("mine", f"{tmp_path / 'mine'} with other files in it"),
        ("file", f"the file {tmp_path / 'file'}"),
    ):
        with pytest.raises(ExportError) as caught:
            replace_with_new(tmp_path / name)
        assert str(caught.value) == (
            f"expected a new folder, or one that was exported before, got {got}; give another path"
        )
    assert read(tmp_path) == {"mine/letter": "dear", "file": "dear"}


def test_a_missing_folder_above_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"got: No such file or directory; create the folder above it, or give anot"):
        replace_with_new(tmp_path / "none" / "net")
    assert list(tmp_path.iterdir()) == []
