import subprocess
import sys
from pathlib import Path

import pytest
import torch

from benchmarks.record import Record
from benchmarks.speed import compiled, demo, extracted, step
from tests.conftest import RandomStateCheck


@pytest.mark.slow
def test_a_step_is_timed_in_whole_and_in_parts(untouched_random_state: RandomStateCheck) -> None:
    with untouched_random_state():
        result = step.measure_here(width=16, optimizer="fused_adam", threads=1, seed=0, turns=1)
    assert set(result) == {
        "elastic",
        "plain",
        "wall_ratio",
        "cpu_ratio",
        "wall_sum_ratio",
        "cpu_sum_ratio",
        "macs_ratio",
        "threads",
    }
    for name in ("elastic", "plain"):
        times = result[name]
        assert isinstance(times, dict)
        assert set(times) == {"wall", "cpu", "forward_ms", "backward_ms", "optimizer_ms"}
        assert min(times["wall"]["low_ms"], times["cpu"]["low_ms"]) > 0
        assert min(times["forward_ms"], times["backward_ms"], times["optimizer_ms"]) > 0
    assert 0.3 < float(str(result["macs_ratio"])) < 0.6


@pytest.mark.slow
def test_a_step_is_measured_in_a_process_with_the_asked_threads() -> None:
    result = step.measure_in_child({"width": 16, "optimizer": "adam", "threads": 2, "seed": 0, "turns": 1})
    assert result["threads"] == {"torch": 2, "openmp": "2"}


@pytest.mark.slow
@pytest.mark.parametrize("network", ["mlp", "resnet"])
@pytest.mark.parametrize("form", ["module", "graph"])
def test_an_extracted_network_is_timed_against_the_same_by_hand(
    network: str, form: str, untouched_random_state: RandomStateCheck
) -> None:
    key = {"network": network, "width": 0.25, "form": form, "batch": 1, "seed": 0}
    with untouched_random_state():
        result = extracted.measure(key, turns=1, runs=1)
    assert set(result) == {"extracted", "by_hand", "wall_ratio", "cpu_ratio", "bytes", "bytes_more"}
    assert 0 <= int(str(result["bytes_more"])) <= 4096


def test_networks_that_differ_are_not_compared() -> None:
    one, other = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    extracted.make_same(one, other, torch.ones(1, 3))
    with pytest.raises(RuntimeError, match="size mismatch"):
        extracted.make_same(one, torch.nn.Linear(3, 4), torch.ones(1, 3))
    for bias in (True, False):
        with pytest.raises(AssertionError):
            extracted.make_same(one, torch.nn.Linear(3, 2, bias=not bias), torch.ones(1, 3))
        one = torch.nn.Linear(3, 2, bias=False)


def make_script(folder: Path, lines: str) -> Path:
    """Write a `widthwise` that stands beside a Python."""
    script = folder / "widthwise"
    script.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    script.chmod(0o755)
    return folder / "python"


def test_the_demo_is_timed_in_an_empty_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    told = tmp_path / "told"
    python = make_script(tmp_path, f'echo "$*, $OMP_NUM_THREADS thread, $(ls | wc -l) files" >> {told}; touch trace')
    monkeypatch.setattr(sys, "executable", str(python))
    demo.fill(tmp_path / "demo.json", num_runs=3)
    assert told.read_text(encoding="utf-8").splitlines() == ["demo, 1 thread, 0 files"] * 3
    assert [set(cell.result) for cell in Record.read(tmp_path / "demo.json").cells] == [{"wall_s", "cpu_s"}] * 3


def test_a_demo_that_fails_has_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(make_script(tmp_path, "exit 1")))
    with pytest.raises(subprocess.CalledProcessError):
        demo.fill(tmp_path / "demo.json", num_runs=3)
    assert not (tmp_path / "demo.json").exists()


def test_both_steps_of_the_compiled_benchmark_meet_the_same_widths() -> None:
    one, other = (compiled.Step("ResidualConvNet 16-24-48", "one width", seed=0) for _ in range(2))
    (_, count), (_, again) = compiled.meet_every_width(one), compiled.meet_every_width(other)
    assert count == again >= len(compiled.WIDTHS)
    assert one.model.last_widths == other.model.last_widths
    _, count = compiled.meet_every_width(compiled.Step("ResidualConvNet 16-24-48", "parts", seed=0))
    assert count >= 1
