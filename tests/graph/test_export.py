import inspect
import logging
import sys
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import sympy
import torch
from torch import Tensor, nn

from widthwise._shared import TraceError
from widthwise.graph import Example, shape_of
from widthwise.graph.export import enlarge_batch, export_network, find_image_axes, silence

X = torch.randn(3, 4, 5)


class Sum(nn.Module):
    def forward(self, x: Tensor, *more: Tensor, scale: Any = None, offset: Any = 0) -> Tensor:
        return sum(more, x) * (1 if scale is None else scale) + offset


class Loose(nn.Module):
    def forward(self, x: Tensor, **more: Any) -> Tensor:
        return x + more["y"]


class Branch(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def error_of(net: nn.Module, *args: Any, strict: bool = False) -> str:
    with pytest.raises(TraceError) as caught:
        export_network(net, Example(args=args, kwargs={}), strict=strict)
    return str(caught.value)


def shapes(net: nn.Module, *args: Any, fixed: frozenset[tuple[int, int]] = frozenset(), **kwargs: Any) -> list[Any]:
    program = export_network(net, Example(args=args, kwargs=kwargs), fixed)
    user = set(program.graph_signature.user_inputs)
    return [
        shape_of(node.meta["val"]) for node in program.graph.nodes if node.op == "placeholder" and node.name in user
    ]


def test_all_axes_are_dynamic_but_single_ones_and_those_to_be_fixed() -> None:
    (shape,) = shapes(Sum(), X)
    assert all(isinstance(size, sympy.Symbol) for size in shape)
    (shape,) = shapes(Sum(), X[:, :1], fixed=frozenset({(0, 2)}))
    assert isinstance(shape[0], sympy.Symbol)
    assert shape[1:] == (1, 5)


def test_inputs_may_be_any_number_of_positional_and_named_ones_in_any_order() -> None:
    found = shapes(Sum(), X, X + 1, X + 2, offset=torch.ones(3, 1, 5), scale=torch.ones(5))
    assert len(found) == 5
    assert len(found[3]) == 3
    assert len(found[4]) == 1
    assert shapes(Sum(), X, offset=2)[0][0] is not None


def test_axes_are_fixed_by_leaf_also_where_two_inputs_are_one_tensor() -> None:
    found = shapes(Sum(), X, X, fixed=frozenset({(0, 1), (1, 1)}))
    assert [shape[1] for shape in found] == [4, 4]


def test_inputs_without_a_name_in_forward_are_an_error() -> None:
    with pytest.raises(TraceError) as caught:
        shapes(Loose(), X, y=X)
    assert str(caught.value).endswith(
        " of Loose, got ['y'] as **more, which torch.export cannot trace; wrap the network in a module whose forward "
        "names them"
    )


def test_inputs_that_do_not_fit_are_an_error() -> None:
    with pytest.raises(
        TraceError, match=r"of Sum, got 0 positional and keywords \['y'\] \(missing a required argument: 'x'\)"
    ):
        shapes(Sum(), y=X)


def test_what_cannot_be_traced_is_an_error_of_one_line() -> None:
    message = error_of(Branch(), X)
    line = inspect.getsourcelines(Branch.forward)[1] + 1
    assert message.startswith(
        f"torch.export must be able to trace Branch, got at test_export.py:{line}: Could not guard"
    )
    assert message.endswith(
        '; rewrite what it names, try strict=True, name the part that can be traced with submodule="...", name the '
        "widths with groups=[...], or place ww.StructuralDropout by hand"
    )
    assert "try strict" not in error_of(Branch(), X, strict=True)
    assert "\n" not in message


def test_what_numpy_computes_can_be_traced_by_reading_the_code() -> None:
    class Rectified(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.from_numpy(np.maximum(x.numpy(), 0)) + 1

    assert ".numpy() is not supported" in error_of(Rectified(), X)
    program = export_network(Rectified(), Example(args=(X,), kwargs={}), strict=True)
    assert torch.equal(program.module()(X), X.relu() + 1)


def test_a_network_that_does_not_run_is_an_error_of_its_own() -> None:
    class Wrong(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.reshape(7, 7)

    line = inspect.getsourcelines(Wrong.forward)[1] + 1
    assert error_of(Wrong(), X) == (
        f"Wrong must run on example_inputs, got at test_export.py:{line}: shape '[7, 7]' is invalid for input of size "
        "60; give the inputs of one call that works"
    )


def test_a_failure_prints_and_logs_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    error_of(Branch(), X)
    assert capfd.readouterr() == ("", "")
    assert logging.root.manager.disable == logging.NOTSET


@pytest.mark.parametrize(("batch", "copies", "expected"), [(1, 1, 2), (1, 2, 4), (3, 1, 3), (3, 2, 6)])
def test_a_batch_is_made_longer_than_one(batch: int, copies: int, expected: int) -> None:
    example = Example(args=(torch.arange(batch * 2.0).reshape(batch, 2),), kwargs={"n": 3, "y": torch.zeros(7)})
    found = enlarge_batch(example, 0, copies)
    assert found.args[0].shape == (expected, 2)
    assert torch.equal(found.args[0][:batch], example.args[0])
    assert found.kwargs["n"] == 3
    assert found.kwargs["y"].shape == (7,)


def test_the_batch_may_be_another_axis() -> None:
    found = enlarge_batch(Example(args=(torch.zeros(5, 1), torch.zeros(3)), kwargs={}), 1, 1)
    assert found.args[0].shape == (5, 2)
    assert found.args[1].shape == (3,)


@pytest.mark.parametrize(
    ("args", "got"), [((3,), "none"), ((torch.zeros(4),), "none"), ((torch.zeros(4, 0),), "the shape (4, 0)")]
)
def test_an_example_without_samples_is_an_error(args: tuple[Any, ...], got: str) -> None:
    with pytest.raises(TraceError) as caught:
        enlarge_batch(Example(args=args, kwargs={}), 1, 1)
    assert str(caught.value) == (
        f"example_inputs must hold a tensor with at least one sample along axis 1, got {got}; give an example of two "
        "samples, or say which axis is the batch with batch_dim="
    )


def images(*shapes: tuple[int, ...], batch_dim: int = 0) -> set[tuple[int, int]]:
    return set(find_image_axes(Example(args=tuple(torch.zeros(shape) for shape in shapes), kwargs={"n": 3}), batch_dim))


def test_the_axes_of_images_and_volumes_but_the_batch_are_those_of_images() -> None:
    assert images((2, 3, 8, 9)) == {(0, 1), (0, 2), (0, 3)}
    assert images((3, 2, 4, 8, 9), batch_dim=1) == {(0, 0), (0, 2), (0, 3), (0, 4)}
    assert images((2, 3, 8)) == images((2,)) == set()


def test_what_another_input_shares_is_no_size_of_an_image() -> None:
    assert images((2, 7), (2, 3, 7, 9)) == {(1, 1), (1, 3)}
    assert images((3, 5), (3, 3, 8, 9)) == {(1, 1), (1, 2), (1, 3)}


def test_axes_that_are_to_be_the_batch_are_one_size() -> None:
    class Apart(nn.Module):
        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return x * 2, y * 3

    def first_sizes(batched: frozenset[tuple[int, int]]) -> list[Any]:
        program = export_network(Apart(), Example(args=(X, X.clone()), kwargs={}), batched=batched)
        return [shape_of(node.meta["val"])[0] for node in program.graph.find_nodes(op="placeholder")]

    one, other = first_sizes(frozenset({(0, 0), (1, 0)}))
    assert isinstance(one, sympy.Symbol)
    assert one == other
    assert len(set(first_sizes(frozenset()))) == 2


def test_tracing_and_exporting_are_not_heard(capfd: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("torch.onnx")
    with silence():
        warnings.warn("an exporter about itself", stacklevel=1)
        print("a page about a failure")  # noqa: T201 what is silenced
        assert not log.isEnabledFor(logging.CRITICAL)
    assert log.isEnabledFor(logging.ERROR)
    assert capfd.readouterr() == ("", "")
    with pytest.warns(UserWarning, match="^after$"):
        warnings.warn("after", stacklevel=1)


def test_threads_that_are_silent_at_once_leave_the_process_as_it_was() -> None:
    heard = (logging.root.manager.disable, sys.stdout, sys.stderr)
    is_first_in, is_second_in, is_first_out = threading.Event(), threading.Event(), threading.Event()

    def first() -> None:
        with silence():
            is_first_in.set()
            is_second_in.wait(0.2)
        is_first_out.set()

    def second() -> None:
        is_first_in.wait()
        with silence():
            is_second_in.set()
            is_first_out.wait(0.2)

    threads = [threading.Thread(target=each) for each in (first, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (logging.root.manager.disable, sys.stdout, sys.stderr) == heard
