import json
import subprocess
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

import benchmarks.record
from benchmarks.record import Record, find_commit
from widthwise._shared import RunError

KEYS = [{"width": 8, "seed": 0}, {"width": 8, "seed": 1}, {"width": 16, "seed": 0}]


def open_record(path: Path, **changes: object) -> Record:
    arguments = {"benchmark": "speed/toy", "tier": "confirm", "seeds": (0, 1, 2), "settings": {"steps": 4}} | changes
    return Record.open(path, **arguments)  # type: ignore[arg-type]


def double(key: Mapping[str, object]) -> dict[str, object]:
    return {"doubled": 2 * int(str(key["width"]))}


def describe(result: Mapping[str, object]) -> str:
    return f"doubled {result['doubled']}"


def test_a_file_holds_all_that_one_must_know(tmp_path: Path) -> None:
    path = tmp_path / "results" / "toy.json"
    record = open_record(path, threads=(1, 2))
    record.fill(KEYS, double, describe=describe)
    content = json.loads(path.read_text(encoding="utf-8"))
    named = {name: content[name] for name in ("schema", "benchmark", "tier", "seeds", "settings")}
    assert named == {
        "schema": 1,
        "benchmark": "speed/toy",
        "tier": "confirm",
        "seeds": [0, 1, 2],
        "settings": {"steps": 4},
    }
    assert (content["commit"], content["dirty"]) == find_commit()
    assert content["environment"]["threads"] == [1, 2]
    assert {"torch", "processor", "cores"} <= set(content["environment"])
    assert [cell["key"] for cell in content["cells"]] == KEYS
    assert [cell["result"] for cell in content["cells"]] == [{"doubled": 16}, {"doubled": 16}, {"doubled": 32}]


def test_reading_gives_what_was_written(tmp_path: Path) -> None:
    record = open_record(tmp_path / "toy.json")
    record.fill(KEYS, double, describe=describe)
    assert Record.read(tmp_path / "toy.json") == record


def test_an_interrupted_benchmark_goes_on_where_it_stopped(tmp_path: Path) -> None:
    path, asked = tmp_path / "toy.json", []

    def fail_at_last(key: Mapping[str, object]) -> dict[str, object]:
        asked.append(key)
        if key == KEYS[-1]:
            raise KeyboardInterrupt
        return double(key)

    with pytest.raises(KeyboardInterrupt):
        open_record(path).fill(KEYS, fail_at_last, describe=describe)
    assert len(Record.read(path).cells) == 2
    again = open_record(path)
    asked.clear()
    again.fill(KEYS, lambda key: asked.append(key) or double(key), describe=describe)
    assert asked == [KEYS[-1]]
    assert [cell.key for cell in Record.read(path).cells] == KEYS


def test_a_cell_keeps_the_commit_at_which_it_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toy.json"
    monkeypatch.setattr(benchmarks.record, "find_commit", lambda: ("aaa", False))
    open_record(path).fill(KEYS[:1], double, describe=describe)
    monkeypatch.setattr(benchmarks.record, "find_commit", lambda: ("bbb", True))
    open_record(path).fill(KEYS, double, describe=describe)
    found = Record.read(path)
    assert (found.commit, found.dirty) == ("bbb", True)
    assert [(cell.commit, cell.dirty) for cell in found.cells] == [("aaa", False), ("bbb", True), ("bbb", True)]


def test_progress_is_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_record(tmp_path / "toy.json").fill(KEYS[:1], double, describe=describe)
    capsys.readouterr()
    open_record(tmp_path / "toy.json").fill(KEYS, double, describe=describe)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "speed/toy (confirm): 1 of 3 cells are there"
    assert [line.rpartition(" (")[0] for line in lines[1:]] == [
        "[2/3] width 8, seed 1: doubled 16",
        "[3/3] width 16, seed 0: doubled 32",
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"settings": {"steps": 5}}, "another settings.steps (4 there, 5 here)"),
        ({"settings": {}}, "another settings.steps (4 there, None here)"),
        ({"seeds": (0,)}, "another seeds ((0, 1, 2) there, (0,) here)"),
        ({"tier": "full"}, "another tier ('confirm' there, 'full' here)"),
        ({"benchmark": "speed/other"}, "another benchmark ('speed/toy' there, 'speed/other' here)"),
        ({"threads": (2,)}, "another environment.threads (1 there, [2] here)"),
    ],
)
def test_cells_of_other_work_are_refused_and_stay(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    path = tmp_path / "toy.json"
    open_record(path).fill(KEYS, double, describe=describe)
    before = path.read_bytes()
    with pytest.raises(RunError) as caught:
        open_record(path, **changes)
    assert str(caught.value) == (
        f"expected cells of these settings and this machine in {path}, got ones with {words}; "
        "move that file away to measure anew"
    )
    assert path.read_bytes() == before


def test_another_processor_is_another_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "toy.json"
    open_record(path).fill(KEYS, double, describe=describe)
    here = benchmarks.record.describe_environment()
    monkeypatch.setattr(benchmarks.record, "describe_environment", lambda: {**here, "processor": "Abacus"})
    with pytest.raises(RunError, match=r"another environment\.processor \(.* there, 'Abacus' here\)"):
        open_record(path)


def test_an_unknown_tier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        open_record(tmp_path / "toy.json", tier="quick")
    assert str(caught.value) == ("expected the tier to be one of screen, confirm, full, got 'quick'; use one of these")


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    path.write_text('{"schema": 1, "cells": []}', encoding="utf-8")
    with pytest.raises(RunError) as caught:
        open_record(path)
    assert str(caught.value) == (
        f"result file: expected a benchmark's cells in {path}, got damaged content "
        "(KeyError('benchmark')); make it again"
    )


def test_a_result_must_be_finite(tmp_path: Path) -> None:
    record = open_record(tmp_path / "toy.json")
    with pytest.raises(RunError) as caught:
        record.fill(KEYS[:1], lambda _: {"ratio": float("nan")}, describe=str)
    assert str(caught.value).startswith(
        "expected finite numbers in the result of width 8, seed 0, got {'ratio': nan}; "
    )


def test_the_hash_tells_settings_apart_and_not_machines(tmp_path: Path) -> None:
    record = open_record(tmp_path / "toy.json")
    assert record.settings_hash == replace(record, environment={}, commit="aaa").settings_hash
    assert record.settings_hash != replace(record, settings={"steps": 5}).settings_hash


def make_repository(folder: Path) -> None:
    (folder / "src").mkdir()
    (folder / "src" / "code.py").write_text("x = 1\n", encoding="utf-8")
    name = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for arguments in (["init", "-q"], ["add", "."], [*name, "commit", "-q", "-m", "first"]):
        subprocess.run(["git", *arguments], cwd=folder, check=True, capture_output=True)


def test_only_code_makes_a_commit_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_repository(tmp_path)
    monkeypatch.setattr(benchmarks.record, "ROOT", tmp_path)
    commit, dirty = find_commit()
    assert commit is not None
    assert len(commit) == 40
    assert not dirty
    results = tmp_path / "benchmarks" / "speed" / "results"
    results.mkdir(parents=True)
    (results / "step.json").write_text("{}", encoding="utf-8")
    (tmp_path / "README.md").write_text("words", encoding="utf-8")
    assert find_commit() == (commit, False)
    (tmp_path / "src" / "code.py").write_text("x = 2\n", encoding="utf-8")
    assert find_commit() == (commit, True)


def test_code_without_a_commit_is_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(benchmarks.record, "ROOT", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert find_commit() == (None, True)
