import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.conftest import RandomStateCheck
from widthwise._shared import RunError, generator_state, make_generator, restore_generator

STREAMS = st.tuples(st.integers()) | st.tuples(st.integers(), st.integers()) | st.tuples(*[st.integers()] * 3)


def draw(generator: torch.Generator) -> torch.Tensor:
    return torch.rand(16, generator=generator, dtype=torch.float64)


@given(stream=STREAMS)
def test_the_same_integers_give_the_same_draws(stream: tuple[int, ...]) -> None:
    assert torch.equal(draw(make_generator(*stream)), draw(make_generator(*stream)))


@given(first=STREAMS, second=STREAMS)
def test_other_integers_give_other_draws(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    if first != second:
        assert not torch.equal(draw(make_generator(*first)), draw(make_generator(*second)))


@pytest.mark.parametrize(
    ("first", "second"), [((1, 2), (12,)), ((1, 2), (2, 1)), ((0, 1, 2), (0, 2, 1)), ((0,), (0, 0)), ((1,), (-1,))]
)
def test_streams_that_look_alike_differ(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    assert not torch.equal(draw(make_generator(*first)), draw(make_generator(*second)))


def test_neighbouring_streams_are_uncorrelated() -> None:
    num_streams, num_draws = 200, 500
    rows = torch.stack(
        [torch.randn(num_draws, generator=make_generator(0, i), dtype=torch.float64) for i in range(num_streams)]
    )
    # The mean of n products of independent standard normals has standard error 1 / sqrt(n).
    products = (rows[1:] * rows[:-1]).mean()
    assert abs(products) < 5 / (num_draws * (num_streams - 1)) ** 0.5


def test_draws_of_a_seed_stay_what_they_were() -> None:
    assert torch.randint(1000, (4,), generator=make_generator(0)).tolist() == [389, 658, 997, 518]


def test_a_restored_generator_goes_on_as_it_did() -> None:
    generator = make_generator(3)
    draw(generator)
    # An odd number of normals leaves half a pair cached in the state.
    torch.randn(3, generator=generator)
    state = generator_state(generator)
    expected = draw(generator), torch.randn(3, generator=generator)
    other = make_generator(4)
    restore_generator(other, state)
    found = draw(other), torch.randn(3, generator=other)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_the_state_is_a_copy() -> None:
    generator = make_generator(3)
    state = generator_state(generator)
    before = state.clone()
    draw(generator)
    assert state.dtype == torch.uint8
    assert torch.equal(state, before)


def test_the_global_random_state_is_untouched(untouched_random_state: RandomStateCheck) -> None:
    with untouched_random_state():
        generator = make_generator(0, 1)
        restore_generator(generator, generator_state(make_generator(5)))
    assert generator.initial_seed() != torch.default_generator.initial_seed()


def test_a_seed_that_is_no_integer_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="'float' object cannot be interpreted as an integer"):
        make_generator(0, 1.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", [torch.zeros(7, dtype=torch.uint8), torch.zeros(5056, dtype=torch.int64)])
def test_a_tensor_that_is_no_state_is_an_error(state: torch.Tensor) -> None:
    got = f"got {state.dtype} of shape ({state.numel()},); the checkpoint is damaged or from another version of torch"
    with pytest.raises(RunError, match=re.escape(got)):
        restore_generator(make_generator(0), state)


def test_bytes_that_are_no_state_are_an_error_and_leave_the_generator() -> None:
    generator = make_generator(0)
    before = generator_state(generator)
    message = "expected a valid generator state, got bytes that torch refuses; the checkpoint is damaged"
    with pytest.raises(RunError, match=message):
        restore_generator(generator, torch.full_like(before, 255))
    assert torch.equal(generator_state(generator), before)
