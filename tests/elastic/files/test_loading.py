import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from urllib.request import Request, urlopen

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.utils import _pytree as pytree

import widthwise as ww
from tests.laws.test_networks_of_the_zoo import BATCH_DIMS, MAKERS
from tests.networks import CASES, draw_widths, make_generator, make_model, randomize
from widthwise._shared import ExportError, WidthError
from widthwise.elastic import Elastic, ElasticFile, Law, save_elastic


class Bytes:
    """Gives ranges of bytes and takes down how many."""

    def __init__(self, path: Path) -> None:
        self.content = path.read_bytes()
        self.lengths: list[int] = []

    def read(self, offset: int, length: int) -> bytes:
        self.lengths.append(length)
        return self.content[offset : offset + length]


@cache
def saved(name: str) -> tuple[Elastic, Path]:
    """A model and its file, once for all tests."""
    model = make_model(name, torch.float32)
    path = Path(mkdtemp()) / "all.safetensors"
    save_elastic(model, path)
    return model, path


def num_bytes(net: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in {id(t): t for t in (*net.parameters(), *net.buffers())}.values())


def assert_equal(one: nn.Module, other: nn.Module, *args: Any, **kwargs: Any) -> None:
    """Two networks have the same state and give the same outputs, bit by bit."""
    ours, theirs = one.state_dict(), other.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert [p.requires_grad for p in one.parameters()] == [p.requires_grad for p in other.parameters()]
    found, expected = (pytree.tree_flatten(net(*args, **kwargs)) for net in (one, other))
    assert found[1] == expected[1]
    for a, b in zip(found[0], expected[0], strict=True):
        assert torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b


@pytest.mark.parametrize("name", [name for name in CASES if name != "pair"])
@given(seed=st.integers(0, 99), fraction=st.floats(0.05, 1))
def test_what_is_loaded_is_what_is_extracted(name: str, seed: int, fraction: float) -> None:
    model, path = saved(name)
    args, kwargs = CASES[name].sample(3, make_generator(seed), torch.float32)
    for width in (draw_widths(model, seed), fraction):
        assert_equal(ww.load(path, width), model.extract(width, form="graph"), *args, **kwargs)


@pytest.mark.slow  # Traces networks of full size.
@pytest.mark.parametrize("name", MAKERS)
def test_every_network_of_the_zoo_is_loaded_as_it_is_extracted(name: str, tmp_path: Path) -> None:
    make_net, draw = MAKERS[name]
    inputs = draw()
    model = Elastic(make_net().eval(), inputs, batch_dim=BATCH_DIMS.get(name, 0))
    save_elastic(model, tmp_path / "all.safetensors")
    file = ElasticFile(tmp_path / "all.safetensors")
    header = file.bytes_read
    for width in (1 / 16, 1 / 4):
        found = file.load(width)
        assert_equal(found, model.extract(width, form="graph"), *inputs)
        assert file.bytes_read == num_bytes(found) + header


@pytest.mark.parametrize("name", ["mlp", "resnet", "conv", "join", "dict"])
@given(fraction=st.floats(0.05, 1), more=st.floats(0, 1))
def test_a_fraction_reads_its_own_bytes_in_one_range_and_a_larger_one_the_difference(
    name: str, fraction: float, more: float
) -> None:
    path = saved(name)[1]
    file = ElasticFile(path)
    header = file.bytes_read
    small, after = file.load(fraction), file.bytes_read
    assert file.num_reads == 3
    larger = fraction + more * (1 - fraction)
    large = file.load(larger)
    # What moves by name only is stored as a whole, and full at every fraction.
    assert after == header + num_bytes(small)
    assert file.bytes_read == header + num_bytes(large)
    assert file.num_reads <= 4
    args, kwargs = CASES[name].sample(3, make_generator(0), torch.float32)
    assert_equal(large, ww.load(path, larger), *args, **kwargs)
    assert_equal(small, file.load(fraction), *args, **kwargs)
    assert file.bytes_read == header + num_bytes(large)


