import os

# Before torch is imported, which sizes its thread pool once: two workers of two threads each are several times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import hypothesis
import pytest
import torch

torch.set_num_threads(1)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A job that a shell starts in the background ignores interrupts, and so would the processes that tests interrupt.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class _TorchRandom:
    """Lets hypothesis seed torch before each example, as it does with the generators of Python and numpy."""

    def seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def getstate(self) -> torch.Tensor:
        return torch.get_rng_state()

    def setstate(self, state: torch.Tensor) -> None:
        torch.set_rng_state(state)


_torch_random = _TorchRandom()
hypothesis.register_random(_torch_random)
# The first example pays for tracing, so no deadline; the same examples each time, so that a red suite stays red.
hypothesis.settings.register_profile("house", deadline=None, derandomize=True, max_examples=20, database=None)
hypothesis.settings.load_profile("house")


class RandomStateCheck(Protocol):
    def __call__(self) -> AbstractContextManager[None]: ...


@pytest.fixture(autouse=True)
def _seed_torch() -> Iterator[None]:
    """Give each test the same start, whatever ran before it in this process."""
    before = torch.get_rng_state()
    torch.manual_seed(0)
    yield
    torch.set_rng_state(before)


@pytest.fixture
def untouched_random_state() -> RandomStateCheck:
    """Check that a block, `with untouched_random_state():`, leaves the global generator of torch as it was."""

    @contextmanager
    def check() -> Iterator[None]:
        before = torch.get_rng_state()
        yield
        assert torch.equal(torch.get_rng_state(), before), "the block drew from the global generator of torch"

    return check


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder with the files of the data sets, or a skip where there is none."""
    value = os.environ.get("WIDTHWISE_DATA")
    if not value:
        pytest.skip("needs real data: set WIDTHWISE_DATA to the folder with mnist/, fashion_mnist/ and the others")
    folder = Path(value)
    if not folder.is_dir():
        pytest.skip(f"needs real data: WIDTHWISE_DATA names {folder}, which is not a folder")
    return folder
