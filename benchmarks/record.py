"""A result file: the finished cells of one benchmark, with all that one must know to judge them.

A cell is one measurement under a key, such as a width and a seed. The file is written anew, in one step, after every
cell, so a benchmark that was interrupted continues where it stopped. Cells of other settings, versions or machines are
never mixed in; a cell that was measured at an earlier commit stays, and says which one it was.
"""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast, get_args

from widthwise._shared import RunError, describe_environment, read_json, write_json

__all__ = ["ROOT", "SCHEMA", "Cell", "Record", "Tier", "find_commit"]

Tier = Literal["screen", "confirm", "full"]
Values = Mapping[str, object]

SCHEMA = 1
ROOT = Path(__file__).parents[1]
# What a number depends on. The result files are left out: they change while a benchmark runs.
_CODE = ("src", "benchmarks", "pyproject.toml", "constraints.txt", ":(exclude,glob)benchmarks/**/results/**")


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """One finished measurement: what was measured, what came out, and the state of the code."""

    key: dict[str, object]
    result: dict[str, object]
    commit: str | None
    dirty: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """The content of a result file; `commit` and `dirty` are those of the last run that wrote it."""

    path: Path
    benchmark: str
    tier: Tier
    seeds: tuple[int, ...]
    settings: dict[str, object]
    environment: dict[str, object]
    commit: str | None
    dirty: bool
    cells: list[Cell] = field(default_factory=list)

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        benchmark: str,
        tier: Tier,
        seeds: Sequence[int],
        settings: Values,
        threads: Sequence[int] | None = None,
    ) -> "Record":
        """Return the record to go on with: that of the file, with its finished cells, or an empty one without a file.

        Args:
            path: The file.
            benchmark: Its folder and name, such as "speed/step".
            tier: "screen" (one seed, shortened), "confirm" (three seeds) or "full".
            seeds: Those of the cells; empty where the work has a seed of its own.
            settings: All that the cells have in common and their numbers depend on.
            threads: The numbers of threads that the cells use; None where all use that of this process.

        Raises:
            RunError: The file is damaged, or holds cells of other settings, versions or machines.
        """
        if tier not in get_args(Tier):
            raise RunError(
                f"expected the tier to be one of {', '.join(get_args(Tier))}, got {tier!r}; use one of these"
            )
        commit, dirty = find_commit()
        fresh = cls(
            path=path,
            benchmark=benchmark,
            tier=tier,
            seeds=tuple(seeds),
            settings=_as_json(settings),
            environment=_as_json({**describe_environment(), **({} if threads is None else {"threads": threads})}),
            commit=commit,
            dirty=dirty,
        )
        if not path.exists():
            return fresh
        there = cls.read(path)
        fresh._refuse_other(there)
        fresh.cells.extend(there.cells)
        return fresh

    @classmethod
    def read(cls, path: Path) -> "Record":
        """Return what a result file holds.

        Raises:
            RunError: The file is missing or damaged.
        """
        content = read_json(path, schema=SCHEMA, what="result file")
        try:
            return cls._from_content(path, content)
        except (KeyError, TypeError) as cause:
            raise RunError(
                f"result file: expected a benchmark's cells in {path}, got damaged content ({cause!r}); make it again"
            ) from cause

    @property
    def settings_hash(self) -> str:
        """A hash of the benchmark's name, tier, seeds and settings; cells go together where it is equal."""
        content = [self.benchmark, self.tier, list(self.seeds), self.settings]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    def find(self, key: Values) -> Cell | None:
        """Return the finished cell of a key, None where there is none."""
        wanted = _as_json(key)
        return next((cell for cell in self.cells if cell.key == wanted), None)

    def fill(
        self,
        keys: Iterable[Values],
        measure: Callable[[Values], Values],
        *,
        describe: Callable[[Values], str],
    ) -> None:
        """Measure the cells that are not there yet, one after the other; print each, and write the file after each.

        Args:
            keys: The cells, in the order in which they are measured.
            measure: Gives the result of a key, ready to be written as JSON.
            describe: The words of a result on its line of progress.

        Raises:
            RunError: A result holds a number that is not finite, or the file cannot be written.
        """
        keys = list(keys)
        missing = [key for key in keys if self.find(key) is None]
        num_done = len(keys) - len(missing)
        print(f"{self.benchmark} ({self.tier}): {num_done} of {len(keys)} cells are there", flush=True)
        for number, key in enumerate(missing, start=num_done + 1):
            began = time.monotonic()
            words = ", ".join(f"{name} {value}" for name, value in key.items())
            result = measure(key)
            try:
                cell = Cell(key=_as_json(key), result=_as_json(result), commit=self.commit, dirty=self.dirty)
            except ValueError as cause:
                advice = "find out what went wrong there"
                raise RunError(f"expected finite numbers in the result of {words}, got {result}; {advice}") from cause
            self.cells.append(cell)
            self.write()
            seconds = time.monotonic() - began
            print(f"[{number}/{len(keys)}] {words}: {describe(cell.result)} ({seconds:.1f} s)", flush=True)

    def write(self) -> None:
        """Write the file, in one step."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "schema": SCHEMA,
            "benchmark": self.benchmark,
            "tier": self.tier,
            "commit": self.commit,
            "dirty": self.dirty,
            "seeds": list(self.seeds),
            "settings": self.settings,
            "settings_hash": self.settings_hash,
            "environment": self.environment,
            "cells": [
                {"key": cell.key, "result": cell.result, "commit": cell.commit, "dirty": cell.dirty}
                for cell in self.cells
            ],
        }
        write_json(self.path, content)

    @classmethod
    def _from_content(cls, path: Path, content: Mapping[str, object]) -> "Record":
        cells = cast("list[dict[str, object]]", content["cells"])
        return cls(
            path=path,
            benchmark=cast("str", content["benchmark"]),
            tier=cast("Tier", content["tier"]),
            seeds=tuple(cast("list[int]", content["seeds"])),
            settings=cast("dict[str, object]", content["settings"]),
            environment=cast("dict[str, object]", content["environment"]),
            commit=cast("str | None", content["commit"]),
            dirty=cast("bool", content["dirty"]),
            cells=[Cell(**cast("dict[str, dict[str, object]]", cell)) for cell in cells],  # pyright: ignore[reportArgumentType]
        )

    def _refuse_other(self, there: "Record") -> None:
        if self.settings_hash == there.settings_hash and self.environment == there.environment:
            return
        ours, theirs = self._facts(), there._facts()
        name = next(name for name in [*ours, *theirs] if ours.get(name) != theirs.get(name))
        raise RunError(
            f"expected cells of these settings and this machine in {self.path}, got ones with another {name} "
            f"({theirs.get(name)!r} there, {ours.get(name)!r} here); move that file away to measure anew"
        )

    def _facts(self) -> dict[str, object]:
        named = {"benchmark": self.benchmark, "tier": self.tier, "seeds": self.seeds}
        settings = {f"settings.{name}": value for name, value in self.settings.items()}
        return named | settings | {f"environment.{name}": value for name, value in self.environment.items()}


def find_commit() -> tuple[str | None, bool]:
    """Return the commit of the code, None without one, and whether the code differs from it."""
    commit = _git("rev-parse", "--verify", "--quiet", "HEAD")
    changes = _git("status", "--porcelain", "--", *_CODE)
    return commit or None, commit is None or changes is None or changes != ""


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _as_json(values: Values) -> dict[str, object]:
    """The values as they come back from a file: tuples are lists, keys are strings."""
    return json.loads(json.dumps(dict(values), allow_nan=False))
