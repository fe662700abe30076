"""What a traced graph reads of its network: parameters, buffers, constants, and numbers worked out of these."""

from dataclasses import dataclass

from torch import Tensor
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind

from widthwise.graph.constant import lift_tables
from widthwise.graph.spectral import Prologue, take_out_norms

__all__ = ["StateInput", "read_state"]


@dataclass(frozen=True, kw_only=True, slots=True)
class StateInput:
    """A parameter, buffer or constant that the graph reads.

    Attributes:
        placeholder: Its placeholder.
        target: Its name in the network, or in `Trace.constants`.
        kind: Which of these it is.
        is_made: Whether it is a constant that stands for an operator on plain numbers.
    """

    placeholder: str
    target: str
    kind: InputKind
    is_made: bool = False

    @property
    def is_held(self) -> bool:
        """Whether nobody learns it: a buffer or a constant."""
        return self.kind is not InputKind.PARAMETER

    @property
    def is_constant(self) -> bool:
        """Whether the trace holds it, and not the network by name."""
        return self.kind not in (InputKind.PARAMETER, InputKind.BUFFER)


def read_state(
    program: ExportedProgram, mutations: dict[str, str]
) -> tuple[tuple[StateInput, ...], dict[str, Tensor], Prologue | None]:
    """Return what the graph reads, the tables lifted out of it by name, and the norms taken out of it; in place.

    Args:
        program: The exported and functional program.
        mutations: Buffers by the name of the node that holds their new value; those of norms are taken out.
    """
    specs = program.graph_signature.input_specs
    inputs = {spec.arg.name for spec in specs if spec.kind == InputKind.USER_INPUT}
    entries = [
        StateInput(placeholder=spec.arg.name, target=spec.target or "", kind=spec.kind)
        for spec in specs
        if spec.kind != InputKind.USER_INPUT
    ]
    prologue = take_out_norms(program.graph, {entry.placeholder: entry.target for entry in entries}, mutations)
    numbers = () if prologue is None else prologue.numbers
    constant = InputKind.CONSTANT_TENSOR
    entries += [StateInput(placeholder=f"c_{target}", target=target, kind=constant) for target in numbers]
    tables = lift_tables(program.graph, {entry.placeholder for entry in entries if entry.is_held}, inputs)
    entries += [StateInput(placeholder=f"c_{target}", target=target, kind=constant, is_made=True) for target in tables]
    left = {node.name for node in program.graph.find_nodes(op="placeholder")}
    return tuple(entry for entry in entries if entry.placeholder in left), tables, prologue
