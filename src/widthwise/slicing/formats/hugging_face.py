"""A folder as `save_pretrained` of Hugging Face writes it: `from_pretrained` of the network's own class reads it.

The config in it says the small sizes. A class whose config cannot say them, as where layers of one kind have unequal
widths, has no such folder. Beside it stands `widthwise.json`, which says where the network comes from.
"""

import inspect
import json
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils import _pytree as pytree

from widthwise._shared import ExportError
from widthwise.graph import Example, silence
from widthwise.slicing.formats.format import FACTS, Format, Plain, Reader, find_reason, read_json_facts, write_bytes
from widthwise.slicing.own_class.config import is_config

__all__ = ["HUGGING_FACE"]


def _write(plain: Plain, path: Path) -> None:
    _check_class(plain.net)
    save: Any = plain.net.save_pretrained
    with silence():
        save(path)
    write_bytes(path / FACTS, (json.dumps(dict(plain.facts), indent=2) + "\n").encode())


def _check_class(net: nn.Module) -> None:
    if not (callable(getattr(net, "save_pretrained", None)) and is_config(getattr(net, "config", None))):
        got = "one that only its graph can express" if isinstance(net, torch.fx.GraphModule) else type(net).__name__
        raise ExportError(
            "expected a network of transformers (a PreTrainedModel) for a folder of Hugging Face, got "
            f"{got}; export .safetensors, .pt2 or .onnx"
        )


def _read(plain: Plain, path: Path) -> Reader:
    net = _load(plain.net, path)

    def call(inputs: Example) -> list[Any]:
        return pytree.tree_leaves(net(*inputs.args, **inputs.kwargs))

    return call


def _load(net: nn.Module, path: Path) -> nn.Module:
    kind: Any = type(net)
    load = kind.from_pretrained
    dtype = next((p.dtype for p in net.parameters()), torch.float32)
    try:
        with silence():
            return load(path, **_options(load, dtype)).eval()
    except (RuntimeError, ValueError, TypeError) as error:
        raise ExportError(
            f"expected a config that says what {type(net).__name__} has at this width, got none: from_pretrained finds "
            f"other shapes ({find_reason(error)}); export .safetensors, .pt2 or .onnx, or another width"
        ) from error


def _options(load: Any, dtype: torch.dtype) -> dict[str, Any]:
    # A class of one's own may have a from_pretrained that takes the folder alone.
    takes_any = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(load).parameters.values())
    return {"dtype": dtype, "local_files_only": True} if takes_any else {}


def _read_facts(path: Path) -> dict[str, str]:
    facts = path / FACTS
    return read_json_facts(facts.read_bytes()) if facts.is_file() else {}


HUGGING_FACE = Format(write=_write, read=_read, read_facts=_read_facts, is_folder=True)
