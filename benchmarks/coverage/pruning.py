"""What Torch-Pruning makes of a subject, in its standard use: MetaPruner with group magnitudes, half of every group.

Two ways are tried, and the one after which the network runs and more of it shrank counts: without a word about heads,
and, where attention modules are found, with their numbers of heads given and their attributes set afterwards, as its
examples do.
"""

import warnings
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from benchmarks.coverage.subject import Inputs, Subject, run_network

__all__ = ["find_output_layers", "measure_pruning"]

_FRACTION = 0.5


def measure_pruning(subject: Subject) -> dict[str, object]:
    """Return the parameters of a subject, those left, and how many belong to a parameter that shrank.

    Raises:
        Exception: Whatever the first way raised, where none succeeds.
    """
    found: list[dict[str, object]] = []
    failure: Exception | None = None
    for with_heads in (False, True):
        # Real numbers for the largest ones too: magnitudes are compared.
        net, inputs = subject.make(on_meta=False)
        heads = _find_heads(net) if with_heads else {}
        if with_heads and not heads:
            continue
        try:
            found.append({**_prune(net, inputs, heads), "way": "heads given" if with_heads else "plain"})
        except Exception as error:  # noqa: BLE001 whatever it raises is a result
            failure = failure or error
    if not found:
        assert failure is not None
        raise failure
    return max(found, key=lambda result: result["num_shrunk"])  # type: ignore[arg-type,return-value]


def find_output_layers(net: nn.Module, inputs: Inputs) -> list[nn.Module]:
    """Return, for every output of a network, the layer that gives it, or else the last one with as many features."""
    made: list[tuple[nn.Module, Tensor]] = []

    def take(layer: nn.Module, _: object, output: Tensor) -> None:
        made.append((layer, output))

    layers = [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.modules.conv._ConvNd)]
    handles = [layer.register_forward_hook(take) for layer in layers]
    outputs = [leaf for leaf in pytree.tree_leaves(run_network(net, inputs)) if isinstance(leaf, Tensor)]
    for handle in handles:
        handle.remove()
    found: list[nn.Module] = []
    for output in outputs:
        found += [layer for layer, made_here in made if made_here.data_ptr() == output.data_ptr()] or [
            layer for layer, _ in made if layer.weight.shape[0] in output.shape[1:]
        ][-1:]
    return list(dict.fromkeys(found))


def _prune(net: nn.Module, inputs: Inputs, heads: dict[nn.Module, int]) -> dict[str, object]:
    import torch_pruning

    before = {name: prod(parameter.shape) for name, parameter in net.named_parameters()}
    shapes = _shapes(net, inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pruner = torch_pruning.pruner.MetaPruner(
            net,
            inputs,
            importance=torch_pruning.importance.GroupMagnitudeImportance(),
            pruning_ratio=_FRACTION,
            ignored_layers=find_output_layers(net, inputs),
            num_heads=dict(heads),
            prune_num_heads=bool(heads),
            forward_fn=_run_with_gradients,
        )
        pruner.step()
    _set_widths(net)
    if heads:
        _set_heads(net, pruner.num_heads)
    after = {name: prod(parameter.shape) for name, parameter in net.named_parameters()}
    if _shapes(net, inputs) != shapes:
        raise ValueError(f"outputs have the shapes {_shapes(net, inputs)}, {shapes} before")
    shrunk = sum(size for name, size in before.items() if after.get(name, 0) < size)
    return {"num_parameters": sum(before.values()), "num_left": sum(after.values()), "num_shrunk": shrunk}


def _run_with_gradients(net: nn.Module, inputs: Inputs) -> list[Tensor]:
    outputs = net(**inputs) if isinstance(inputs, dict) else net(*inputs)
    return [leaf for leaf in pytree.tree_leaves(outputs) if isinstance(leaf, Tensor) and leaf.grad_fn is not None]


def _shapes(net: nn.Module, inputs: Inputs) -> list[list[int]]:
    leaves = pytree.tree_leaves(run_network(net, inputs))
    return [list(leaf.shape) for leaf in leaves if isinstance(leaf, torch.Tensor)]


def _find_heads(net: nn.Module) -> dict[nn.Module, int]:
    heads: dict[nn.Module, int] = {}
    for module in net.modules():
        names, number = _projections(module)
        heads.update({getattr(module, name): number for name in names})
    return heads


def _projections(module: Any) -> tuple[tuple[str, ...], int]:  # noqa: ANN401 a module with attributes of its own
    """Return the names of a module's projections for queries, keys and values, and its number of heads."""
    number = next((getattr(module, name) for name in _NUMBERS if isinstance(getattr(module, name, None), int)), 0)
    for names in _NAMES:
        if number and all(isinstance(getattr(module, name, None), nn.Linear) for name in names):
            return names, number
    return (), 0


def _set_widths(net: nn.Module) -> None:
    """Tell the vision transformers of torchvision how wide their tokens are now."""
    for module in net.modules():
        if isinstance(getattr(module, "hidden_dim", None), int) and isinstance(
            patches := getattr(module, "conv_proj", None), nn.Conv2d
        ):
            module.hidden_dim = patches.out_channels


def _set_heads(net: nn.Module, heads: dict[nn.Module, int]) -> None:
    for module in net.modules():
        names, _ = _projections(module)
        if not names:
            continue
        first: Any = getattr(module, names[0])
        number = heads.get(first, 0)
        features = first.out_features // (3 if len(names) == 1 else 1)
        if not number or features % number:
            continue
        values = dict.fromkeys(_NUMBERS, number) | dict.fromkeys(_WIDTHS, features // number)
        for name, value in (values | dict.fromkeys(_SIZES, features)).items():
            if isinstance(getattr(module, name, None), int):
                setattr(module, name, value)


_NUMBERS = ("num_heads", "num_attention_heads", "n_heads")
_WIDTHS = ("head_dim", "attention_head_size")
_SIZES = ("all_head_size", "embed_dim", "attn_dim", "inner_dim", "dim")
_NAMES = (("qkv",), ("query", "key", "value"), ("q_proj", "k_proj", "v_proj"), ("q_lin", "k_lin", "v_lin"))
