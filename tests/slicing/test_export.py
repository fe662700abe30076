from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from tests.slicing.formats.samples import Mixer, batch_of, make_mixer, make_net, make_plain, named_batch_of
from widthwise._shared import ExportError, MissingExtraError
from widthwise.graph import Example
from widthwise.slicing import export as export_module
from widthwise.slicing import export_network
from widthwise.slicing.formats import Format, Plain, Reader

Edit = Callable[[list[Any]], list[Any]]


class Answers(nn.Module):
    """Returns what it was given, whatever its inputs are; has parameters of one dtype."""

    def __init__(self, answers: list[Any], dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        self.answers = answers
        self.weight = nn.Parameter(torch.zeros(1, dtype=dtype))

    def forward(self, _: Tensor) -> list[Any]:
        return self.answers


@pytest.fixture
def use_format(monkeypatch: pytest.MonkeyPatch) -> Callable[[Edit], None]:
    """Use a format whose files answer as the network does, with an edit."""

    def use(edit: Edit) -> None:
        def write(_: Plain, path: Path) -> None:
            path.write_text("a file")

        def read(plain: Plain, path: Path) -> Reader:
            assert path.read_text() == "a file"
            return lambda inputs: edit(list(plain.net(*inputs.args, **inputs.kwargs)))

        monkeypatch.setattr(export_module, "find_format", lambda _: Format(write=write, read=read))

    return use


def export_answers(answers: list[Any], path: Path, dtype: torch.dtype = torch.float32) -> float:
    plain = make_plain(Answers(answers, dtype))
    return export_network(plain, path / "net.pt", [batch_of(2)]).max_difference


def assert_keeps_nothing_but(folder: Path, expected: dict[str, str]) -> None:
    """The folder holds these files and no temporary one."""
    assert {path.name: path.read_text() for path in folder.iterdir()} == expected


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2"])
def test_a_file_that_computes_the_same_is_kept_and_described(suffix: str, tmp_path: Path) -> None:
    exported = export_network(make_plain(), tmp_path / f"net{suffix}", [batch_of(3), batch_of(1)])
    assert exported.path == tmp_path / f"net{suffix}"
    assert exported.size_bytes == exported.path.stat().st_size
    assert exported.max_difference <= 1e-6
    assert exported.num_inputs == 4
    assert sorted(tmp_path.iterdir()) == sorted([exported.path, *exported.neighbours])
    assert [path.name for path in exported.neighbours] == (
        ["net.config.json", "net.load.py"] if suffix == ".safetensors" else []
    )


def test_samples_are_counted_along_the_batch_axis(tmp_path: Path) -> None:
    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = make_net()

        def forward(self, factor: float, x: Tensor) -> Tensor:
            return self.net(x.t()) * factor

    example = Example(args=(2.0, torch.randn(4, 3)), kwargs={})
    plain = Plain(net=Turned().eval(), example=example, batch_axes=[None, 1], facts={})
    assert export_network(plain, tmp_path / "net.pt", [example]).num_inputs == 3


@pytest.mark.parametrize("suffix", [".safetensors", ".pt2"])
def test_inputs_by_name_may_stand_in_any_order(suffix: str, tmp_path: Path) -> None:
    named = named_batch_of(3).kwargs
    inputs = Example(args=(), kwargs={name: named[name] for name in reversed(named)})
    exported = export_network(make_mixer(), tmp_path / f"net{suffix}", [inputs])
    assert exported.max_difference <= 1e-6
    assert exported.num_inputs == 3


def test_the_difference_is_the_largest_of_all_outputs_and_inputs(tmp_path: Path, use_format: Any) -> None:
    def edit(outputs: list[Any]) -> list[Any]:
        outputs[0] = outputs[0] * (1 + (3e-6 if len(outputs[0]) == 2 else 1e-6))
        return outputs

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            return x + 1, 100 * x

    use_format(edit)
    batches = [batch_of(1, dtype=torch.float64), batch_of(2, dtype=torch.float64), batch_of(1, dtype=torch.float64)]
    exported = export_network(make_plain(Pair()), tmp_path / "net.pt", batches)
    assert exported.max_difference == pytest.approx(3e-6, rel=1e-3)


@pytest.mark.parametrize(
    ("answers", "got"),
    [
        ([torch.ones(3)], [torch.tensor([1.0, 1.0, 1.0001])]),
        ([torch.ones(3), torch.ones(3)], [torch.ones(3), torch.full((3,), float("nan"))]),
        ([torch.ones(3)], [torch.tensor([1.0, 1.0, float("inf")])]),
        ([torch.tensor([1.0, float("inf")])], [torch.tensor([1.0, float("-inf")])]),
        ([torch.tensor([float("nan")])], [torch.tensor([float("inf")])]),
        ([torch.ones(3)], [torch.ones(1, 3)]),
        ([torch.ones(3)], [torch.ones(3, dtype=torch.float64)]),
        ([torch.ones(3), torch.ones(3)], [torch.ones(3)]),
        ([torch.tensor([1, 10**9])], [torch.tensor([2, 10**9])]),
        ([torch.tensor([True, False])], [torch.tensor([True, True])]),
    ],
    ids=["value", "nan", "inf", "sign of inf", "nan or inf", "shape", "dtype", "number", "integer", "bool"],
)
def test_a_file_that_computes_something_else_is_not_kept(
    answers: list[Any], got: list[Any], tmp_path: Path, use_format: Any
) -> None:
    use_format(lambda _: got)
    (tmp_path / "net.pt").write_text("an older file")
    with pytest.raises(ExportError, match=r"^expected net\.pt to compute what the network does, got a relative diff"):
        export_answers(answers, tmp_path)
    assert_keeps_nothing_but(tmp_path, {"net.pt": "an older file"})


@pytest.mark.parametrize(
    "answers",
    [
        [torch.tensor([1.0, float("nan"), float("-inf"), float("inf")])],
        [torch.tensor([float("-inf")])],
        [torch.zeros(0, 3), torch.zeros(3)],
        [torch.tensor([3, 4]), torch.tensor([True]), "a word", None],
        [torch.tensor([1 + 2j])],
    ],
    ids=["not finite", "nothing finite", "empty and zero", "not floating", "complex"],
)
def test_outputs_of_any_kind_can_be_the_same(answers: list[Any], tmp_path: Path, use_format: Any) -> None:
    use_format(lambda outputs: outputs)
    assert export_answers(answers, tmp_path) == 0.0


def test_low_precision_may_differ_more(tmp_path: Path, use_format: Any) -> None:
    use_format(lambda outputs: [1.005 * outputs[0]])
    assert export_answers([torch.ones(3)], tmp_path, torch.bfloat16) == pytest.approx(0.005, rel=1e-3)
    with pytest.raises(ExportError, match=r"relative difference of 0\.005 \(at most 1e-05\)"):
        export_answers([torch.ones(3)], tmp_path, torch.float64)


def test_the_difference_is_told(tmp_path: Path, use_format: Any) -> None:
    use_format(lambda outputs: [1.25 * outputs[0]])
    with pytest.raises(ExportError) as caught:
        export_answers([torch.ones(3)], tmp_path)
    assert str(caught.value) == (
        "expected net.pt to compute what the network does, got a relative difference of 0.25 (at most 1e-05); the file "
        "was not kept, export another format"
    )


def test_a_network_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: Plain, path: Path) -> None:
        path.write_text("half a file")
        raise RuntimeError("a report\nof many lines") from ValueError("no such operator\nmore")

    monkeypatch.setattr(export_module, "find_format", lambda _: Format(write=fail, read=lambda *_: lambda _: []))
    (tmp_path / "net.onnx").write_text("an older file")
    with pytest.raises(ExportError) as caught:
        export_network(make_plain(), tmp_path / "net.onnx", [batch_of(2)])
    assert str(caught.value) == (
        "expected a network that can be written as .onnx and read back, got: no such operator; export another format"
    )
    assert_keeps_nothing_but(tmp_path, {"net.onnx": "an older file"})


