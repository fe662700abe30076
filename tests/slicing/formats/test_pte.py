import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_plain, named_batch_of
from widthwise._shared import MissingExtraError
from widthwise.slicing import export_network, read_facts
from widthwise.slicing.formats import FORMATS
from widthwise.slicing.formats.pte import MAX_BATCH

PTE = FORMATS[".pte"]
needs_executorch = pytest.mark.skipif(
    find_spec("executorch") is None,
    reason="needs executorch: pip install 'widthwise[executorch]'",
)


@pytest.fixture(scope="module")
def mixer(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    plain, path = make_mixer(), tmp_path_factory.mktemp("pte") / "mixer.pte"
    PTE.write(plain, path)
    return plain, path


@pytest.mark.slow
@needs_executorch
@pytest.mark.filterwarnings("ignore:This API is experimental")
def test_a_file_runs_in_its_runtime_on_batches_up_to_the_largest(mixer: tuple[Any, Path]) -> None:
    from executorch.runtime import Runtime

    plain, path = mixer
    method = Runtime.get().load_program(path).load_method("forward")
    for num_samples in (1, 2, MAX_BATCH):
        inputs = named_batch_of(num_samples)
        in_order = [inputs.kwargs["gate"], inputs.kwargs["extra"]["more"], inputs.kwargs["x"]]
        hidden, logits = method.execute(in_order)
        expected = plain.net(**inputs.kwargs)
        torch.testing.assert_close(hidden, expected["hidden"], rtol=0, atol=1e-5)
        torch.testing.assert_close(logits, expected["logits"][0], rtol=0, atol=1e-5)


@pytest.mark.slow
@needs_executorch
def test_reading_runs_the_file_and_keeps_what_it_gave(mixer: tuple[Any, Path]) -> None:
    plain, path = mixer
    read = PTE.read(make_mixer(), path)
    first, second = named_batch_of(3), named_batch_of(3)
    found = read(first)
    read(second)
    expected = plain.net(**first.kwargs)
    torch.testing.assert_close(found, [expected["hidden"], *expected["logits"]], rtol=0, atol=1e-5)


@pytest.mark.slow
@needs_executorch
def test_the_facts_are_a_method_of_the_file(mixer: tuple[Any, Path]) -> None:
    assert read_facts(mixer[1]) == FACTS


@pytest.mark.slow
@needs_executorch
def test_it_is_compared_in_parts_that_it_takes(tmp_path: Path) -> None:
    exported = export_network(make_plain(), tmp_path / "net.pte", [batch_of(2 * MAX_BATCH + 1)])
    assert exported.num_inputs == 2 * MAX_BATCH + 1
    assert exported.max_difference <= 1e-5
    (x,) = batch_of(MAX_BATCH + 3).args
    torch.testing.assert_close(exported.net(x), make_plain_output(exported.net, x))


def make_plain_output(net: torch.nn.Module, x: torch.Tensor) -> torch.Tensor:
    """The same in one part after the other, none of them too large."""
    return torch.cat([net(part) for part in x.split(1)])


def test_without_executorch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("executorch", "executorch.exir", "executorch.runtime"):
        monkeypatch.setitem(sys.modules, name, None)
    for use in (lambda: PTE.write(make_plain(), tmp_path / "net.pte"), lambda: PTE.read_facts(tmp_path / "net.pte")):
        with pytest.raises(MissingExtraError) as caught:
            use()
        assert str(caught.value) == (
            "export to .pte needs executorch; install it with: pip install 'widthwise[executorch]'"
        )
    assert list(tmp_path.iterdir()) == []
