"""Wall time of `widthwise demo` after installation, three times, each in an empty folder.

python -m benchmarks.speed.demo            continues where it was stopped
python -m benchmarks.speed.demo --smoke    once, into runs/
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.record import ROOT, Record

__all__ = ["RESULTS", "main"]

RESULTS = ROOT / "benchmarks/speed/results/demo.json"
SMOKE = ROOT / "runs/benchmarks/demo.json"
THREADS = 1


def main() -> None:
    parser = argparse.ArgumentParser(description="Time the demo.")
    parser.add_argument("--smoke", action="store_true", help="once, into runs/")
    arguments = parser.parse_args()
    fill(SMOKE, num_runs=1) if arguments.smoke else fill(RESULTS, num_runs=3)


def fill(path: Path, *, num_runs: int) -> None:
    """Measure the runs that the file does not have yet."""
    record = Record.open(
        path,
        benchmark="speed/demo",
        tier="screen" if num_runs == 1 else "confirm",
        seeds=(),
        settings={"command": "widthwise demo", "runs": num_runs},
        threads=(THREADS,),
    )
    record.fill([{"run": run} for run in range(num_runs)], lambda _: measure(), describe=describe)


def describe(result: Mapping[str, object]) -> str:
    return f"{result['wall_s']} s, processor {result['cpu_s']} s"


def measure() -> dict[str, float]:
    """Return the seconds of one run, on the wall and of the processor.

    Raises:
        CalledProcessError: The demo failed.
    """
    # The script of this environment, whether or not it is activated.
    script = Path(sys.executable).parent / "widthwise"
    environment = {**os.environ, "OMP_NUM_THREADS": str(THREADS)}
    with tempfile.TemporaryDirectory() as folder:
        cpu, wall = _cpu_of_children(), time.perf_counter()
        subprocess.run([script, "demo"], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
        wall, cpu = time.perf_counter() - wall, _cpu_of_children() - cpu
    return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2)}


def _cpu_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
