"""A small model that answers what a curve asks of an elastic one: an MLP whose hidden layers are cut by hand."""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from torch import Tensor, nn

from widthwise._shared import WidthError
from widthwise.curves import Point

SIZES = {"fc1": 32, "fc2": 16}
INPUTS, OUTPUTS = 6, 3


@dataclass
class StandIn:
    """An MLP with two hidden layers, 6-32-16-3, whose first units are kept."""

    net: nn.Sequential
    law: SimpleNamespace
    calls: list[dict[str, int]]
    calibrations: list[object]

    @property
    def has_statistics(self) -> bool:
        return any(isinstance(module, nn.BatchNorm1d) and module.track_running_stats for module in self.net)

    def widths(self, width: float | Mapping[str, int | float] | Point, /) -> dict[str, int]:
        if isinstance(width, Point):
            return dict(width.widths)
        if isinstance(width, Mapping):
            return {group: int(width.get(group, size)) for group, size in SIZES.items()}
        if not 0 < width <= 1:
            raise WidthError(f"width must lie in (0, 1], got {width}; use 1.0")
        return {group: max(1, int(width * size + 0.5)) for group, size in SIZES.items()}

    def extract(
        self, width: float | Mapping[str, int | float] | Point, /, *, calibrate: Iterable[object] | None = None
    ) -> nn.Module:
        units = self.widths(width)
        self.calls.append(units)
        self.calibrations.append(calibrate)
        small = copy.deepcopy(self.net)
        first, second = units["fc1"], units["fc2"]
        for index, rows, columns in ((0, first, INPUTS), (2, second, first), (4, OUTPUTS, second)):
            layer = small[index]
            layer.weight = nn.Parameter(layer.weight.detach()[:rows, :columns].clone())
            layer.bias = nn.Parameter(layer.bias.detach()[:rows].clone())
            layer.in_features, layer.out_features = columns, rows
        return small

    def macs(self, width: float | Mapping[str, int | float] | Point, /) -> int:
        first, second = self.widths(width).values()
        return INPUTS * first + first * second + second * OUTPUTS

    def memory_bytes(self, width: float | Mapping[str, int | float] | Point, /) -> int:
        """The input, which stays, and the two activations of a layer."""
        first, second = self.widths(width).values()
        return 4 * (INPUTS + max(2 * first, first + second, 2 * second, second + OUTPUTS))

    def example_batch(self, size: int, /) -> tuple[tuple[object, ...], dict[str, object]]:
        return (torch.zeros(size, INPUTS),), {}

    def state_dict(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def elastic_state(self) -> dict[str, Tensor]:
        return {}


def make_stand_in(lowest: float = 1 / 8, *, seed: int = 0) -> StandIn:
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(
        nn.Linear(INPUTS, SIZES["fc1"]),
        nn.ReLU(),
        nn.Linear(SIZES["fc1"], SIZES["fc2"]),
        nn.ReLU(),
        nn.Linear(16, OUTPUTS),
    )
    for parameter in net.parameters():
        nn.init.normal_(parameter, generator=generator)
    return StandIn(net=net, law=SimpleNamespace(lowest=lowest, runs_full=True), calls=[], calibrations=[])
