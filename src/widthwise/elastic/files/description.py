"""What a file of all widths holds of a model: its groups, its graph, its tensors, and where their numbers lie."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise.elastic.engines.traced import TracedEngine
from widthwise.elastic.files.levels import find_births
from widthwise.graph import Axes, Frozen, atoms_of
from widthwise.graph.example import name_leaves
from widthwise.groups import Group, Groups
from widthwise.slicing.assembly import name_inputs
from widthwise.slicing.elastic_onnx import ElasticProgram, Statistics
from widthwise.slicing.finish.calibrate import find_statistics
from widthwise.slicing.octave_inputs import OctaveCorrection, spread
from widthwise.slicing.running.cut import format_of
from widthwise.slicing.stored import Section, Stored, read_term, write_graph, write_term

__all__ = ["BIAS", "DIFFERENCE", "Measured", "Sections", "Tensors", "describe_model", "describe_program"]

Tensors = dict[str, Tensor]
Sections = dict[str, tuple[Section, Tensors]]
Measured = Sequence[tuple[Mapping[str, int], Tensors]]
Keys = Mapping[int, int]
Row = tuple[Stored, Tensor]

BIAS, DIFFERENCE = "unit_affine.", "octave_weights."
"""How the names of corrections of a parameter begin, in the section of their octave."""


def describe_model(
    groups: Groups, engine: TracedEngine, lowest: Mapping[str, int], measured: Measured
) -> tuple[dict[str, object], Sections]:
    """Return the description of a model's file as plain values, and its sections with their tensors.

    Args:
        groups: The width groups.
        engine: What runs the network.
        lowest: The units of each group at the narrowest width.
        measured: The widths that have BatchNorm statistics of their own, with these by name.

    Raises:
        ExportError: The network cannot be written down.
    """
    runner, net = engine.sliced.evaluation, engine.net
    keys = {group.key: position for position, group in enumerate(groups)}
    births = find_births(groups, lowest)
    every = {"weights": _list_state(engine, keys), **_list_octaves(engine, keys)}
    sections: Sections = {
        name: (Section([entry for entry, _ in rows], births), {entry.name: tensor for entry, tensor in rows})
        for name, rows in every.items()
    }
    for i, (_, values) in enumerate(measured):
        whole = [Stored(name=name, dtype=each.dtype, axes=_whole(each)) for name, each in values.items()]
        sections[f"statistics.{i}"] = Section(whole, {}), values
    example, axes = engine.example, runner.input_batch_axes
    return {
        "groups": [_describe_group(group, lowest[group.name]) for group in groups],
        "graph": write_graph(runner.program, name_inputs(net, example), example, keys, axes),
        "smallest": max(int(runner.program.trace.batch_range[0]), 1 if runner.single.is_traced else 2),
        "state": _describe_state(engine),
        "sections": {
            name: [_describe_entry(each, range(len(groups))) for each in section.entries]
            for name, (section, _) in sections.items()
        },
        "statistics": [list(widths.values()) for widths, _ in measured],
        "has_statistics": engine.has_statistics,
    }, sections


def describe_program(
    groups: Sequence[Group], engine: TracedEngine, measured: Measured, facts: Mapping[str, str]
) -> ElasticProgram:
    """Return what a program that takes the widths as inputs is written from.

    Args:
        groups: Those whose units are inputs.
        engine: What runs the network.
        measured: The widths below full that have BatchNorm statistics of their own, with these by name.
        facts: What a person may want to know of the file.
    """
    runner = engine.sliced.evaluation
    args, kwargs = engine.example_batch(3)
    names = name_leaves(engine.net, engine.example)
    return ElasticProgram(
        program=runner.program,
        state=runner.state(),
        leaves=pytree.tree_leaves((args, kwargs)),
        names=names if len(set(names)) == len(names) else [f"{name}.{i}" for i, name in enumerate(names)],
        batch_axes=runner.input_batch_axes,
        units={group.key: group.size for group in groups},
        groups=[group.name for group in groups],
        statistics=_order_statistics(groups, engine, measured) if measured else None,
        corrections=_list_corrections(engine),
        facts=facts,
    )


def _order_statistics(groups: Sequence[Group], engine: TracedEngine, measured: Measured) -> Statistics:
    """Return the statistics of each width, narrowest first and full width last, by default the network's own."""
    program, state = engine.sliced.evaluation.program, engine.sliced.evaluation.state()
    own = {entry.target: tensor for entry, tensor in zip(program.state, state, strict=True)}
    full = {name: own[name].detach() for name in find_statistics(program)}
    rows = {tuple(widths[group.name] for group in groups): values for widths, values in measured}
    rows = sorted(({tuple(group.size for group in groups): full} | rows).items(), key=lambda row: sum(row[0]))
    return Statistics(widths=[units for units, _ in rows], values=[values for _, values in rows])


