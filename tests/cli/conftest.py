"""The command line on a task that trains in milliseconds (see tests/training/conftest.py)."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest
from typer.testing import CliRunner, Result

from tests.training.conftest import TINY, make_splits
from widthwise.cli import app
from widthwise.training import network, parse_recipe, train
from widthwise.zoo import DataSplits


class Invoke(Protocol):
    def __call__(self, *words: str | Path) -> Result: ...


@pytest.fixture(scope="session", autouse=True)
def _clouds() -> Iterator[None]:
    """Let recipes find the data set "clouds" beside the real ones."""
    splits, load_data = make_splits(), network.load_data

    def find(name: str, folder: Path | None = None) -> DataSplits:
        return splits if name == "clouds" else load_data(name, folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "load_data", find)
        yield


@pytest.fixture
def invoke() -> Invoke:
    """Run a command line in this process; the result has exit_code, stdout and stderr."""

    def run(*words: str | Path) -> Result:
        return CliRunner().invoke(app, [str(word) for word in words])

    return run


@pytest.fixture
def recipe_file(tmp_path: Path) -> Path:
    """The tiny recipe as a file."""
    path = tmp_path / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, for reading only."""
    return train(parse_recipe(TINY), tmp_path_factory.mktemp("trained") / "run").path


@pytest.fixture(scope="session")
def measured(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run with a curve, for reading only."""
    path = tmp_path_factory.mktemp("measured") / "run"
    shutil.copytree(trained, path)
    assert CliRunner().invoke(app, ["curve", str(path), "--no-latency"]).exit_code == 0
    return path


@pytest.fixture
def run_copy(trained: Path, tmp_path: Path) -> Path:
    """A finished run that a test may change."""
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def error_line(result: Result) -> str:
    """Return the one line on stderr, checked to be one and to stand alone."""
    lines = result.stderr.splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("widthwise: ")
    assert result.stdout == ""
    return lines[0].removeprefix("widthwise: ")
