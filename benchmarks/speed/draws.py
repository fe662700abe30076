"""Few draws of a law that stand for all: how long a step takes depends on its widths, and chance must not choose them.

A law that draws one width per step has steps of very unequal length: of the mean of twenty, a fifth or more is luck.
"""

from statistics import fmean

import torch

from widthwise import Elastic, Law

__all__ = ["find_even_seeds", "mean_macs"]

# As many seeds, from 0 on, are tried.
_POOL = 4096
# Of a group that tells fractions apart.
_UNITS = 2**16


def find_even_seeds(law: Law, number: int) -> list[int]:
    """Return seeds of a generator with which a law draws evenly: from narrow steps to wide ones, in this order.

    All draws of 4096 seeds are put in the order of their work, the mean of fraction squared, and cut into `number`
    equal shares; of each share the draw in its middle is taken. They are the same ones every time.

    Args:
        law: One that splits the batch or draws one width per step; its groups share a fraction.
        number: How many.
    """
    generator = torch.Generator()

    def work(seed: int) -> float:
        draws = law.draw({"units": _UNITS}, generator.manual_seed(seed))
        return fmean((draw["units"] / _UNITS) ** 2 for draw in draws)

    ordered = sorted(range(_POOL), key=work)
    return [ordered[(2 * share + 1) * _POOL // (2 * number)] for share in range(number)]


def mean_macs(model: Elastic, seeds: list[int]) -> float:
    """Return the mean forward multiply-accumulates of a sample over the steps that these seeds draw."""
    drawn = {group.name: group for group in model.groups if group.follows}
    sizes = {name: group.size for name, group in drawn.items()}
    bounds = {name: group.lower_bound for name, group in drawn.items()}
    generator = torch.Generator()
    steps = [model.law.draw(sizes, generator.manual_seed(seed), lower_bounds=bounds) for seed in seeds]
    return fmean(fmean(model.macs(draw) for draw in step) for step in steps)
