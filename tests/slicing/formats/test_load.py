import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from widthwise.slicing.formats.load import load, read


def test_entries_are_values_items_dtypes_lists_or_plain() -> None:
    values = {"a": 7, "pair": (1, 2)}
    assert read({"value": "a"}, values) == 7
    assert read({"item": ["pair", 1]}, values) == 2
    assert read({"torch": "float16"}, values) is torch.float16
    assert read([1, {"value": "a"}, ["x", None, True]], values) == [1, 7, ["x", None, True]]


def test_a_list_runs_on_weights_constants_and_inputs(tmp_path: Path) -> None:
    save_file({"weight": torch.tensor([2.0, 3.0])}, tmp_path / "net.safetensors")
    config = {
        "inputs": ["x"],
        "constants": [["limit", "float32", float("-inf")]],
        "nodes": [
            ["product", ["mul", "Tensor"], [{"value": "x"}, {"value": "weight"}], []],
            ["bounded", ["maximum", "default"], [{"value": "product"}, {"value": "limit"}], []],
            ["total", ["sum", "default"], [{"value": "bounded"}], [["dtype", {"torch": "float64"}]]],
        ],
        "outputs": [{"value": "bounded"}, {"value": "total"}],
    }
    (tmp_path / "net.config.json").write_text(json.dumps(config))
    bounded, total = load(str(tmp_path / "net.safetensors"))(torch.tensor([1.0, 10.0]))
    assert bounded.tolist() == [2.0, 30.0]
    assert (total.item(), total.dtype) == (32.0, torch.float64)
