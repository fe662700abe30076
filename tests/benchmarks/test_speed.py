import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.record import Record
from benchmarks.speed import compiled, demo, extracted, step, wrapped
from benchmarks.speed.networks import GPU_NETWORKS, NETWORKS, Network
from tests.conftest import RandomStateCheck
from widthwise.zoo import build_model


def make_script(folder: Path, lines: str, name: str = "widthwise") -> Path:
    """Write a script that stands in for the one of that name beside a Python; return that Python."""
    script = folder / name
    script.write_text(f"#!/bin/sh\n{lines}\n", encoding="utf-8")
    script.chmod(0o755)
    return folder / "python"


CELL = {"network": "mlp_256", "law": "log_uniform", "optimizer": "adam", "mode": "eager", "seed": 0}


@pytest.mark.slow
def test_a_step_is_measured_in_a_process_of_its_own() -> None:
    result = step.measure_in_child({**CELL, "threads": 1, "rounds": 1, "device": "cpu"})
    assert result["threads"] == {"torch": 1, "openmp": "1"}
    assert 0 < float(str(result["macs_ratio"])) < 1


def test_that_process_has_the_asked_threads_from_its_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    python = make_script(tmp_path, 'echo "[$OMP_NUM_THREADS, $MKL_NUM_THREADS, $4]"', name="python")
    monkeypatch.setattr(sys, "executable", str(python))
    key = {**CELL, "threads": 2}
    assert step.measure_in_child(key) == [2, 2, key]


def test_the_cells_of_a_device_are_named_in_full(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[dict[str, object]] = []

    def measure(arguments: step.Key) -> dict[str, object]:
        asked.append(dict(arguments))
        return {"wall_ratio": 0.5, "cpu_ratio": 0.5}

    monkeypatch.setattr(step, "measure_in_child", measure)
    devices = {name: replace(device, results=tmp_path / f"{name}.json") for name, device in step.DEVICES.items()}
    monkeypatch.setattr(step, "DEVICES", devices)
    step.fill("cpu")
    # Seeds, networks, laws, optimisers, threads.
    assert len(asked) == 3 * 4 * 2 * 2 * 2
    assert asked[0] == {
        "seed": 0,
        "network": "mlp_256",
        "law": "log_uniform",
        "optimizer": "adam",
        "mode": "eager",
        "threads": 1,
        "rounds": 10,
        "device": "cpu",
    }
    step.fill("cpu")
    assert len(asked) == 96
    step.fill("cuda")
    assert {str(key["network"]) for key in asked[96:]} == {"mlp_4096", "vit_s", "resnet_18"}
    record = Record.read(tmp_path / "cuda.json")
    assert (record.benchmark, len(record.cells)) == ("speed/cuda", 3 * 3 * 2 * 2 * len(step.MODES))


def test_without_a_gpu_it_is_left_out_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["step", "--device", "cuda"])
    step.main()
    assert capsys.readouterr().out == "speed/step on a GPU: left out, torch finds none here\n"


@pytest.mark.parametrize("name", [*NETWORKS, *GPU_NETWORKS])
def test_a_network_is_built_for_its_samples(name: str) -> None:
    network = {**NETWORKS, **GPU_NETWORKS}[name]
    with torch.device("meta"):
        net = build_model(network.model, generator=None, **network.arguments)
        assert net(torch.empty(2, *network.shape)).shape == (2, network.num_classes)
    # Equal chunks, so that the work of a step is the mean of theirs.
    assert network.batch % 4 == 0


def test_a_convnet_and_its_pictures_are_channels_last() -> None:
    network, generator = NETWORKS["resnet"], torch.Generator().manual_seed(0)
    x, y_B = replace(network, batch=3).draw_batch(generator)
    assert (x.shape, y_B.shape, int(y_B.max()) < 10) == ((3, 3, 32, 32), (3,), True)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert network.build(generator).get_parameter("stem.weight").is_contiguous(memory_format=torch.channels_last)


@pytest.mark.slow
def test_a_wrapped_network_is_timed_against_the_bare_one(untouched_random_state: RandomStateCheck) -> None:
    with untouched_random_state():
        result = wrapped.measure(NETWORKS["mlp_256"], 1, 0, turns=2, runs=2)
    ratios = {"wall_ratio", "cpu_ratio", "sequential_wall_ratio", "sequential_cpu_ratio"}
    assert set(result) == {"wrapped", "bare", "sequential"} | ratios
    assert all(float(str(result[name])) > 0 for name in ratios)


def test_every_wrapped_network_is_measured_on_one_sample_or_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[tuple[int, int, int, int]] = []

    def measure(network: Network, batch: int, seed: int, *, turns: int, runs: int) -> dict[str, object]:
        assert network in NETWORKS.values()
        asked.append((batch, seed, turns, runs))
        return {"wall_ratio": 1.0, "sequential_wall_ratio": 1.0}

    monkeypatch.setattr(wrapped, "measure", measure)
    threads = torch.get_num_threads()
    try:
        wrapped.fill(tmp_path / "wrapped.json")
    finally:
        torch.set_num_threads(threads)
    assert len(asked) == 3 * 7
    assert asked[:3] == [(1, 0, 400, 20), (256, 0, 200, 4), (256, 0, 100, 2)]


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
