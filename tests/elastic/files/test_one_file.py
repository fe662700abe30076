import errno
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from tests.conftest import RandomStateCheck
from tests.elastic.files.test_loading import assert_equal
from tests.elastic.parts import make_pictures
from tests.networks import make_generator, make_model
from widthwise._shared import DataError, ExportError, WidthError, WidthWarning
from widthwise.elastic import Elastic, ElasticFile, Law, save_elastic
from widthwise.elastic.files import one_file

TENTH = Law(lowest=1 / 10)


def batches(*shape: int) -> list[Tensor]:
    return [3 * torch.randn(16, *shape, generator=make_generator(i)) + 1 for i in range(4)]


@pytest.fixture(scope="module")
def resnet() -> Elastic:
    return make_model("resnet", torch.float32, TENTH)


def test_a_saved_file_is_described(tmp_path: Path) -> None:
    saved = ww.save_elastic(make_model("mlp", law=Law(lowest=0.4)), str(tmp_path / "all.safetensors"))
    assert saved.path == tmp_path / "all.safetensors"
    assert saved.size_bytes == saved.path.stat().st_size
    assert saved.lowest == {"fc1": 4, "fc2": 3}
    assert saved.checked == ({"fc1": 4, "fc2": 3}, {"fc1": 5, "fc2": 4}, {"fc1": 10, "fc2": 7})


def test_statistics_of_each_width_are_those_of_extract(resnet: Elastic, tmp_path: Path) -> None:
    loader = batches(2, 6, 6)
    save_elastic(resnet, tmp_path / "all.safetensors", widths=[0.25, 0.5, 1.0], calibrate=loader)
    file = ElasticFile(tmp_path / "all.safetensors")
    assert file.calibrated == [resnet.widths(0.25), resnet.widths(0.5)]
    x = torch.randn(3, 2, 6, 6)
    for width in (0.25, 0.5):
        assert_equal(file.load(width), resnet.extract(width, calibrate=loader, form="graph"), x)
    assert_equal(file.load(1.0), resnet.extract(1.0, form="graph"), x)


def test_statistics_are_measured_at_the_octaves_unless_told(resnet: Elastic, tmp_path: Path) -> None:
    save_elastic(resnet, tmp_path / "all.safetensors", calibrate=batches(2, 6, 6))
    expected = [resnet.widths(width) for width in (1 / 2, 1 / 4, 1 / 8, 1 / 10)]
    assert ElasticFile(tmp_path / "all.safetensors").calibrated == list({str(each): each for each in expected}.values())


def test_statistics_are_measured_at_the_widths_of_a_law_that_has_some(tmp_path: Path) -> None:
    model = make_model("mlp-norm", torch.float32, Law(widths=(0.3, 0.6, 1.0)))
    save_elastic(model, tmp_path / "all.safetensors", calibrate=batches(2, 3))
    assert ElasticFile(tmp_path / "all.safetensors").calibrated == [model.widths(0.3), model.widths(0.6)]


def test_statistics_of_full_width_are_measured_where_the_law_seldom_draws_it(tmp_path: Path) -> None:
    model, loader = make_model("mlp-norm", torch.float32, Law(lowest=0.3, chunks=1)), batches(2, 3)
    save_elastic(model, tmp_path / "all.safetensors", widths=[0.3], calibrate=loader)
    file, x = ElasticFile(tmp_path / "all.safetensors"), torch.randn(5, 2, 3)
    assert file.calibrated == [model.widths(0.3), model.widths(1.0)]
    assert_equal(file.load(1.0), model.extract(1.0, calibrate=loader, form="graph"), x)
    with pytest.raises(AssertionError):
        assert_equal(file.load(1.0), model.extract(1.0, form="graph"), x)


def test_a_width_without_statistics_is_warned_of(resnet: Elastic, tmp_path: Path) -> None:
    save_elastic(resnet, tmp_path / "all.safetensors", widths=[0.25, 0.5], calibrate=batches(2, 6, 6))
    with pytest.warns(WidthWarning) as caught:
        found = ww.load(tmp_path / "all.safetensors", 0.75)
    assert str(caught[0].message) == (
        "expected BatchNorm statistics of the width that is loaded (0.791 of full), got those of the full width, with "
        "which a narrower network scores far too low; the file holds those of about 0.289, 0.5: load one of these, or "
        "save the file with widths= and calibrate="
    )
    assert caught[0].filename == __file__
    assert_equal(found, resnet.extract(0.75, form="graph"), torch.randn(3, 2, 6, 6))
    save_elastic(resnet, tmp_path / "none.safetensors")
    with pytest.warns(WidthWarning, match=r"the file holds no others: load one of these, or save") as caught:
        ElasticFile(tmp_path / "none.safetensors").load(0.5)
    assert caught[0].filename == __file__


def test_batch_norm_without_a_loader_is_warned_of(resnet: Elastic, tmp_path: Path) -> None:
    with pytest.warns(WidthWarning, match=r"too low; pass calibrate=loader, of training samples$") as caught:
        save_elastic(resnet, tmp_path / "all.safetensors")
    assert caught[0].filename == __file__


