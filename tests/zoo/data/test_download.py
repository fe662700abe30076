import gc
import os
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from widthwise._shared import DataError, MissingExtraError
from widthwise.zoo.data import download
from widthwise.zoo.data.download import download_files
from widthwise.zoo.data.image_set import TRAIN_IMAGES, TRAIN_LABELS, ImageSet
from widthwise.zoo.data.local_files import describe_failure
from widthwise.zoo.data.pictures import load_pictures

pooch = pytest.importorskip("pooch")
MakeSet = Callable[..., ImageSet]


class Handler(SimpleHTTPRequestHandler):
    """Serve a folder in silence; a file named in `cut` ends before its announced length."""

    cut: frozenset[str] = frozenset()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def copyfile(self, source, outputfile) -> None:  # noqa: ANN001
        content = source.read()
        outputfile.write(content[:-9] if Path(self.path).name in self.cut else content)


class Server:
    """A file server on loopback over a folder that the test fills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handler = type("CutHandler", (Handler,), {})
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), partial(self.handler, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self._http.server_port}/"
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()
        self._is_up = True

    def stop(self) -> None:
        if self._is_up:
            self._http.shutdown()
            self._thread.join()
            self._http.server_close()
            self._is_up = False


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.delenv("WIDTHWISE_DATA", raising=False)
    (tmp_path / "served").mkdir()
    running = Server(tmp_path / "served")
    yield running
    running.stop()
    # pooch leaves the socket of a failed download to the garbage collector; its warning belongs to no later test.
    with warnings.catch_warnings(action="ignore", category=ResourceWarning):
        gc.collect()


@pytest.fixture
def served_set(server: Server, make_set: MakeSet) -> ImageSet:
    return make_set(server.folder, address=server.address)


def message(image_set: ImageSet, file: str, got: str) -> str:
    return describe_failure(image_set, Path(file), got)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_four_files_are_downloaded_as_they_are(served_set: ImageSet, server: Server, tmp_path: Path) -> None:
    folder = download_files(served_set, tmp_path / "cache")
    assert folder == tmp_path / "cache" / "tiny_pictures"
    assert names(folder) == sorted(served_set.sha256)
    assert all((folder / file).read_bytes() == (server.folder / file).read_bytes() for file in served_set.sha256)


def test_splits_come_from_the_network_where_no_folder_is_named(served_set: ImageSet, tmp_path: Path) -> None:
    splits = load_pictures(served_set, cache=tmp_path / "cache")
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (5, 2, 3)


def test_the_second_time_needs_no_network(served_set: ImageSet, server: Server, tmp_path: Path) -> None:
    first = download_files(served_set, tmp_path)
    server.stop()
    assert download_files(served_set, tmp_path) == first


def test_a_damaged_file_of_the_cache_is_downloaded_again(served_set: ImageSet, server: Server, tmp_path: Path) -> None:
    damaged = download_files(served_set, tmp_path) / TRAIN_IMAGES
    damaged.write_bytes(b"damaged")
    download_files(served_set, tmp_path)
    assert damaged.read_bytes() == (server.folder / TRAIN_IMAGES).read_bytes()


def test_a_file_with_another_checksum_is_an_error_and_is_not_kept(
    served_set: ImageSet, server: Server, tmp_path: Path
) -> None:
    good = (server.folder / TRAIN_LABELS).read_bytes()
    (server.folder / TRAIN_LABELS).write_bytes(b"something else")
    with pytest.raises(DataError) as caught:
        download_files(served_set, tmp_path)
    assert str(caught.value) == message(served_set, TRAIN_LABELS, f"another file from {server.address}")
    assert names(tmp_path / "tiny_pictures") == [TRAIN_IMAGES]
    (server.folder / TRAIN_LABELS).write_bytes(good)
    assert names(download_files(served_set, tmp_path)) == sorted(served_set.sha256)


def test_a_file_cut_on_the_way_is_an_error_and_is_not_kept(
    served_set: ImageSet, server: Server, tmp_path: Path
) -> None:
    server.handler.cut = frozenset([TRAIN_LABELS])
    with pytest.raises(DataError, match=rf"^expected {TRAIN_LABELS} \(sha256 [0-9a-f]*\.\.\.\), got no answer from"):
        download_files(served_set, tmp_path)
    assert names(tmp_path / "tiny_pictures") == [TRAIN_IMAGES]


def test_a_failed_download_leaves_a_good_file_as_it_was(served_set: ImageSet, server: Server, tmp_path: Path) -> None:
    kept = download_files(served_set, tmp_path) / TRAIN_IMAGES
    before = kept.read_bytes()
    (kept.parent / TRAIN_LABELS).unlink()
    server.stop()
    with pytest.raises(DataError, match=f"expected {TRAIN_LABELS} "):
        download_files(served_set, tmp_path)
    assert kept.read_bytes() == before


def test_no_network_is_one_clear_error(served_set: ImageSet, server: Server, tmp_path: Path) -> None:
    server.stop()
    with pytest.raises(DataError) as caught:
        load_pictures(served_set, cache=tmp_path)
    got = f"no answer from {server.address} (ConnectionError)"
    assert str(caught.value) == message(served_set, TRAIN_IMAGES, got)
    assert "\n" not in str(caught.value)


def test_a_file_that_the_server_lacks_is_an_error(served_set: ImageSet, server: Server, tmp_path: Path) -> None:
    (server.folder / TRAIN_LABELS).unlink()
    with pytest.raises(DataError) as caught:
        download_files(served_set, tmp_path)
    got = f"no answer from {server.address} (HTTPError)"
    assert str(caught.value) == message(served_set, TRAIN_LABELS, got)


def test_a_cache_that_cannot_be_written_is_an_error(
    served_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("pooch.core.make_local_storage", refuse)
    with pytest.raises(DataError) as caught:
        download_files(served_set, tmp_path / "cache")
    got = "a cache folder that cannot be written (Permission denied)"
    assert str(caught.value) == message(served_set, TRAIN_IMAGES, got)


def test_without_pooch_the_error_names_the_file_and_the_extra(
    served_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lack(module: str, extra: str) -> None:
        raise MissingExtraError(f"{module} of {extra} is missing")

    monkeypatch.setattr(download, "require", lack)
    with pytest.raises(DataError) as caught:
        download_files(served_set, tmp_path)
    assert str(caught.value) == message(served_set, TRAIN_IMAGES, "no data folder and no pooch to download it")
    assert "pip install 'widthwise[data]'" in str(caught.value)


def test_the_log_of_pooch_is_quiet_only_while_we_download(
    served_set: ImageSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    logger = pooch.get_logger()  # One of its own, without the root as parent.
    logger.addHandler(caplog.handler)
    try:
        logger.info("heard")
        download_files(served_set, tmp_path)
        assert caplog.messages == ["heard"]
        logger.info("heard again")
        assert caplog.messages == ["heard", "heard again"]
    finally:
        logger.removeHandler(caplog.handler)


def test_the_users_cache_folder_is_the_default(
    served_set: ImageSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / project)
    assert download_files(served_set) == tmp_path / "widthwise" / "tiny_pictures"