def test_widths_of_groups_read_of_each_tensor_what_it_needs() -> None:
    path = saved("mlp")[1]
    reader = Bytes(path)
    file = ElasticFile(reader)
    header = sum(reader.lengths)
    file.load({"fc1": 1, "fc2": 7})
    # One row of fc1 and its bias, and the second and third layer as if fc1 were full, or less.
    assert sum(reader.lengths) - header <= 4 * (6 + 1 + 7 * 10 + 7 + 3 * 7 + 3)
    assert file.bytes_read == sum(reader.lengths)
    assert file.num_reads == len(reader.lengths)


def test_one_file_of_a_known_network_has_known_bytes() -> None:
    file = ElasticFile(saved("mlp")[1])
    header = file.bytes_read
    file.load(0.5)
    # 6-5-4-3: weights and biases in float32.
    assert file.bytes_read - header == 4 * (5 * 6 + 5 + 4 * 5 + 4 + 3 * 4 + 3)
    assert file.widths(0.5) == {"fc1": 5, "fc2": 4}
    assert file.groups.sizes == {"fc1": 10, "fc2": 7}
    assert file.lowest == {"fc1": 1, "fc2": 1}
    assert file.facts["made_by"] == f"widthwise {ww.__version__}"


@pytest.fixture
def server() -> Iterator[Callable[[Path], str]]:
    """Serves ranges of a file on this machine."""
    served: list[Path] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
            content = served[0].read_bytes()[first : last + 1]
            self.send_response(206)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield lambda path: served.append(path) or f"http://127.0.0.1:{running.server_port}/"
        running.shutdown()
        thread.join()


def test_a_width_is_fetched_from_a_server_by_ranges(server: Callable[[Path], str]) -> None:
    class Remote:
        def read(self, offset: int, length: int) -> bytes:
            wanted = Request(server(path), headers={"Range": f"bytes={offset}-{offset + length - 1}"})
            with urlopen(wanted) as answer:
                return answer.read()

    model, path = saved("mlp")
    assert_equal(ww.load(Remote(), 0.5), model.extract(0.5, form="graph"), torch.randn(3, 6))


def test_a_file_that_has_the_first_bytes_only_gives_the_narrow_networks(tmp_path: Path) -> None:
    model, path = saved("mlp")
    whole = ElasticFile(path)
    whole.load(0.5)
    part = tmp_path / "part.safetensors"
    part.write_bytes(path.read_bytes()[: whole.bytes_read])
    assert_equal(ww.load(part, 0.5), model.extract(0.5, form="graph"), torch.randn(3, 6))
    with pytest.raises(ExportError, match="got a damaged one"):
        ww.load(part, 1.0)


