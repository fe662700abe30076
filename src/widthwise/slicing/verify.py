"""Verify a network's width groups: four independent checks at random widths, on the network itself."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch

from widthwise._shared import GroupError
from widthwise.groups import Group
from widthwise.slicing.checks import FullRun, NodeFailure, check_masked, check_order, check_restriction, check_shapes
from widthwise.slicing.network import SlicedNetwork

__all__ = ["Verification", "verify_network"]

# What an operator of each class does with the units that are cut.
_VERBS = {"L": "carry", "Z": "sum over", "C": "count or compare"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """What the checks found.

    Attributes:
        widths: The widths at which shapes, values and the masked network were compared.
        classes: The class of each operator that touches a group: L (carries units), Z (sums over them), C (counts them
            or compares them).
        failures: The operators that failed a check.
        frozen: The groups that failed a check before and keep their size since, by name, with the reason.
    """

    widths: tuple[Mapping[str, int], ...]
    classes: Mapping[str, str]
    failures: tuple[NodeFailure, ...]
    frozen: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def is_sound(self) -> bool:
        """Whether every check passed."""
        return not self.failures

    def raise_on_failure(self) -> None:
        """Do nothing if every check passed.

        Raises:
            GroupError: A check failed; the message names the operator.
        """
        if self.failures:
            first, *others = self.failures
            more = f" ({len(others)} more)" if others else ""
            raise GroupError(
                f"every operator must give at a width what the groups say, but {first}{more}; please report this "
                "operator, and place ww.StructuralDropout by hand meanwhile"
            )

    def __str__(self) -> str:
        """Return a summary."""
        counts = Counter(self.classes.values())
        listed = ", ".join(f"{counts[name]} {verb} them ({name})" for name, verb in _VERBS.items() if counts[name])
        failed = f"{len(self.failures)} failures: " + "; ".join(map(str, self.failures))
        verdict = "sound" if self.is_sound else failed
        text = f"{verdict} at {len(self.widths)} widths; operators that touch units: {listed or 'none'}"
        frozen = "; ".join(f"{name} ({reason})" for name, reason in self.frozen.items())
        return f"{text}; frozen: {frozen}" if frozen else text


def verify_network(network: SlicedNetwork, *, num_widths: int = 3, seed: int = 0) -> Verification:
    """Run the shape certificate, node permutation, node restriction and masked oracle on a network in evaluation mode.

    Args:
        network: The network with its groups.
        num_widths: How many random sets of unequal widths; each group is also cut to one unit, at once with others that
            no operator sees together with it.
        seed: Of widths, inputs and shuffles.
    """
    generator = torch.Generator().manual_seed(seed)
    full = FullRun(network.evaluation, network.example.leaves(), generator)
    failures: list[NodeFailure] = []
    classes: dict[str, str] = {}
    tried: list[dict[str, int]] = []
    for widths in _draw_widths(full, list(network.groups), num_widths, generator):
        kept = network.kept(widths)
        found = check_shapes(full, kept)
        if not found:
            node_classes, found = check_restriction(full, kept)
            classes.update({name: _stronger(classes.get(name), kind) for name, kind in node_classes.items()})
            found = found + check_masked(full, kept)
        failures += found
        tried.append(widths)
    failures += check_order(full, generator)
    first = {(failure.check, failure.node): failure for failure in reversed(failures)}
    return Verification(widths=tuple(tried), classes=classes, failures=tuple(reversed(first.values())))


def _draw_widths(
    full: FullRun, groups: list[Group], num_widths: int, generator: torch.Generator
) -> Iterator[dict[str, int]]:
    for _ in range(num_widths):
        yield {group.name: int(torch.randint(1, group.size + 1, (), generator=generator)) for group in groups}
    for apart in _set_apart(full, groups):
        yield {group.name: 1 for group in apart}


def _set_apart(full: FullRun, groups: list[Group]) -> list[list[Group]]:
    """Return groups in a few lists, such that no operator touches two of one list: to it, one is cut alone."""
    met: dict[int, set[int]] = {}
    for node in full.operators():
        keys = full.atoms(node).keys()
        for key in keys:
            met.setdefault(key, set()).update(keys)
    lists: list[list[Group]] = []
    for group in groups:
        free = next((each for each in lists if not any(other.key in met[group.key] for other in each)), None)
        if free is None:
            lists.append([group])
        else:
            free.append(group)
    return lists


def _stronger(one: str | None, other: str) -> str:
    """Of two classes of one node at two widths, the one that asks for more."""
    return max(one or "L", other, key="LZC".index)
