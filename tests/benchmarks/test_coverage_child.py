import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.coverage.child import run_child
from benchmarks.coverage.verdict import find_faults
from benchmarks.record import ROOT

# The limit is set from outside: what a process does when its time is over is to say so and to end.
_OUT_OF_TIME = """
import sys
from benchmarks.coverage import child
def measure(subject, report):
    report({"num_nodes": 3})
    while True:
        pass
child.LIMIT_S, child.measure_elastic = 0.2, measure
sys.argv[1:] = ["--tool", "widthwise", "--zoo", "own", "--name", "WaveNet", "--to", sys.argv[1]]
child.main()
"""


@pytest.mark.slow
def test_a_network_is_measured_in_a_process_of_its_own() -> None:
    found = run_child({"tool": "widthwise", "zoo": "own", "name": "autoencoder with tied weights"})
    assert find_faults(found) == []
    assert found["verify"] == "sound"
    assert "finished" not in found


@pytest.mark.slow
def test_what_a_process_raises_is_a_result_in_one_line() -> None:
    found = run_child({"tool": "widthwise", "zoo": "own", "name": "no such network"})
    assert set(found) == {"error"}
    assert str(found["error"]).startswith("KeyError: \"expected the name of a network of own, got 'no such network'")


@pytest.mark.slow
def test_a_process_that_runs_out_of_time_leaves_what_it_knew(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    done = subprocess.run([sys.executable, "-c", _OUT_OF_TIME, str(path)], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 3
    assert path.read_text(encoding="utf-8").splitlines() == [
        '{"num_nodes": 3}',
        '{"error": "took longer than 0.2 s"}',
    ]