def test_a_network_without_batch_norm_has_no_statistics(tmp_path: Path) -> None:
    save_elastic(make_model("mlp", torch.float32), tmp_path / "all.safetensors", calibrate=batches(6))
    assert ElasticFile(tmp_path / "all.safetensors").calibrated == []


def test_saving_leaves_the_model_and_the_global_random_state_alone(
    resnet: Elastic, tmp_path: Path, untouched_random_state: RandomStateCheck
) -> None:
    before = {name: tensor.clone() for name, tensor in resnet.state_dict().items()}
    resnet.train()
    with untouched_random_state():
        save_elastic(resnet, tmp_path / "all.safetensors", widths=[0.5], calibrate=batches(2, 6, 6))
    assert resnet.training
    resnet.eval()
    assert all(torch.equal(before[name], tensor) for name, tensor in resnet.state_dict().items())


def assert_refused(error: type[Exception], message: str, folder: Path, *args: Any, **options: Any) -> None:
    with pytest.raises(error) as caught:
        save_elastic(*args, **options)
    assert str(caught.value) == message
    assert list(folder.iterdir()) == []


def test_an_unknown_suffix_is_an_error(resnet: Elastic, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"^expected a file name ending in one of \.safetensors, \.onnx, got 'all\.pt'; choose"
    ):
        save_elastic(resnet, tmp_path / "all.pt")
    assert list(tmp_path.iterdir()) == []


def test_widths_without_a_loader_are_an_error(resnet: Elastic, tmp_path: Path) -> None:
    message = (
        "widths= says where BatchNorm statistics are measured, got no calibrate= to measure them on; pass a loader of "
        "training samples, or leave out widths"
    )
    assert_refused(WidthError, message, tmp_path, resnet, tmp_path / "all.safetensors", widths=[0.5])


def test_a_width_that_training_never_saw_is_an_error(tmp_path: Path) -> None:
    model = make_model("mlp-norm", torch.float32, Law(lowest=0.4))
    message = (
        "kept must lie in [4, 10] (width of fc1, drawn by the law), got 2; a file holds the widths that training saw"
    )
    options = {"widths": [0.2], "calibrate": batches(2, 3)}
    assert_refused(WidthError, message, tmp_path, model, tmp_path / "all.safetensors", **options)


def test_an_iterator_for_several_widths_is_an_error(resnet: Elastic, tmp_path: Path) -> None:
    def read() -> Iterator[Tensor]:
        yield from batches(2, 6, 6)

    message = (
        "calibrate must be a loader that can be read once for each of 2 widths, got an iterator; pass a list of "
        "batches or a DataLoader"
    )
    options = {"widths": [0.25, 0.5], "calibrate": read()}
    assert_refused(DataError, message, tmp_path, resnet, tmp_path / "all.safetensors", **options)
    assert save_elastic(resnet, tmp_path / "all.safetensors", widths=[0.5], calibrate=read()).size_bytes > 0


def test_a_network_that_is_traced_in_part_is_an_error(tmp_path: Path) -> None:
    message = (
        "expected a network that is traced as a whole, got one with a submodule= or with groups= that are named; "
        "extract the widths that you need one by one"
    )
    assert_refused(ExportError, message, tmp_path, make_pictures(), tmp_path / "all.safetensors")


def test_a_law_that_rescales_is_an_error(tmp_path: Path) -> None:
    model = make_model("mlp", law=Law(lowest=0.1, rescale="sqrt"))
    message = (
        "expected a law without rescale, got rescale='sqrt', with which no weight is the same at two widths; extract "
        "the widths that you need one by one"
    )
    assert_refused(ExportError, message, tmp_path, model, tmp_path / "all.safetensors")


def test_a_missing_folder_is_an_error(resnet: Elastic, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"none/all\.safetensors, got: No such file or directory; create the folder"):
        save_elastic(resnet, tmp_path / "none" / "all.safetensors")


def test_a_full_disk_leaves_what_was_there(resnet: Elastic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "all.safetensors"
    target.write_text("an older file")
    genuine = Path.open

    class Full(io.FileIO):
        def write(self, content: Any) -> int:
            super().write(bytes(content)[:10])
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_full(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        return Full(self, "w") if mode == "wb" else genuine(self, mode, *args, **kwargs)

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(ExportError) as caught:
        save_elastic(resnet, target)
    assert str(caught.value) == (
        f"expected to be able to write {target}, got: No space left on device; make room, or give another path"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["all.safetensors"]
    assert target.read_text() == "an older file"


def test_a_file_that_gives_something_else_is_not_kept(
    resnet: Elastic, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genuine = ElasticFile.load

    def load(self: ElasticFile, width: Any) -> nn.Module:
        net = genuine(self, width)
        with torch.no_grad():
            net.get_parameter("head.bias").mul_(1.0001)
        return net

    monkeypatch.setattr(one_file.ElasticFile, "load", load)
    with pytest.raises(
        ExportError, match=r"^expected \.safetensors to give what the model computes, got something else"
    ):
        save_elastic(resnet, tmp_path / "all.safetensors")
    assert list(tmp_path.iterdir()) == []