@pytest.mark.parametrize("name", ["mlp", "resnet", "conv"])
@pytest.mark.parametrize(
    "options", [{"unit_affine": True}, {"octave_weights": True}, {"unit_affine": True, "octave_weights": True}]
)
def test_corrections_of_octaves_are_folded_in(name: str, options: dict[str, bool], tmp_path: Path) -> None:
    model = make_model(name, torch.float32, Law(lowest=1 / 8, **options))
    for own in (model.unit_affine, model.octave_weights):
        if own is not None:
            randomize(own, 3)
    save_elastic(model, tmp_path / "all.safetensors")
    file = ElasticFile(tmp_path / "all.safetensors")
    args, kwargs = CASES[name].sample(3, make_generator(0), torch.float32)
    uneven = {
        group.name: max(file.lowest[group.name], group.size // (2 + i % 3)) for i, group in enumerate(model.groups)
    }
    for width in (1 / 8, 0.3, uneven, 0.5, 0.8, 1.0):
        assert_equal(file.load(width), model.extract(width, form="graph"), *args, **kwargs)


def test_corrections_that_nobody_trained_take_no_bytes(tmp_path: Path) -> None:
    plain, own = (make_model("mlp", torch.float32, Law(lowest=1 / 8, unit_affine=each)) for each in (False, True))
    one, other = (save_elastic(each, tmp_path / f"{i}.safetensors") for i, each in enumerate((plain, own)))
    assert abs(one.size_bytes - other.size_bytes) < 64


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_dtype_keeps_it(dtype: torch.dtype, tmp_path: Path) -> None:
    model = make_model("mlp", dtype)
    save_elastic(model, tmp_path / "all.safetensors")
    x = torch.randn(3, 6).to(dtype)
    assert_equal(ww.load(tmp_path / "all.safetensors", 0.5), model.extract(0.5, form="graph"), x)


def test_channels_last_and_frozen_parameters_are_kept(tmp_path: Path) -> None:
    model = make_model("resnet", torch.float32)
    model.net.to(memory_format=torch.channels_last)
    model.net.get_parameter("stem.weight").requires_grad_(False)
    save_elastic(model, tmp_path / "all.safetensors")
    found = ww.load(tmp_path / "all.safetensors", 0.5)
    assert found.get_parameter("stem.weight").is_contiguous(memory_format=torch.channels_last)
    assert_equal(found, model.extract(0.5, form="graph"), torch.randn(3, 2, 6, 6))


def test_tied_names_are_one_parameter() -> None:
    net = ww.load(saved("tokens")[1], 0.5)
    assert net.get_parameter("head.weight") is net.get_parameter("table.weight")


def test_networks_of_one_file_share_nothing() -> None:
    file = ElasticFile(saved("mlp")[1])
    one, other = file.load(0.5), file.load(0.5)
    with torch.no_grad():
        for parameter in one.parameters():
            parameter.zero_()
    assert_equal(other, file.load(0.5), torch.randn(2, 6))
    assert bool(other.get_parameter("fc1.weight").all())


def test_a_width_below_what_the_file_holds_is_an_error(tmp_path: Path) -> None:
    save_elastic(make_model("mlp", law=Law(lowest=0.4)), tmp_path / "all.safetensors")
    with pytest.raises(WidthError) as caught:
        ww.load(tmp_path / "all.safetensors", 0.2)
    assert str(caught.value) == (
        "kept must lie in [4, 10] (width of fc1 in this file), got 2; load a wider network, or train and save with a "
        "smaller lowest"
    )
    with pytest.raises(WidthError, match=r"^expected the name of a width group, got 'fc3'"):
        ww.load(tmp_path / "all.safetensors", {"fc3": 2})


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"^expected a file that can be read at .*none\.safetensors, got: No such file"
    ):
        ww.load(tmp_path / "none.safetensors", 0.5)


def test_a_file_of_plain_weights_is_an_error(tmp_path: Path) -> None:
    ww.export(saved("mlp")[0], 0.5, tmp_path / "small.safetensors")
    with pytest.raises(ExportError) as caught:
        ww.load(tmp_path / "small.safetensors", 0.5)
    assert str(caught.value) == (
        "expected a file of save_elastic, got small.safetensors, which is none; load it as what it is"
    )


@pytest.mark.parametrize("part", ["groups", "graph", "state", "sections", "statistics", "checksums"])
def test_a_description_without_one_of_its_parts_is_an_error(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved("mlp")[1]
    from widthwise.slicing.stored import StoredFile

    genuine = StoredFile.__init__

    def without(self: Any, *args: Any) -> None:
        genuine(self, *args)
        del self.content[part]

    monkeypatch.setattr(StoredFile, "__init__", without)
    with pytest.raises(ExportError, match=r"got a damaged one \(a description that cannot be read: KeyError\); fetch"):
        ww.load(path, 0.5)


def test_loading_gives_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert isinstance(ww.load(saved("mlp")[1], 0.5), nn.Module)
