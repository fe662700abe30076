"""Two processes train together, and are compared with one."""

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributed import checkpoint
from torch.nn.functional import cross_entropy

from tests.elastic.processes import LAW, OWN, SIZES, batch, make_model, make_net
from tests.networks import assert_same
from widthwise.elastic.engines.batch import choose_chunks, chunk_sizes

ROOT = Path(__file__).parents[2]
MODES = ("ddp-spread", "ddp-same", "fsdp")

pytestmark = pytest.mark.slow


def torchrun(folder: Path, job: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [*command, str(Path(__file__).with_name("processes.py")), str(folder), job],
        capture_output=True, text=True, check=False, timeout=180, env={**os.environ, "PYTHONPATH": path},
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ranks")
    done = torchrun(folder, "work")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def ranks(folder: Path) -> list[dict[str, Any]]:
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def widths_of(ranks: list[dict[str, Any]], mode: str, step: int) -> list[list[dict[str, int]]]:
    return [found[mode]["drawn"][step][0] for found in ranks]


def expected_gradients(ranks: list[dict[str, Any]], mode: str, step: int) -> dict[str, Tensor]:
    """Those of one process on both batches, each part at the width that it had; processes count alike."""
    model = make_model(0)
    model.load_state_dict(ranks[0][mode]["steps"][step]["parameters"])
    losses: list[Tensor] = []
    for rank, found in enumerate(ranks):
        draws, state = found[mode]["drawn"][step]
        chooser = torch.Generator()
        chooser.set_state(state)
        x, y = batch(step, rank)
        sizes = chunk_sizes(len(x), len(draws))
        outputs: list[Tensor] = []
        for widths, part in zip(choose_chunks(draws, len(sizes), chooser), x.split(sizes), strict=True):
            with model.at(widths):
                outputs.append(model(part))
        losses.append(cross_entropy(torch.cat(outputs), y))
    torch.stack(losses).mean().backward()
    return {name: parameter.grad for name, parameter in model.net.named_parameters()}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("step", range(len(SIZES)))
def test_averaged_gradients_are_those_of_one_process(ranks: list[dict[str, Any]], mode: str, step: int) -> None:
    expected = expected_gradients(ranks, mode, step)
    for found in ranks:
        assert_same(found[mode]["steps"][step]["grads"], expected)


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
@pytest.mark.parametrize("step", range(len(SIZES)))
def test_averaged_gradients_of_a_sandwich_are_those_of_one_process(
    ranks: list[dict[str, Any]], mode: str, step: int
) -> None:
    seen = [found[f"{mode}-sandwich"][step] for found in ranks]
    model = make_model(0)
    model.load_state_dict(seen[0]["parameters"])
    losses: list[Tensor] = []
    for rank, found in enumerate(seen):
        x, y = batch(step, rank)
        assert len(found["widths"]) == 4
        for widths in found["widths"]:
            with model.at(widths):
                losses.append(cross_entropy(model(x), y))
    torch.stack(losses).mean().backward()
    expected = {name: parameter.grad for name, parameter in model.net.named_parameters()}
    for found in seen:
        assert_same(found["grads"], expected)
    # Full and lowest are the same everywhere, the others are not.
    assert seen[0]["widths"][:2] == seen[1]["widths"][:2]
    assert seen[0]["widths"][2:] != seen[1]["widths"][2:]


@pytest.mark.parametrize("mode", ["ddp", "fsdp"])
@pytest.mark.parametrize("step", range(len(SIZES)))
def test_what_an_octave_has_of_its_own_gets_gradients_from_the_process_that_runs_it(
    ranks: list[dict[str, Any]], mode: str, step: int
) -> None:
    every = [found[f"{mode}-own"][step] for found in ranks]
    model = make_model(0, law=OWN)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(every[0]["parameters"][name])
    losses: list[Tensor] = []
    for rank, found in enumerate(every):
        x, y = batch(step, rank)
        (widths,) = found["widths"]
        with model.at(widths):
            losses.append(cross_entropy(model(x), y))
    torch.stack(losses).mean().backward()
    assert every[0]["widths"] != every[1]["widths"]
    for name, parameter in model.named_parameters():
        expected = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        for found in every:
            assert_same(found["grads"].get(name, torch.zeros_like(expected)), expected)


@pytest.mark.parametrize("mode", ["ddp-spread", "fsdp"])
def test_spread_widths_fill_each_fine_stratum_once(ranks: list[dict[str, Any]], mode: str) -> None:
    for step in range(len(SIZES)):
        draws = widths_of(ranks, mode, step)
        assert all(of_rank[0] == {"0": 64, "2": 33} for of_rank in draws)
        kept = sorted(widths["0"] for of_rank in draws for widths in of_rank[1:])
        edges = [LAW.lowest ** (1 - i / 6) * 64 for i in range(7)]
        for width, low, high in zip(kept, edges[:-1], edges[1:], strict=True):
            assert math.floor(low + 0.5) <= width <= math.floor(high + 0.5)


def test_the_same_widths_are_drawn_in_every_process_where_asked_for(ranks: list[dict[str, Any]]) -> None:
    for step in range(len(SIZES)):
        one, other = widths_of(ranks, "ddp-same", step)
        assert one == other
    assert widths_of(ranks, "ddp-same", 0) != widths_of(ranks, "ddp-same", 2)


@pytest.mark.parametrize("mode", MODES)
def test_generators_go_in_step_from_unlike_seeds_through_a_batch_too_small_for_all_chunks(
    ranks: list[dict[str, Any]], mode: str
) -> None:
    one, other = (found[mode]["generator"] for found in ranks)
    assert torch.equal(one, other)


def test_processes_agree_on_all_parameters(ranks: list[dict[str, Any]]) -> None:
    for mode in MODES:
        one, other = (found[mode]["steps"][-1]["parameters"] for found in ranks)
        assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.filterwarnings("ignore:torch.distributed is disabled, unavailable or uninitialized:UserWarning")
def test_a_checkpoint_of_two_processes_loads_in_one(folder: Path, ranks: list[dict[str, Any]]) -> None:
    net = make_net()
    checkpoint.load({"net": net.state_dict()}, checkpoint_id=folder / "checkpoint")
    assert_same(dict(net.state_dict()), ranks[0]["fsdp-parameters"])


def test_what_needs_whole_parameters_is_refused(ranks: list[dict[str, Any]]) -> None:
    for found in ranks:
        for what, name in (("fsdp-extract", "0.weight"), ("fsdp-parts", "2.weight")):
            assert found[what] == (
                f"expected whole parameters, got {name} sharded over processes; shard the elastic model alone, "
                "fully_shard(model), no part of it, which gathers them while it is called, and load a gathered state "
                "dict into a network of one process for all else"
            )


def test_unlike_laws_are_refused(ranks: list[dict[str, Any]]) -> None:
    assert ranks[0]["laws"] == ""
    assert ranks[1]["laws"].startswith("every process must train with the same law, got Law(")
    assert ranks[1]["laws"].endswith("in rank 0; build the model alike in all of them")


def test_accelerate_trains_the_same_weights_in_both_processes(tmp_path: Path) -> None:
    pytest.importorskip("accelerate", reason="needs accelerate: pip install 'widthwise[loops]'")
    done = torchrun(tmp_path, "accelerate")
    assert done.returncode == 0, done.stderr
    ranks = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    assert ranks[0]["outer"] == "DistributedDataParallel"
    assert ranks[0]["drawn"] != ranks[1]["drawn"]
    for name, tensor in ranks[0]["state"].items():
        assert torch.equal(tensor, ranks[1]["state"][name])


def test_a_killed_process_ends_the_job_with_its_name(tmp_path: Path) -> None:
    done = torchrun(tmp_path, "die")
    assert done.returncode != 0
    assert "exitcode  : -9" in done.stderr
    assert "Signal 9 (SIGKILL) received" in done.stderr
