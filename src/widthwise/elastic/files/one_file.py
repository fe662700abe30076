"""One file with the networks of all widths, from which a width is read without the rest."""

import json
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import final

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from widthwise._shared import DataError, ExportError, WidthError, WidthWarning, describe_environment, replace_file
from widthwise.elastic.caution import warn_of_statistics
from widthwise.elastic.elastic import Elastic
from widthwise.elastic.engines.traced import TracedEngine
from widthwise.elastic.files.description import Measured, Tensors, describe_model, describe_program
from widthwise.elastic.files.loading import ElasticFile
from widthwise.elastic.widths import Width
from widthwise.graph import Example
from widthwise.slicing import Agreement
from widthwise.slicing.elastic_onnx import read_onnx, write_onnx
from widthwise.slicing.finish.calibrate import find_statistics
from widthwise.slicing.stored import write_file

__all__ = ["Saved", "save_elastic"]

_ONE_BY_ONE = "extract the widths that you need one by one"


@final
@dataclass(frozen=True, kw_only=True, slots=True)
class Saved:
    """A file of all widths that was checked.

    Attributes:
        path: The file.
        size_bytes: Its size.
        lowest: The units of each group at the narrowest width that it holds.
        checked: The widths at which it was read back and compared with the model.
    """

    path: Path
    size_bytes: int
    lowest: Mapping[str, int]
    checked: tuple[Mapping[str, int], ...]


def save_elastic(
    model: Elastic,
    path: str | Path,
    *,
    widths: Sequence[Width] | None = None,
    calibrate: Iterable[object] | None = None,
) -> Saved:
    """Write an elastic model to one file that holds every width, from the `lowest` of its law on.

    From a .safetensors file `load` reads the network of a width and no more than that; gains, biases and weights of
    octaves are in it. An .onnx file is a program for ONNX Runtime that takes, besides the network's inputs, the units
    of each group that a fraction moves, as int64 scalars named "width." and the group. It is compared with the model at
    several widths, and so is the other.

    Args:
        model: The elastic model.
        path: Its suffix names the format: .safetensors or .onnx.
        widths: At which BatchNorm statistics are measured and stored; by default those of the law, or its octaves. An
            .onnx file takes at another width those of the nearest one.
        calibrate: A loader of training samples for these, which is read once for each of the widths.

    Raises:
        ExportError: The suffix is unknown, the network cannot be stored, or the file does not hold what the model
            computes; nothing is left behind.
        MissingExtraError: .onnx needs the extra `export`.
        WidthError: A width is out of range, or `widths` stand without `calibrate`.
        DataError: The loader can be read only once, or is empty.

    Warns:
        WidthWarning: BatchNorm without `calibrate`.

    Example:
        >>> import tempfile
        >>> net = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
        >>> model = Elastic(net, (torch.zeros(2, 8),))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     save_elastic(model, Path(folder) / "all.safetensors").lowest
        {'0': 2}
    """
    target = Path(path)
    if target.suffix not in _FORMATS:
        raise ExportError(
            f"expected a file name ending in one of {', '.join(_FORMATS)}, got {target.name!r}; choose one of these"
        )
    if widths is not None and calibrate is None:
        raise WidthError(
            "widths= says where BatchNorm statistics are measured, got no calibrate= to measure them on; pass a loader "
            "of training samples, or leave out widths"
        )
    engine = _find_engine(model)
    # Groups that move by name only are stored as a whole, and any number of their units can be read.
    lowest = {group.name: group.units_at(model.law.lowest) if group.follows else 1 for group in model.groups}
    grid = _resolve_grid(model, widths, calibrate, lowest) if model.has_statistics and calibrate is not None else []
    measured = [(each, _measure(engine, each, calibrate)) for each in grid]
    if calibrate is None and model.has_statistics:
        advice = "pass calibrate=loader, of training samples"
        warn_of_statistics(lowest, model.groups, advice, runs_full=model.law.runs_full, stacklevel=2)
    with replace_file(target, error=ExportError) as temporary:
        try:
            checked = _FORMATS[target.suffix](model, engine, temporary, lowest, measured)
        except OSError as cause:
            raise ExportError(
                f"expected to be able to write {target}, got: {cause.strerror}; make room, or give another path"
            ) from cause
    return Saved(path=target, size_bytes=target.stat().st_size, lowest=lowest, checked=tuple(checked))


def _save_safetensors(
    model: Elastic, engine: TracedEngine, path: Path, lowest: Mapping[str, int], measured: Measured
) -> list[Mapping[str, int]]:
    """Write a file and compare it with the model; return the widths at which that was done."""
    description, sections = describe_model(model.groups, engine, lowest, measured)
    write_file(path, sections, description, _facts(model, lowest))
    file, example = ElasticFile(path), _on_cpu(engine.example)
    probes = _choose_probes(model, lowest, measured)
    for widths in probes:
        expected = _extract(engine, widths, measured)
        with warnings.catch_warnings(action="ignore", category=WidthWarning):
            found = file.load(widths)
        same = Agreement(expected, example, engine.input_batch_axes)
        if not _same_state(found, expected) or not same.holds(found):
            raise _refuse(path, widths)
    return probes


