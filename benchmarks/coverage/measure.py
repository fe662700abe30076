"""Hand every subject to widthwise and to Torch-Pruning, each in a process of its own.

python -m benchmarks.coverage.measure                          resumable; one after the other
python -m benchmarks.coverage.measure --zoo timm --tool widthwise --match "res*" --to FILE
python -m benchmarks.coverage.measure --anew failed            measures again what did not pass
"""

import argparse
import os
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.coverage.child import LIMIT_S, MEMORY_BYTES, TOOLS, VERIFY_LIMIT_S, VERIFY_MEMORY_BYTES, run_child
from benchmarks.coverage.subjects import ZOOS
from benchmarks.coverage.verdict import find_faults, find_faults_of_pruning, shares_of
from benchmarks.record import ROOT, Cell, Record

__all__ = ["RESULTS", "describe", "main"]

RESULTS = ROOT / "benchmarks/coverage/results/coverage.json"
_PACKAGES = ("torchvision", "timm", "transformers", "torch-pruning")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zoo", choices=tuple(ZOOS), action="append", help="only of this zoo; may be repeated")
    parser.add_argument("--tool", choices=TOOLS, action="append", help="only with this tool; may be repeated")
    parser.add_argument("--match", action="append", help="only names that fit this pattern, as in a shell")
    parser.add_argument("--anew", choices=("failed", "all"), help="measure again, of what is asked for")
    parser.add_argument("--verify-limit", type=int, default=VERIFY_LIMIT_S, help="seconds for verify; 0 leaves it out")
    parser.add_argument("--to", type=Path, default=RESULTS, help="the result file")
    arguments = parser.parse_args()
    os.nice(5)
    record = open_record(arguments.to, arguments.verify_limit)
    keys = [
        {"tool": tool, "zoo": zoo, "name": subject.name}
        for tool in arguments.tool or TOOLS
        for zoo in arguments.zoo or ZOOS
        for subject in ZOOS[zoo]()
        if any(fnmatchcase(subject.name, pattern) for pattern in arguments.match or ["*"])
    ]
    if arguments.anew:
        again = [cell for cell in record.cells if cell.key in keys and (arguments.anew == "all" or _faults(cell))]
        record.cells[:] = [cell for cell in record.cells if cell not in again]
    record.fill(keys, partial(run_child, verify_limit_s=arguments.verify_limit), describe=describe)


def open_record(path: Path, verify_limit_s: int) -> Record:
    """Return the record of a file, to go on with."""
    return Record.open(
        path,
        benchmark="coverage",
        tier="screen",
        seeds=(0,),
        settings={
            "versions": {name: metadata.version(name) for name in _PACKAGES},
            "limit_s": LIMIT_S,
            "verify_limit_s": verify_limit_s,
            "memory_bytes": MEMORY_BYTES,
            "verify_memory_bytes": VERIFY_MEMORY_BYTES,
        },
        threads=(1,),
    )


def describe(result: Mapping[str, Any]) -> str:
    """Return what was found, in a line."""
    if "error" in result:
        return f"FAIL {result['error']}"
    if "num_shrunk" in result:
        faults = find_faults_of_pruning(result)
        words = f"{result['num_shrunk'] / result['num_parameters']:.3f} shrank"
    else:
        faults, shares = find_faults(result), shares_of(result)
        half = result["half"]["num_parameters"] / shares.num_parameters
        words = (
            f"groups {result['num_groups']}, share {shares.inside:.3f}, at half {half:.3f}, {result['half']['form']}, "
            f"export {result['export_s']:.1f} s, ours {result['infer_s']:.1f} s, verify {result.get('verify')}"
        )
    return f"FAIL {'; '.join(faults)} ({words})" if faults else f"pass ({words})"


def _faults(cell: Cell) -> list[str]:
    result: Mapping[str, Any] = cell.result
    return (find_faults if cell.key["tool"] == "widthwise" else find_faults_of_pruning)(result)


if __name__ == "__main__":
    main()
