"""One subject in a process of its own, with a limit of time and of memory.

What is known so far is written line by line, so that a network that runs out of time still says how far it came.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

import widthwise as ww
from benchmarks.coverage.elastic import measure_elastic, verify_elastic
from benchmarks.coverage.operators import declare_operators
from benchmarks.coverage.pruning import measure_pruning
from benchmarks.coverage.subject import Subject
from benchmarks.coverage.subjects import find_subject
from benchmarks.record import ROOT

__all__ = ["LIMIT_S", "MEMORY_BYTES", "TOOLS", "VERIFY_LIMIT_S", "VERIFY_MEMORY_BYTES", "main", "run_child"]

TOOLS = ("widthwise", "torch-pruning")
# Of processor time, which other processes on the machine do not lengthen.
LIMIT_S = 120
VERIFY_LIMIT_S = 3600
# Of data; what a network needs to be built is counted too. The checks hold what each operator of it yields.
MEMORY_BYTES = 12 * 10**9
VERIFY_MEMORY_BYTES = 18 * 10**9
# What a process may take to start and to import, and how much longer all of it, on a busy machine.
_START_S = 120
_PATIENCE = 4
# How often a clock looks.
_TICK_S = 0.5


def run_child(key: Mapping[str, object], *, verify_limit_s: int = VERIFY_LIMIT_S) -> dict[str, Any]:
    """Return what was found of a subject, by tool, zoo and name; the key "error" tells what went wrong first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lines"
        arguments = [word for name in ("tool", "zoo", "name") for word in (f"--{name}", str(key[name]))]
        command = [sys.executable, "-m", "benchmarks.coverage.child", *arguments, "--to", str(path)]
        command += ["--verify-limit", str(verify_limit_s)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
        limit = _START_S + _PATIENCE * (LIMIT_S + verify_limit_s)
        try:
            done = subprocess.run(command, cwd=ROOT, env=environment, timeout=limit, check=False, text=True, **quiet)
            fate = f"the process ended with {done.returncode}: {(done.stderr.strip().splitlines() or [''])[-1][:200]}"
        except subprocess.TimeoutExpired:
            fate = f"took longer than {LIMIT_S} s"
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found: dict[str, Any] = {}
    for line in lines:
        found |= json.loads(line)
    if not found.pop("finished", False) and "error" not in found:
        found["error"] = fate
    return found


def main() -> None:
    """Measure one subject in this process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tool", choices=TOOLS, required=True)
    for name in ("zoo", "name"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--to", type=Path, required=True)
    parser.add_argument("--verify-limit", type=int, default=VERIFY_LIMIT_S)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, VERIFY_MEMORY_BYTES))
    lines = _Lines(arguments.to)
    declare_operators()
    watch = _Watch(lines, LIMIT_S, {"error": f"took longer than {LIMIT_S} s"})
    try:
        subject = find_subject(arguments.zoo, arguments.name)
        if arguments.tool == "widthwise":
            model = measure_elastic(subject, lines.write)
            watch.cancel()
            lines.write({"finished": True})
            _verify(subject, model, lines, arguments.verify_limit)
        else:
            lines.write({**measure_pruning(subject), "finished": True})
    except Exception as error:  # noqa: BLE001 whatever a network or a tool raises is a result
        lines.write({"error": _first_line(error)})
    watch.cancel()


def _verify(subject: Subject, model: ww.Elastic, lines: "_Lines", limit_s: int) -> None:
    unverified = {"verify": f"skipped: longer than {limit_s} s"}
    lines.write(unverified)
    if limit_s:
        resource.setrlimit(resource.RLIMIT_DATA, (VERIFY_MEMORY_BYTES, VERIFY_MEMORY_BYTES))
        watch = _Watch(lines, limit_s, unverified)
        if subject.on_meta:
            # The checks compare numbers, so that they need a network that holds some.
            model = ww.Elastic(*subject.make(on_meta=False), stream=True)
        lines.write({"verify": verify_elastic(model)})
        watch.cancel()


class _Lines:
    """A file of facts, one JSON object per line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, facts: Mapping[str, object]) -> None:
        """Add a line."""
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(dict(facts)) + "\n")


class _Watch(threading.Thread):
    """A clock that writes facts and ends the process when its processor time is over."""

    def __init__(self, lines: _Lines, limit_s: float, facts: Mapping[str, object]) -> None:
        super().__init__(daemon=True)
        self._lines, self._facts = lines, facts
        self._end = time.process_time() + limit_s
        self._cancelled = threading.Event()
        self.start()

    def cancel(self) -> None:
        """Let the process go on."""
        self._cancelled.set()

    def run(self) -> None:
        """Wait."""
        while not self._cancelled.wait(_TICK_S):
            if time.process_time() > self._end:
                self._lines.write(self._facts)
                os._exit(3)


def _first_line(error: Exception) -> str:
    text = next((line for line in str(error).splitlines() if line.strip()), "")
    # A place in the source is told from the folder of packages on, never by that of this machine.
    for folder in sorted({*sys.path, str(ROOT), str(Path.home())} - {"", "/"}, key=len, reverse=True):
        text = text.replace(f"{folder}/", "")
    return f"{type(error).__name__}: {text[:400]}"


if __name__ == "__main__":
    main()