def _list_corrections(engine: TracedEngine) -> dict[str, list[OctaveCorrection]]:
    """Return what each octave has of its own, by the names of the parameters; nothing where nothing was learned."""
    found: dict[str, list[OctaveCorrection]] = {}
    affine, weights = engine.unit_affine, engine.octave_weights
    moving = {group.key: group.size for group in engine.groups if group.follows}
    if affine is not None and not affine.is_zero():
        for name, rows in affine.split().items():
            found[name] = [OctaveCorrection(rows, axis=affine.axes[name], sizes=moving)]
    if weights is not None and not weights.is_zero():
        axes, own = engine.state_axes(), dict(engine.net.named_parameters(remove_duplicate=False))
        for name, differences in weights.differences.items():
            sizes = {atom.key: atom.size for term in axes[name] for atom in atoms_of(term) if atom.key in moving}
            rows = spread(differences, axes[name], own[name])
            found.setdefault(name, []).append(OctaveCorrection(rows, axis=None, sizes=sizes))
    return found


def _list_state(engine: TracedEngine, keys: Keys) -> list[Row]:
    """Return what the network holds; tied names once, by the first of them."""
    program, state = engine.sliced.evaluation.program, engine.sliced.evaluation.state()
    rows: dict[int, Row] = {}
    for entry, axes, tensor in zip(program.state, program.axes, state, strict=True):
        rows.setdefault(id(tensor), (_store(entry.target, axes, tensor, keys), tensor.detach()))
    return list(rows.values())


def _list_octaves(engine: TracedEngine, keys: Keys) -> dict[str, list[Row]]:
    """Return the corrections of each octave; none where nothing was learned."""
    found: dict[int, list[Row]] = {}
    program = engine.sliced.evaluation.program
    axes = {entry.target: terms for entry, terms in zip(program.state, program.axes, strict=True)}
    affine, weights = engine.unit_affine, engine.octave_weights
    if affine is not None and not affine.is_zero():
        for name, rows in affine.split().items():
            for octave, row in enumerate(rows.detach()):
                entry = _store(f"{BIAS}{name}", (axes[name][affine.axes[name]],), row, keys)
                found.setdefault(octave, []).append((entry, row))
    if weights is not None and not weights.is_zero():
        for name, differences in weights.differences.items():
            for octave, (tensor, own) in enumerate(differences):
                entry = _store(f"{DIFFERENCE}{name}", own, tensor, keys)
                found.setdefault(octave, []).append((entry, tensor.detach()))
    return {f"octave.{octave}": rows for octave, rows in sorted(found.items())}


def _store(name: str, axes: Axes, tensor: Tensor, keys: Keys) -> Stored:
    # As it will be read: atoms have the positions of their groups for keys, and units of no group are a size.
    return Stored(name=name, dtype=tensor.dtype, axes=tuple(read_term(write_term(term, keys)) for term in axes))


def _whole(tensor: Tensor) -> Axes:
    return tuple(Frozen(size, "stored") for size in tensor.shape)


def _describe_group(group: Group, lowest: int) -> dict[str, object]:
    return {
        "name": group.name,
        "size": group.size,
        "lower_bound": group.lower_bound,
        "step": group.step,
        "kind": group.kind,
        "follows": group.follows,
        "lowest": lowest,
    }


def _describe_state(engine: TracedEngine) -> list[dict[str, object]]:
    """Return what is known of each name in the network's state, in the order of the program."""
    runner, saved = engine.sliced.evaluation, engine.net.state_dict(keep_vars=True).keys()
    affine = {} if engine.unit_affine is None else engine.unit_affine.axes
    names: dict[int, str] = {}
    found: list[dict[str, object]] = []
    for entry, tensor in zip(runner.program.state, runner.state(), strict=True):
        described: dict[str, object] = {"name": entry.target, "tensor": names.setdefault(id(tensor), entry.target)}
        if isinstance(tensor, nn.Parameter):
            described["learns"] = tensor.requires_grad
        elif entry.target in saved:
            described["is_saved"] = True
        if format_of(tensor) != torch.contiguous_format:
            described["format"] = str(format_of(tensor)).removeprefix("torch.")
        if entry.target in affine:
            described["units"] = affine[entry.target]
        found.append(described)
    return found


def _describe_entry(entry: Stored, positions: Iterable[int]) -> list[object]:
    keys = {position: position for position in positions}
    return [entry.name, str(entry.dtype).removeprefix("torch."), [write_term(term, keys) for term in entry.axes]]
