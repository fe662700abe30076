"""Networks that write in place: those whose writes are to values that nobody else looks at, and others."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tests.traps import Network

Function = Callable[[Any, Tensor], Tensor]
IMAGE, ROWS = (3, 2, 4, 5), (3, 5)


def make(function: Function) -> Network:
    torch.manual_seed(0)
    return Network(
        function, c=nn.Conv2d(2, 6, 3, padding=1), b=nn.BatchNorm2d(6), relu=nn.ReLU(inplace=True), d=nn.Dropout(0.5),
        a=nn.Linear(5, 6), o=nn.Linear(6, 3),
    ).double()  # fmt: skip


def sample(function: Function) -> Tensor:
    return torch.randn(IMAGE if function in IMAGES.values() else ROWS, dtype=torch.float64)


def convolve(s: Any, x: Tensor) -> Tensor:
    return s.o(s.relu(s.c(x)).mean((2, 3)))


def normalise(s: Any, x: Tensor) -> Tensor:
    return s.o(s.relu(s.b(s.c(x))).mean((2, 3)))


def _add(s: Any, x: Tensor) -> Tensor:
    y, z = s.relu(s.c(x)), s.c(x * 2)
    z += y
    return s.o(s.relu(z).mean((2, 3)) + y.amax((2, 3)))


def write_twice(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    z = y * 2
    y += 1
    y -= z
    y.relu_()
    return s.o(y + z)


def _drop(s: Any, x: Tensor) -> Tensor:
    return s.o(functional.dropout(s.a(x), 0.5, s.training, inplace=True).relu_())


def _write_to_what_was_made(s: Any, x: Tensor) -> Tensor:
    y = x.new_zeros(x.shape[0], 6)
    y += s.a(x)
    return s.o(y.clamp_(min=-0.1))


def _write_to_a_view(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    y[:, :2] *= 3
    return s.o(y)


def _write_under_a_view(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    z = y.view(-1, 2, 3)
    y.relu_()
    return s.o(z.flatten(1))


def _write_to_an_input(s: Any, x: Tensor) -> Tensor:
    x.add_(1)
    return s.o(s.a(x))


def _write_under_a_letter(s: Any, x: Tensor) -> Tensor:
    """Letters alone may be a view, of which the schema says nothing."""
    y = s.a(x)
    z = torch.einsum("bi->bi", y)
    y.relu_()
    return s.o(z)


def _write_to_what_a_dropout_hands_on(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    z = functional.dropout(y, 0.0, s.training)
    z.relu_()
    return s.o(y + z)


def _compare(s: Any, x: Tensor) -> Tensor:
    """In place a comparison keeps the dtype."""
    return s.o(s.a(x).gt_(0))


def _raise(s: Any, x: Tensor) -> Tensor:
    """`pow_.Scalar` and `pow.Scalar` are two things."""
    y = s.a(x).abs()
    y **= 3
    return s.o(y)


def _write_another_dtype(s: Any, x: Tensor) -> Tensor:
    y = s.a(x).float()
    y += s.a(x)
    return s.o(y.double())


def _write_under_the_last_name(s: Any, x: Tensor) -> Tensor:
    return s.o(s.a(x).view(-1, 2, 3).mul(2).flatten(1).relu_().mul(2).unsqueeze(1).add_(1).squeeze(1))


def _fill_stretches(s: Any, x: Tensor) -> Tensor:
    y, mask = s.a(x), x.new_ones(6, 6)
    mask[1:3, 2:4] = 2
    mask[2:, 3] = 0.5
    mask[0].zero_()
    before = y.sum(1, keepdim=True)
    y[:, 1:3] = 0
    y[0] = 1
    return s.o(y @ mask + before)


def _fill_under_another_stretch(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    z = y[:, :2]
    y[:, 1:3] = 0
    return s.o(y) + z.sum(1, keepdim=True)


def _fill_a_stretch_of_a_view(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    y.view(-1, 2, 3)[:, 0] = 1
    return s.o(y)


def _fill_what_is_read_by_its_stretch(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    z = y[:, 1:3]
    z[:, :1] = 0
    return s.o(y) + z.sum(1, keepdim=True)


def _write_under_a_name_that_is_read_later(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    y.view(-1, 2, 3).relu_()
    return s.o(y)


def stop(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        z = (y * 2).relu_()
    return s.o(y + z)


def resume(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.no_grad():
        z = y * 2
        with torch.enable_grad():
            w = y * 3
        v = z + w
    return s.o(y + z * w + v)


def _leave_precision(s: Any, x: Tensor) -> Tensor:
    y = s.a(x)
    with torch.autocast("cpu", enabled=False):
        z = (y * 2).relu_()
    return s.o(y + z)


IMAGES: dict[str, Function] = {
    "relu after a convolution": convolve, "a residual sum": _add, "batch norm": normalise,
}  # fmt: skip
REGIONS: dict[str, Function] = {
    "no gradients": stop, "gradients inside none": resume, "no autocast": _leave_precision,
}  # fmt: skip
SIMPLE: dict[str, Function] = {
    **IMAGES, **REGIONS, "twice on one value": write_twice, "dropout": _drop,
    "what was made of nothing": _write_to_what_was_made, "the last name": _write_under_the_last_name,
    "stretches": _fill_stretches,
}  # fmt: skip
OTHERS: dict[str, Function] = {
    "a view": _write_to_a_view, "under a view": _write_under_a_view, "an input": _write_to_an_input,
    "under letters": _write_under_a_letter, "what a dropout hands on": _write_to_what_a_dropout_hands_on,
    "under another stretch": _fill_under_another_stretch, "a stretch of a view": _fill_a_stretch_of_a_view,
    "what its stretch reads": _fill_what_is_read_by_its_stretch,
    "a name that is read later": _write_under_a_name_that_is_read_later, "a comparison": _compare, "a power": _raise,
    "another dtype": _write_another_dtype,
}  # fmt: skip
# `run_decompositions` of torch 2.13 takes no notice of these views either.
LOST_BY_TORCH = {"under letters", "what a dropout hands on"}
