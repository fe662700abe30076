"""Refit the head of an extracted network on the features that its narrower body gives.

The head was trained for all widths at once. With the body fixed, the best head for one width is a convex problem:
multinomial logistic regression with a quadratic pull towards the trained head, solved by L-BFGS from there.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx
from torch.nn import functional

from widthwise._shared import GroupError
from widthwise.slicing.finish.head import Head
from widthwise.slicing.running.program import Program

__all__ = ["refit_head"]


def refit_head(
    program: Program,
    sizes: Sequence[int | float],
    state: Mapping[str, Tensor],
    head: Head,
    batches: Iterable[tuple[Sequence[Any], Tensor]],
    *,
    strength: float = 1e-4,
    num_iterations: int = 100,
) -> None:
    """Refit the head's weight and bias in place.

    Args:
        program: The network traced in evaluation mode.
        sizes: Its table of sizes.
        state: Its sliced state by name.
        head: Where its head is.
        batches: (input leaves, labels) with int64 labels of shape (batch,); all features are held in memory.
        strength: Of the pull towards the trained head: times the mean square of the features, added to the mean loss.
        num_iterations: L-BFGS iterations at most.

    Raises:
        GroupError: There is no batch, the labels are not classes, or the features are not one vector per sample.
    """
    features, labels = _collect(program, sizes, state, head, batches)
    weight, bias = state[head.weight], state[head.bias]
    start = torch.cat([weight.detach(), bias.detach()[:, None]], dim=1).double()
    inputs = torch.cat([features.double(), features.new_ones(len(features), 1, dtype=torch.float64)], dim=1)
    pull = strength * inputs.square().mean(dim=0)
    solution = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([solution], max_iter=num_iterations, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = functional.cross_entropy(inputs @ solution.T, labels) + (pull * (solution - start).square()).sum()
        loss.backward()
        return loss

    optimiser.step(closure)
    with torch.no_grad():
        weight.copy_(solution[:, :-1])
        bias.copy_(solution[:, -1])


@torch.no_grad()
def _collect(
    program: Program,
    sizes: Sequence[int | float],
    state: Mapping[str, Tensor],
    head: Head,
    batches: Iterable[tuple[Sequence[Any], Tensor]],
) -> tuple[Tensor, Tensor]:
    interpreter = _Features(program, head.features)
    tensors = [state[entry.target] for entry in program.state]
    num_classes = state[head.bias].shape[0]
    features: list[Tensor] = []
    labels: list[Tensor] = []
    for leaves, targets in batches:
        _check_labels(targets, num_classes)
        interpreter.run(sizes, *tensors, *leaves)
        features.append(interpreter.features)
        labels.append(targets.long())
    if not features:
        raise GroupError("refit needs at least one batch, got an empty loader; pass training samples")
    if features[0].dim() != 2:
        raise GroupError(
            f"refit needs one vector of features per sample, got features of shape {tuple(features[0].shape)}; "
            "leave out refit= for this network"
        )
    return torch.cat(features), torch.cat(labels)


def _check_labels(labels: Any, num_classes: int) -> None:
    if not isinstance(labels, Tensor) or labels.is_floating_point() or labels.dim() != 1:
        got = f"{labels.dtype} of shape {tuple(labels.shape)}" if isinstance(labels, Tensor) else type(labels).__name__
        raise GroupError(
            f"refit needs class labels, whole numbers of shape (batch,), got {got}; pass a loader of these"
        )
    if labels.numel() and not 0 <= int(labels.min()) <= int(labels.max()) < num_classes:
        raise GroupError(
            f"refit needs labels in [0, {num_classes}), the outputs of the network, got {int(labels.min())} to "
            f"{int(labels.max())}; number the classes from 0"
        )


class _Features(fx.Interpreter):
    """Runs the graph and keeps the head's input."""

    def __init__(self, program: Program, node: fx.Node) -> None:
        super().__init__(program.module)
        self.extra_traceback = False
        self._node = node
        self.features = torch.empty(0)

    def run_node(self, n: fx.Node) -> Any:
        """Run one node; keep its value if it is the head's input."""
        value = super().run_node(n)
        if n is self._node:
            self.features = value
        return value
