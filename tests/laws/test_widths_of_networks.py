"""What an elastic model must satisfy at any width, on any of the networks."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.networks import (
    CASES,
    DETERMINISTIC,
    LAW,
    assert_same,
    draw_widths,
    kept_of,
    make_generator,
    randomize,
    shared_model,
)
from widthwise.elastic import Elastic
from widthwise.graph import indices
from widthwise.slicing import SlicedNetwork

SEEDS = st.integers(0, 2**31)
BATCHES = st.integers(1, 5)
names = pytest.mark.parametrize("name", CASES)
deterministic_names = pytest.mark.parametrize("name", DETERMINISTIC)
names_and_dtypes = pytest.mark.parametrize(
    ("name", "dtype"),
    [*((name, torch.float64) for name in CASES), *((name, torch.float32) for name in ("mlp-norm", "conv", "dict"))],
)
MASKABLE = [name for name, case in CASES.items() if case.is_maskable]


def prepare(name: str, dtype: torch.dtype, seed: int, batch: int) -> tuple[Elastic, tuple[Any, ...], dict[str, Any]]:
    """A model with parameters and inputs of this seed."""
    model = shared_model(name, dtype).eval()
    randomize(model.net, seed)
    args, kwargs = CASES[name].sample(batch, make_generator(seed + 1), dtype)
    return model, args, kwargs


def sliced(model: Elastic) -> SlicedNetwork:
    return model._engine.sliced


@names_and_dtypes
@settings(max_examples=5)
@given(seed=SEEDS, batch=BATCHES)
def test_full_width_equals_the_plain_network(name: str, dtype: torch.dtype, seed: int, batch: int) -> None:
    model, args, kwargs = prepare(name, dtype, seed, batch)
    plain = model.net(*args, **kwargs)

    assert_same(model(*args, **kwargs), plain)
    with model.at(1.0):
        assert_same(model(*args, **kwargs), plain)
    assert_same(model.extract(1.0)(*args, **kwargs), plain)


@names
@settings(max_examples=5)
@given(seed=SEEDS, batch=BATCHES)
def test_the_traced_graph_at_full_width_equals_the_plain_network(name: str, seed: int, batch: int) -> None:
    model, args, kwargs = prepare(name, torch.float64, seed, batch)
    graph = model.extract(1.0, form="graph")

    assert_same(graph(*args, **kwargs), model.net(*args, **kwargs))


@names_and_dtypes
@settings(max_examples=8)
@given(seed=SEEDS, batch=BATCHES)
def test_extract_at_a_width_equals_running_at_it(name: str, dtype: torch.dtype, seed: int, batch: int) -> None:
    model, args, kwargs = prepare(name, dtype, seed, batch)
    widths = draw_widths(model, seed)

    with model.at(widths):
        expected = model(*args, **kwargs)
    assert_same(model.extract(widths)(*args, **kwargs), expected)
    assert_same(model.extract(widths, form="graph")(*args, **kwargs), expected)


@pytest.mark.slow
@names
def test_a_prefix_of_a_prefix_is_the_prefix(name: str) -> None:
    model, args, kwargs = prepare(name, torch.float64, 1, 3)
    # A group that is cut to one unit is none any more.
    wide = {key: max(2, kept) for key, kept in draw_widths(model, 1).items()}
    narrow = {key: max(1, kept - 1) for key, kept in wide.items()}

    first = model.extract(wide)
    again = Elastic(first, model.example_kwargs or model.example_args, law=LAW)

    assert again.groups.sizes == wide
    assert_same(again.extract(narrow)(*args, **kwargs), model.extract(narrow)(*args, **kwargs))


@pytest.mark.parametrize("name", MASKABLE)
@settings(max_examples=8)
@given(seed=SEEDS, batch=BATCHES)
def test_masking_the_dropped_units_by_hand_gives_the_same_numbers(name: str, seed: int, batch: int) -> None:
    model, args, kwargs = prepare(name, torch.float64, seed, batch)
    widths = draw_widths(model, seed)
    with model.at(widths):
        expected = model(*args, **kwargs)

    mask_parameters(model, widths, 0.0)

    assert_same(model(*args, **kwargs), expected)


@names
@settings(max_examples=8)
@given(seed=SEEDS)
def test_what_is_dropped_cannot_be_seen_even_where_it_is_not_a_number(name: str, seed: int) -> None:
    model, args, kwargs = prepare(name, torch.float64, seed, 3)
    widths = draw_widths(model, seed)
    with model.at(widths):
        expected = model(*args, **kwargs)
        mask_parameters(model, widths, float("nan"))
        assert_same(model(*args, **kwargs), expected)


@deterministic_names
@settings(max_examples=5)
@given(seed=SEEDS)
def test_dropped_units_get_exactly_zero_gradient(name: str, seed: int) -> None:
    model, args, kwargs = prepare(name, torch.float64, seed, 4)
    widths = draw_widths(model, seed)
    model.train()
    try:
        with model.at(widths):
            sum_outputs(model(*args, **kwargs)).backward()
    finally:
        model.eval()

    dropped = dropped_entries(model, widths)
    assert any(bool(entries.any()) for entries in dropped.values()) or widths == model.groups.sizes
    for target, parameter in model.net.named_parameters():
        if parameter.grad is not None:
            assert torch.equal(
                parameter.grad[dropped[target]], torch.zeros(int(dropped[target].sum()), dtype=torch.float64)
            )


@names
@settings(max_examples=3)
@given(seed=SEEDS)
def test_an_extracted_network_shares_no_storage(name: str, seed: int) -> None:
    model, _, _ = prepare(name, torch.float64, seed, 2)
    widths = draw_widths(model, seed)
    networks = [model.net, model.extract(widths), model.extract(widths, form="graph"), model.extract(1.0)]

    addresses = [{tensor.untyped_storage().data_ptr() for tensor in tensors_of(network)} for network in networks]

    for i, one in enumerate(addresses):
        for other in addresses[i + 1 :]:
            assert not one & other


@names
def test_save_and_load_give_the_same_numbers(name: str) -> None:
    model, args, kwargs = prepare(name, torch.float64, 5, 3)
    widths = draw_widths(model, 5)
    saved = {key: value.clone() for key, value in model.state_dict().items()}
    with model.at(widths):
        expected = model(*args, **kwargs)

    randomize(model.net, 6)
    model.load_state_dict(saved)

    with model.at(widths):
        assert_same(model(*args, **kwargs), expected)
    assert saved.keys() == model.net.state_dict().keys()


def tensors_of(network: torch.nn.Module) -> list[Tensor]:
    return [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.numel()]


def sum_outputs(outputs: Any) -> Tensor:
    """A number to which every entry of the outputs contributes."""
    leaves = [leaf for leaf in torch.utils._pytree.tree_leaves(outputs) if isinstance(leaf, Tensor)]
    return torch.stack([(leaf * torch.arange(1, leaf.numel() + 1).view(leaf.shape)).sum() for leaf in leaves]).sum()


def dropped_entries(model: Elastic, widths: dict[str, int]) -> dict[str, Tensor]:
    """Where each parameter and buffer belongs to a dropped unit."""
    program = sliced(model).evaluation.program
    state = dict(model.net.named_parameters(remove_duplicate=False)) | dict(model.net.named_buffers())
    kept = kept_of(model, widths)
    dropped: dict[str, Tensor] = {}
    for entry, axes in zip(program.state, program.axes, strict=True):
        keep = torch.ones_like(state[entry.target], dtype=torch.bool)
        for axis, term in enumerate(axes):
            along = torch.zeros(keep.shape[axis], dtype=torch.bool)
            along[indices(term, kept)] = True
            keep &= along.view([-1 if i == axis else 1 for i in range(keep.dim())])
        dropped[entry.target] = ~keep
    return dropped


@torch.no_grad()
def mask_parameters(model: Elastic, widths: dict[str, int], value: float) -> None:
    """Overwrite everything that belongs to a dropped unit."""
    state = dict(model.net.named_parameters(remove_duplicate=False))
    for target, entries in dropped_entries(model, widths).items():
        if target in state:
            state[target][entries] = value
