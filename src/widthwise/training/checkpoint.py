"""What a training needs to go on exactly where it was: a folder per finished epoch, safetensors and JSON, no code.

A folder is written under a temporary name and renamed when it is whole; the caller then records the epoch as finished
(in run.json) and only after that are older folders removed. So at any moment the recorded epoch has its folder.
`state.json` holds the checksums of the other two files, and run.json that of `state.json`.
"""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from widthwise._shared import RunError, read_json, write_json
from widthwise.training.checksum import compute_checksum
from widthwise.training.tree import join_tensors, split_tensors

__all__ = ["Checkpoint", "drop_checkpoints", "load_checkpoint", "read_weights", "save_checkpoint", "write_weights"]

_SCHEMA = 1
_WEIGHTS, _TENSORS, _STATE = "weights.safetensors", "state.safetensors", "state.json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """The weights of a network by name, and the state of all else that training carries, such as the optimiser."""

    weights: Mapping[str, Tensor]
    state: Mapping[str, object]

    def read_kept(self) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        """Return what a finished run keeps, weights and other tensors: of the best epoch where one is remembered."""
        best = cast("Mapping[str, Mapping[str, Tensor]]", self.state.get("best", {}))
        if best:
            return best["weights"], best["elastic"]
        return self.weights, cast("Mapping[str, Tensor]", self.state["elastic"])


def save_checkpoint(folder: Path, epoch: int, checkpoint: Checkpoint) -> str | None:
    """Write the checkpoint after `epoch` finished epochs, and return the sha256 that `load_checkpoint` asks for.

    Older ones stay (see `drop_checkpoints`).

    Args:
        folder: The run's folder of checkpoints, made if missing.
        epoch: Number of finished epochs.
        checkpoint: What to write.

    Raises:
        RunError: Where the folder cannot be written.
    """
    content, tensors = split_tensors(checkpoint.state, "state")
    target = _place(folder, epoch)
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_weights(partial / _WEIGHTS, checkpoint.weights)
        write_weights(partial / _TENSORS, tensors)
        sums = {name: compute_checksum(partial / name) for name in (_WEIGHTS, _TENSORS)}
        write_json(partial / _STATE, {"schema": _SCHEMA, "epoch": epoch, "sha256": sums, "state": content})
        checksum = compute_checksum(partial / _STATE)
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    except OSError as cause:
        raise RunError(
            f"expected to be able to write the checkpoint {target}, got: {cause}; free space or give another path"
        ) from cause
    return checksum


def load_checkpoint(folder: Path, epoch: int, *, sha256: str | None) -> Checkpoint:
    """Return the checkpoint after `epoch` finished epochs, every file of it checked first.

    Args:
        folder: The run's folder of checkpoints.
        epoch: Number of finished epochs.
        sha256: What `save_checkpoint` returned; None, where that is not known, fits no checkpoint.

    Raises:
        RunError: Where it is missing, damaged or of another schema.
    """
    place = _place(folder, epoch)
    _check(place / _STATE, sha256)
    content = read_json(place / _STATE, schema=_SCHEMA, what="checkpoint", remedy=_REMEDY)
    sums = content.get("sha256")
    for name in (_WEIGHTS, _TENSORS):
        _check(place / name, cast("dict[str, object]", sums).get(name) if isinstance(sums, dict) else None)
    try:
        state = join_tensors(content["state"], read_weights(place / _TENSORS))
    except (KeyError, TypeError, ValueError) as cause:
        raise RunError(_damaged_state(place)) from cause
    if not isinstance(state, dict):
        raise RunError(_damaged_state(place))
    return Checkpoint(weights=read_weights(place / _WEIGHTS), state=cast("dict[str, object]", state))


def drop_checkpoints(folder: Path, *, keep: int) -> None:
    """Remove every checkpoint but the one after `keep` finished epochs, unfinished ones included."""
    kept = _place(folder, keep)
    for entry in folder.iterdir():
        if entry != kept:
            shutil.rmtree(entry, ignore_errors=True)


def write_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write tensors by name as safetensors, copied, so that tied and strided ones can be written too."""
    save_file({name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}, path)


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file by name.

    Raises:
        RunError: Where the file is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError as cause:
        raise RunError(f"expected weights in {path}, got no such file; {_REMEDY}") from cause
    except (SafetensorError, OSError, ValueError) as cause:
        raise RunError(f"expected weights in {path}, got a damaged file ({cause}); {_REMEDY}") from cause


_REMEDY = "restore the file, or train again with --overwrite"


def _damaged_state(place: Path) -> str:
    return f"checkpoint: expected the state of a training in {place / _STATE}, got damaged content; {_REMEDY}"


def _place(folder: Path, epoch: int) -> Path:
    return folder / f"epoch-{epoch:05d}"


def _check(path: Path, expected: object) -> None:
    found = compute_checksum(path)
    if found is None or found != expected:
        raise RunError(f"checkpoint: expected {path} as it was written, got a missing or damaged file; {_REMEDY}")
