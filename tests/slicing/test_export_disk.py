"""Every writer runs out of room: the system refuses to let a file grow beyond a limit."""

import errno
import resource
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.slicing.formats.samples import batch_of, make_plain
from widthwise._shared import ExportError
from widthwise.slicing import export as export_module
from widthwise.slicing import export_network
from widthwise.slicing.formats import Format, Plain

SUFFIXES = [
    ".safetensors",
    ".pt",
    ".pt2",
    pytest.param(".onnx", marks=pytest.mark.slow),
    pytest.param(".pte", marks=pytest.mark.slow),
]


@contextmanager
def largest_file(num_bytes: int) -> Generator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def make_large() -> Plain:
    """A network of 80 kB."""
    return make_plain(nn.Sequential(nn.Linear(4, 100), nn.Linear(100, 190), nn.Linear(190, 3)).eval())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_disk_is_told_in_one_line_and_leaves_what_stood_there(suffix: str, tmp_path: Path) -> None:
    if suffix == ".onnx":
        pytest.importorskip("onnxscript", reason="needs onnx: pip install 'widthwise[export]'")
    if suffix == ".pte":
        pytest.importorskip("executorch.exir", reason="needs executorch: pip install 'widthwise[executorch]'")
    target = tmp_path / f"net{suffix}"
    target.write_text("an older file")
    plain = make_large()
    with largest_file(20_000), pytest.raises(ExportError) as caught:
        export_network(plain, target, [batch_of(2)])
    assert str(caught.value) == (
        f"expected to be able to write {target}, got: [Errno 27] File too large; make room, or give a path on another "
        "disk"
    )
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [(target.name, "an older file")]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError('IoError(Os { code: 28, kind: StorageFull, message: "No space left on device" })'),
        RuntimeError("I/O error: No space left on device (os error 28)"),
    ],
)
def test_what_writers_call_a_full_disk_is_one(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Plain, path: Path) -> None:
        path.write_text("half")
        raise error

    monkeypatch.setattr(export_module, "find_format", lambda _: Format(write=fail, read=lambda *_: lambda _: []))
    with pytest.raises(ExportError, match=r"; make room, or give a path on another disk$"):
        export_network(make_plain(), tmp_path / "net.pt", [batch_of(2)])
    assert list(tmp_path.iterdir()) == []


def test_no_room_for_a_folder_to_write_in_is_told_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(export_module, "TemporaryDirectory", fail)
    with pytest.raises(ExportError, match=r"got: \[Errno 28\] No space left on device; make room, or give a path on"):
        export_network(make_plain(), tmp_path / "net.pt", [batch_of(2)])
    assert list(tmp_path.iterdir()) == []


def test_a_neighbour_that_finds_no_room_keeps_the_file_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    genuine = export_module.replace_file

    def refuse(path: Path, **options: Any) -> Any:
        if path.name == "net.config.json":
            raise ExportError("no room")
        return genuine(path, **options)

    monkeypatch.setattr(export_module, "replace_file", refuse)
    (tmp_path / "net.safetensors").write_text("an older file")
    with pytest.raises(ExportError, match=r"^no room$"):
        export_network(make_plain(), tmp_path / "net.safetensors", [batch_of(2)])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"net.safetensors": "an older file"}
    assert torch.is_grad_enabled()
