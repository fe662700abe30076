import json
from pathlib import Path

import pytest
import torch

from tests.slicing.formats.samples import FACTS, batch_of, make_mixer, make_plain, make_tied, named_batch_of
from widthwise.slicing.formats import FORMATS

PT2 = FORMATS[".pt2"]


@pytest.mark.parametrize("is_tied", [False, True])
def test_a_file_runs_without_the_class_on_batches_of_any_size(is_tied: bool, tmp_path: Path) -> None:
    plain = make_plain(make_tied() if is_tied else None)
    PT2.write(plain, tmp_path / "net.pt2")
    loaded = torch.export.load(tmp_path / "net.pt2").module()
    for num_samples in (1, 2, 5):
        inputs = batch_of(num_samples)
        torch.testing.assert_close(loaded(*inputs.args), plain.net(*inputs.args), rtol=0, atol=1e-6)


def test_the_facts_are_an_extra_file(tmp_path: Path) -> None:
    PT2.write(make_plain(), tmp_path / "net.pt2")
    found = {"widthwise.json": ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=found)
    assert json.loads(found["widthwise.json"]) == FACTS


def test_inputs_by_name_become_positional_in_the_order_of_the_example(tmp_path: Path) -> None:
    plain = make_mixer()
    PT2.write(plain, tmp_path / "net.pt2")
    loaded = torch.export.load(tmp_path / "net.pt2").module()
    for num_samples in (1, 5):
        inputs = named_batch_of(num_samples)
        found = loaded(inputs.kwargs["gate"], inputs.kwargs["extra"], inputs.kwargs["x"])
        expected = plain.net(**inputs.kwargs)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
        leaves = PT2.read(plain, tmp_path / "net.pt2")(inputs)
        torch.testing.assert_close(leaves, [expected["hidden"], *expected["logits"]], rtol=0, atol=1e-6)


def test_no_path_of_this_machine_is_written_down(tmp_path: Path) -> None:
    PT2.write(make_mixer(), tmp_path / "net.pt2")
    content = (tmp_path / "net.pt2").read_bytes()
    assert b"aten.linear" in content
    assert str(Path(__file__).parent).encode() not in content
    assert str(Path(torch.__file__).parent).encode() not in content
