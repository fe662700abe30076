"""Run NAME.safetensors as NAME.config.json tells: `net = load("NAME.safetensors")`, then `net(inputs)`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def load(path: str | Path) -> Callable[..., Any]:
    """Return the network of a file as a function of its inputs, which stand in the order of the config."""
    config, fixed = json.loads(Path(path).with_suffix(".config.json").read_text("utf-8")), load_file(path)
    for name, dtype, numbers in config["constants"]:
        fixed[name] = torch.tensor(numbers, dtype=getattr(torch, dtype))

    def run(*inputs: Any) -> Any:
        values: dict[str, Any] = {**fixed, **dict(zip(config["inputs"], inputs, strict=True))}
        for name, (packet, overload), args, kwargs in config["nodes"]:
            operator = getattr(getattr(torch.ops.aten, packet), overload)
            values[name] = operator(*read(args, values), **dict(read(kwargs, values)))
        return read(config["outputs"], values)

    return run


def read(entry: Any, values: dict[str, Any]) -> Any:
    """Return what an entry of the config stands for."""
    match entry:
        case list():
            return [read(each, values) for each in entry]
        case {"value": name}:
            return values[name]
        case {"item": [name, place]}:
            return values[name][place]
        case {"torch": name}:
            return getattr(torch, name)
        case _:
            return entry
