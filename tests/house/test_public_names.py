import importlib
from pathlib import Path

from tests.house.freeze import PUBLIC_NAMES, public_names, read_list, write_list


def test_public_names_are_the_frozen_ones() -> None:
    assert public_names() == read_list(PUBLIC_NAMES), "if this is meant: make freeze, and a line in CHANGELOG.md"


def test_every_public_name_exists() -> None:
    names = [name.rsplit(".", 1) for name in public_names()]
    assert names
    assert [name for package, name in names if not hasattr(importlib.import_module(package), name)] == []


def test_no_public_function_shares_the_name_of_a_room() -> None:
    # `curve` beside the room `curves`: the import of a room would otherwise replace the function on the face.
    rooms = {name.split(".")[1] for name in public_names() if name.count(".") == 2}
    face = {name.split(".")[1] for name in public_names() if name.count(".") == 1}
    assert rooms
    assert face & rooms == set()


def test_the_face_is_small() -> None:
    assert 0 < len(importlib.import_module("widthwise").__all__) <= 20


def test_a_written_list_reads_back_and_keeps_its_comments(tmp_path: Path) -> None:
    path = tmp_path / "names.txt"
    path.write_text("# why\nold\n", encoding="utf-8")
    write_list(path, ["a.b", "a.c"])
    assert read_list(path) == ["a.b", "a.c"]
    assert path.read_text(encoding="utf-8").startswith("# why\n")
