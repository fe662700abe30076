import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest
import typer

from tests.cli.conftest import Invoke, error_line
from widthwise._shared import VERSION
from widthwise.cli import app, recipes
from widthwise.training import Run

VERBS = ["demo", "recipes", "train", "groups", "curve", "pick", "search", "export", "info"]


def test_the_verbs_are_these() -> None:
    command = typer.main.get_command(app)
    assert list(getattr(command, "commands")) == VERBS  # noqa: B009  # the group class has no public name


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_with_an_example(invoke: Invoke, verb: str) -> None:
    result = invoke(verb, "--help")
    assert result.exit_code == 0
    assert f"Example: widthwise {verb}" in " ".join(result.stdout.split())


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_prints_json_where_asked(invoke: Invoke, verb: str) -> None:
    assert "--json" in invoke(verb, "--help").stdout


def test_no_verb_shows_the_help(invoke: Invoke) -> None:
    result = invoke()
    assert result.exit_code == 0
    assert "Begin with: widthwise demo" in result.stdout
    assert all(verb in result.stdout for verb in VERBS)


def test_the_version_is_that_of_the_package(invoke: Invoke) -> None:
    assert invoke("--version").stdout == f"{VERSION}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tran",), "No such command 'tran'. Did you mean 'train'?; see widthwise --help"),
        (("--magic",), "No such option: --magic; see widthwise --help"),
        (("pick", "run", "--max-prams", "3"), "No such option: --max-prams"),
        (("pick",), "Missing argument 'RUN'; see widthwise pick --help"),
    ],
)
def test_bad_usage_exits_2_in_one_line(invoke: Invoke, words: tuple[str, ...], message: str) -> None:
    result = invoke(*words)
    assert result.exit_code == 2
    assert error_line(result).startswith(message)


@pytest.mark.parametrize("words", [("--debug", "pick", "nowhere"), ("pick", "--debug", "nowhere")])
def test_debug_shows_the_trace_above_the_line(invoke: Invoke, words: tuple[str, ...]) -> None:
    result = invoke(*words, "--max-params", "3")
    assert result.exit_code == 1
    lines = result.stderr.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("widthwise: expected a run directory nowhere with a run.json, got none")


def test_a_warning_is_one_line(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def warn() -> list[str]:
        warnings.warn("expected calm,\n got a storm", stacklevel=1)
        return []

    monkeypatch.setattr(sys.modules[recipes.__name__], "list_recipes", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        result = invoke("recipes")
    assert result.exit_code == 0
    assert result.stderr == "widthwise: note: expected calm, got a storm\n"


def run_widthwise(*words: str | Path) -> subprocess.Popen[str]:
    script = "from widthwise.cli import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


@pytest.mark.slow
def test_a_real_interrupt_exits_130_and_leaves_a_run_that_the_same_command_finishes(
    invoke: Invoke, tmp_path: Path
) -> None:
    settings = ("epochs=60", "sizes=[64,16,10]", "data.limit=100", "method=plain")
    words = ["train", "digits-mlp", "--out", tmp_path / "run", *(word for each in settings for word in ("--set", each))]
    process = run_widthwise(*words)
    metrics = tmp_path / "run" / "metrics.jsonl"
    deadline = time.monotonic() + 240
    while not metrics.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=240)
    state = Run.open(tmp_path / "run").state
    assert process.returncode == 130, stderr
    assert stdout == ""
    expected = f"widthwise: interrupted after epoch {state.finished_epochs} of 60; the same command continues"
    assert stderr.splitlines() == [expected]
    assert state.status == "interrupted"
    assert state.finished_epochs < 60
    assert invoke(*words).exit_code == 0
    assert Run.open(tmp_path / "run").state.status == "finished"
