import os
import signal
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SLOW_TORCH = """
import pathlib, signal, time
pathlib.Path({begun!r}).touch()
try:
    time.sleep(60)
except BaseException as error:
    raise ImportError("numpy failed to import") from error
"""


def start(*words: str, path: Path, ignoring: bool = False) -> subprocess.Popen[str]:
    first = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); " if ignoring else ""
    return subprocess.Popen(
        [sys.executable, "-c", f"{first}from widthwise_console import main; main()", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"},
    )


def test_the_installed_command_is_this_entry_point() -> None:
    content = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert content["project"]["scripts"] == {"widthwise": "widthwise_console:main"}
    assert "src/widthwise_console.py" in content["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]


def test_the_entry_point_imports_nothing_of_the_package() -> None:
    script = "import sys, widthwise_console; print(*{'torch', 'typer', 'rich', 'widthwise'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "\n"


def test_an_interrupt_while_torch_is_imported_exits_130_with_one_line(tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(SLOW_TORCH.format(begun=str(begun)), encoding="utf-8")
    process = start("recipes", path=tmp_path)
    deadline = time.monotonic() + 60
    while not begun.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stdout, stderr) == (130, "", "widthwise: interrupted\n")


@pytest.mark.slow
@pytest.mark.parametrize("ignoring", [False, True])
def test_the_entry_point_runs_the_command_line(ignoring: bool, tmp_path: Path) -> None:
    process = start("--version", path=tmp_path, ignoring=ignoring)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stderr) == (0, "")
    assert stdout.count(".") == 2
