"""What each of several processes does in tests/elastic/test_ranks_processes.py: `torchrun ... processes.py FOLDER JOB`.

Each process writes what it saw to FOLDER; the tests compare that with one process.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.distributed import checkpoint
from torch.distributed.fsdp import fully_shard
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from widthwise._shared import TraceError, WidthError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.drawing import Drawing

LAW = Law(lowest=1 / 16)
SANDWICH = Law(lowest=1 / 16, sandwich=4)
OWN = Law(lowest=1 / 16, chunks=1, widths=5, unit_affine=True, octave_weights=True)
SIZES = ((9, 9), (9, 2), (8, 8))  # of the batches of both processes, step by step


def make_net() -> nn.Module:
    """The same network everywhere, with layers of odd sizes, which shard unevenly."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = nn.Sequential(nn.Linear(6, 64), nn.ReLU(), nn.Linear(64, 33), nn.Tanh(), nn.Linear(33, 5)).double()
    return net.train()


def make_model(seed: int, **settings: Any) -> Elastic:
    settings = {"law": LAW, "generator": torch.Generator().manual_seed(seed), **settings}
    return Elastic(make_net(), (torch.zeros(2, 6, dtype=torch.float64),), **settings)


def batch(step: int, rank: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(10 * step + rank)
    size = SIZES[step][rank]
    x = torch.randn(size, 6, generator=generator, dtype=torch.float64)
    return x, torch.randint(0, 5, (size,), generator=generator)


def whole(tensor: Any) -> Tensor:
    return (tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor).detach().clone()


def train(model: Elastic, outer: nn.Module, rank: int) -> dict[str, Any]:
    """Take the steps; returns the widths drawn, what chooses among them, and gradients and parameters of each step."""
    drawn: list[Any] = []
    run = model._engine.run_drawn

    def spy(drawing: Drawing, *inputs: Any) -> Any:
        drawn.append((drawing.widths(), drawing.chooser.get_state()))
        return run(drawing, *inputs)

    model._engine.run_drawn = spy
    optimiser = torch.optim.SGD(outer.parameters(), lr=0.1)
    seen: list[Any] = []
    for step in range(len(SIZES)):
        x, y = batch(step, rank)
        optimiser.zero_grad()
        cross_entropy(outer(x), y).backward()
        before = {name: whole(parameter) for name, parameter in model.net.named_parameters()}
        grads = {name: whole(parameter.grad) for name, parameter in model.net.named_parameters()}
        seen.append({"parameters": before, "grads": grads})
        optimiser.step()
    return {"drawn": drawn, "steps": seen, "generator": model.generator.get_state()}


class Loss(nn.Module):
    """What docs/loops.md wraps for DistributedDataParallel: the loss of an elastic model."""

    def __init__(self, model: Elastic) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.model.loss((x, y), cross_entropy)


def shard(model: nn.Module) -> nn.Module:
    fully_shard(model)
    return model


def train_sandwich(model: Elastic, rank: int, wrap: Callable[[nn.Module], nn.Module]) -> list[Any]:
    """Take the steps; returns the widths, and the gradients and parameters, of each."""
    outer = wrap(Loss(model))
    optimiser = torch.optim.SGD(outer.parameters(), lr=0.1)
    seen: list[Any] = []
    for step in range(len(SIZES)):
        optimiser.zero_grad()
        outer(*batch(step, rank)).backward()
        parameters = {name: whole(parameter) for name, parameter in model.net.named_parameters()}
        grads = {name: whole(parameter.grad) for name, parameter in model.net.named_parameters()}
        seen.append({"widths": model.last_widths, "parameters": parameters, "grads": grads})
        optimiser.step()
    return seen


def train_own(model: Elastic, rank: int, wrap: Callable[[nn.Module], nn.Module]) -> list[Any]:
    """Take the steps; returns the widths, and the gradients and parameters of the whole model, of each."""
    outer = wrap(model)
    optimiser = torch.optim.SGD(outer.parameters(), lr=0.1)
    seen: list[Any] = []
    for step in range(len(SIZES)):
        x, y = batch(step, rank)
        optimiser.zero_grad()
        cross_entropy(outer(x), y).backward()
        parameters = {name: whole(parameter) for name, parameter in model.named_parameters()}
        grads = {name: whole(each.grad) for name, each in model.named_parameters() if each.grad is not None}
        seen.append({"widths": model.last_widths, "parameters": parameters, "grads": grads})
        optimiser.step()
    return seen


def message(call: Callable[[], object]) -> str:
    try:
        call()
    except (TraceError, WidthError) as error:
        return str(error)
    return ""


def work(folder: Path, rank: int) -> None:
    found: dict[str, Any] = {}
    # Seeds differ, as where every process is seeded with its rank.
    for mode in ("spread", "same"):
        model = make_model(rank, across_ranks=mode)
        found[f"ddp-{mode}"] = train(model, DistributedDataParallel(model), rank)

    for mode, wrap in (("ddp", DistributedDataParallel), ("fsdp", shard)):
        found[f"{mode}-own"] = train_own(make_model(rank, law=OWN), rank, wrap)
        found[f"{mode}-sandwich"] = train_sandwich(make_model(rank, law=SANDWICH), rank, wrap)

    model = make_model(rank)
    fully_shard(model)
    found["fsdp"] = train(model, model, rank)
    checkpoint.save({"net": model.state_dict()}, checkpoint_id=folder / "checkpoint")
    found["fsdp-parameters"] = {name: whole(parameter) for name, parameter in model.state_dict().items()}
    found["fsdp-extract"] = message(lambda: model.extract(0.5))

    model = make_model(0)
    fully_shard(model.net[2])
    fully_shard(model)
    found["fsdp-parts"] = message(lambda: model(batch(0, rank)[0]))

    model = make_model(0, law=Law(lowest=1 / (8 + rank)))
    found["laws"] = message(lambda: model(batch(0, rank)[0]))
    torch.save(found, folder / f"{rank}.pt")


def accelerate(folder: Path, rank: int) -> None:
    from accelerate import Accelerator

    model = make_model(0)
    accelerator = Accelerator(cpu=True)
    prepared, optimizer = accelerator.prepare(model, torch.optim.SGD(model.parameters(), lr=0.1))
    drawn: list[Any] = []
    for step in range(len(SIZES)):
        x, y = batch(step, rank)
        accelerator.backward(cross_entropy(prepared(x), y))
        optimizer.step()
        optimizer.zero_grad()
        drawn.append(model.last_widths)
    torch.save({"outer": type(prepared).__name__, "drawn": drawn, "state": model.state_dict()}, folder / f"{rank}.pt")


def die(rank: int) -> None:
    model = make_model(0)
    outer = DistributedDataParallel(model)
    for step in range(len(SIZES)):
        if step == 1 and rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        x, y = batch(step, rank)
        cross_entropy(outer(x), y).backward()


if __name__ == "__main__":
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    if sys.argv[2] == "work":
        work(Path(sys.argv[1]), dist.get_rank())
    elif sys.argv[2] == "accelerate":
        accelerate(Path(sys.argv[1]), dist.get_rank())
    else:
        die(dist.get_rank())
    dist.barrier()
    dist.destroy_process_group()