def _save_onnx(
    model: Elastic, engine: TracedEngine, path: Path, lowest: Mapping[str, int], measured: Measured
) -> list[Mapping[str, int]]:
    """Write a file and compare it with the model; return the widths at which that was done."""
    groups = [group for group in model.groups if group.follows and lowest[group.name] < group.size]
    elastic = describe_program(groups, engine, measured, _facts(model, lowest))
    write_onnx(elastic, path)
    run = read_onnx(path, engine.sliced.evaluation.program.trace.output_spec)
    example, axes = _on_cpu(engine.example), engine.input_batch_axes
    tried = [example]
    if engine.sliced.evaluation.single.is_traced:
        args, kwargs = engine.example_batch(1)
        tried.append(_on_cpu(Example(args=args, kwargs=kwargs)))
    narrowest = {group.name: group.units_at(model.law.lowest) for group in model.groups}
    probes = _choose_probes(model, narrowest, measured)
    if measured:
        # Between two widths that were measured the file takes what was measured at one of them.
        own = [model.groups.sizes, *(widths for widths, _ in measured)]
        probes = [widths for widths in probes if widths in own]
    for widths in probes:
        expected, found = _extract(engine, widths, measured), run([widths[group.name] for group in groups])
        if not all(Agreement(expected, inputs, axes).holds(found) for inputs in tried):
            raise _refuse(path, widths)
    return probes


def _choose_probes(model: Elastic, lowest: Mapping[str, int], measured: Measured) -> list[Mapping[str, int]]:
    middle = {group.name: max(lowest[group.name], group.units_at(0.5)) for group in model.groups}
    every = [lowest, middle, model.groups.sizes, *(widths for widths, _ in measured)]
    return list({tuple(widths.values()): widths for widths in every}.values())


def _extract(engine: TracedEngine, widths: Mapping[str, int], measured: Measured) -> nn.Module:
    """Return the plain network at a width, with the statistics that were measured there, on the CPU."""
    small = engine.extract(widths, calibrate=None, refit=None, form="graph")
    for own, values in measured:
        if own == widths:
            for name, value in values.items():
                small.get_buffer(name).copy_(value)
    return small.cpu()


def _refuse(path: Path, widths: Mapping[str, int]) -> ExportError:
    return ExportError(
        f"expected {path.suffix} to give what the model computes, got something else at {dict(widths)}; the file was "
        f"not kept: please report this, and {_ONE_BY_ONE}"
    )


def _find_engine(model: Elastic) -> TracedEngine:
    engine = model.engine
    if not isinstance(engine, TracedEngine):
        raise ExportError(
            "expected a network that is traced as a whole, got one with a submodule= or with groups= that are named; "
            f"{_ONE_BY_ONE}"
        )
    if model.law.rescale != "none":
        raise ExportError(
            f"expected a law without rescale, got rescale={model.law.rescale!r}, with which no weight is the same at "
            f"two widths; {_ONE_BY_ONE}"
        )
    return engine


def _resolve_grid(
    model: Elastic, widths: Sequence[Width] | None, calibrate: Iterable[object] | None, lowest: Mapping[str, int]
) -> list[dict[str, int]]:
    """Return the widths at which statistics are measured, each once; full width too where training did not run it."""
    if widths is None:
        octaves = [2.0**-i for i in range(1, math.floor(-math.log2(model.law.lowest)) + 1)]
        widths = model.law.levels or [*octaves, model.law.lowest]
    own = model.groups.sizes if model.law.runs_full else None
    grid = [model.widths(width) for width in widths] + ([] if own else [model.groups.sizes])
    for each in grid:
        for name, least in lowest.items():
            if each[name] < least:
                raise WidthError(
                    f"kept must lie in [{least}, {model.groups.sizes[name]}] (width of {name}, drawn by the law), got "
                    f"{each[name]}; a file holds the widths that training saw"
                )
    found = list({tuple(each.values()): each for each in grid if each != own}.values())
    if len(found) > 1 and iter(calibrate or ()) is calibrate:
        raise DataError(
            f"calibrate must be a loader that can be read once for each of {len(found)} widths, got an iterator; pass "
            "a list of batches or a DataLoader"
        )
    return found


def _measure(engine: TracedEngine, widths: Mapping[str, int], calibrate: Iterable[object] | None) -> Tensors:
    small = engine.extract(widths, calibrate=calibrate, refit=None, form="graph")
    return {name: small.get_buffer(name) for name in find_statistics(engine.sliced.evaluation.program)}


def _same_state(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.equal(tensor.cpu().nan_to_num(), theirs[name].cpu().nan_to_num()) for name, tensor in ours.items()
    )


def _on_cpu(example: Example) -> Example:
    args, kwargs = pytree.tree_map_only(Tensor, lambda x: x.cpu(), (example.args, example.kwargs))
    return Example(args=args, kwargs=kwargs)


def _facts(model: Elastic, lowest: Mapping[str, int]) -> dict[str, str]:
    environment = describe_environment()
    return {
        "made_by": f"widthwise {environment['widthwise']}",
        "torch": str(environment["torch"]),
        "widths": json.dumps(model.groups.sizes),
        "lowest": json.dumps(dict(lowest)),
    }


_FORMATS = {".safetensors": _save_safetensors, ".onnx": _save_onnx}