def test_an_error_of_the_house_stays_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise MissingExtraError("needs a package")

    monkeypatch.setattr(export_module, "find_format", lambda _: Format(write=fail, read=lambda *_: lambda _: []))
    with pytest.raises(MissingExtraError, match=r"^needs a package$"):
        export_network(make_plain(), tmp_path / "net.onnx", [batch_of(2)])
    assert_keeps_nothing_but(tmp_path, {})


def test_an_unknown_suffix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"^expected a file name ending in one of .*, got 'net\.h5'; choose one"):
        export_network(make_plain(), tmp_path / "net.h5", [batch_of(2)])
    assert_keeps_nothing_but(tmp_path, {})


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    target = tmp_path / "none" / "net.pt"
    with pytest.raises(ExportError) as caught:
        export_network(make_plain(), target, [batch_of(2)])
    assert str(caught.value) == (
        f"expected to be able to write {target}, got: No such file or directory; create the folder, or give another "
        "path"
    )


def test_no_inputs_to_compare_on_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ExportError) as caught:
        export_network(make_plain(), tmp_path / "net.pt", [])
    assert str(caught.value) == (
        "expected inputs on which to compare the file with the network, got none; give a batch, or leave them out"
    )
    assert_keeps_nothing_but(tmp_path, {})


@pytest.mark.parametrize(
    "suffix",
    [
        ".safetensors",
        ".pt",
        ".pt2",
        pytest.param(".onnx", marks=pytest.mark.slow),
        pytest.param(".pte", marks=pytest.mark.slow),
    ],
)
def test_a_file_written_from_other_weights_is_found_out(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needed = {".onnx": ("onnxscript", "export"), ".pte": ("executorch", "executorch")}.get(suffix)
    if needed is not None:
        pytest.importorskip(needed[0], reason=f"needs {needed[0]}: pip install 'widthwise[{needed[1]}]'")
    genuine = export_module.find_format(f"net{suffix}")

    def write_another(_: Plain, path: Path) -> None:
        genuine.write(make_mixer(), path)

    another = replace(genuine, write=write_another)
    monkeypatch.setattr(export_module, "find_format", lambda _: another)
    (tmp_path / f"net{suffix}").write_text("an older file")
    with pytest.raises(ExportError, match=rf"^expected net\{suffix} to compute what the network does, got a relative"):
        export_network(make_mixer(), tmp_path / f"net{suffix}", [named_batch_of(2)])
    assert_keeps_nothing_but(tmp_path, {f"net{suffix}": "an older file"})


def test_the_network_stays_as_it_was(tmp_path: Path) -> None:
    plain = make_mixer()
    assert isinstance(plain.net, Mixer)
    before = {name: tensor.clone() for name, tensor in plain.net.state_dict().items()}
    for suffix in (".safetensors", ".pt", ".pt2"):
        export_network(plain, tmp_path / f"net{suffix}", [named_batch_of(2)])
    assert not plain.net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in plain.net.state_dict().items())
