"""Scores for a curve of the stand-in, good ones and failing ones."""

import math

import torch
from torch import nn

from widthwise.curves.sweep import Evaluate
from widthwise.measure import Latency, time_latency

BATCH = torch.randn(20, 6, generator=torch.Generator().manual_seed(3))


def first_output(net: nn.Module) -> float:
    """A score that tells any two networks apart."""
    with torch.no_grad():
        return float(net(BATCH).sum())


def fails_below(units: int, result: object = None) -> Evaluate:
    def evaluate(net: nn.Module) -> float:
        if net[0].out_features >= units:
            return 0.5
        if isinstance(result, Exception):
            raise result
        return result  # pyright: ignore[reportReturnType]

    return evaluate


def fails_at(units: int) -> Evaluate:
    return lambda net: math.nan if net[0].out_features == units else 0.5


def short_time_latency(net: nn.Module, example_args: tuple[object, ...], **settings: object) -> Latency:
    return time_latency(net, example_args, **{**settings, "repeats": 5, "budget_s": 0.01})  # pyright: ignore[reportArgumentType]
