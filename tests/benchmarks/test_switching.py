from pathlib import Path

import pytest
import torch

from benchmarks.curve import switching
from benchmarks.curve.switching_table import draw_switching
from benchmarks.record import Cell, Record
from tests.conftest import RandomStateCheck


@pytest.mark.slow
@pytest.mark.parametrize("law", switching.LAWS)
def test_a_run_at_a_width_is_timed_beside_the_extracted_network(
    law: str, untouched_random_state: RandomStateCheck
) -> None:
    with untouched_random_state():
        result = switching.measure("mlp", law, 0.25, 0, turns=2)
    assert set(result) == {"at", "extracted", "enter", "cost_ms", "low_cost_ms", "least_cost_ms", "first_ms"}
    assert float(str(result["first_ms"])) > 0


def test_every_network_is_measured_with_every_law(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[object, ...]] = []

    def measure(*key: object, turns: int) -> dict[str, object]:
        asked.append((*key, turns))
        return {"cost_ms": 0.1, "low_cost_ms": 0.1}

    monkeypatch.setattr(switching, "measure", measure)
    threads = torch.get_num_threads()
    try:
        switching.fill(tmp_path / "switching.json")
    finally:
        torch.set_num_threads(threads)
    assert len(asked) == 3 * 5 * 2 * 2
    assert asked[0] == ("mlp", "log_uniform", 0.25, 0, switching.TURNS)
    assert len(Record.read(tmp_path / "switching.json").cells) == len(asked)


def test_the_table_tells_the_median_cost_and_where_it_is_too_high() -> None:
    record = Record.open(
        Path("nowhere.json"),
        benchmark="curve/switching",
        tier="confirm",
        seeds=(0, 1),
        settings={"networks": {"mlp": "MLP"}},
    )
    for law, costs in {"log_uniform": (0.1, 0.3), "octaves": (1.0, 1.4)}.items():
        for seed, cost in enumerate(costs):
            key: dict[str, object] = {"network": "mlp", "law": law, "width": 0.25, "seed": seed}
            walls = {name: {"median_ms": value} for name, value in (("extracted", 2.0), ("at", 2.0 + cost))}
            result: dict[str, object] = {**walls, "cost_ms": cost, "first_ms": 3.0}
            record.cells.append(Cell(key=key, result=result, commit="a", dirty=False))
    lines = draw_switching(record).splitlines()
    assert lines[2] == "| MLP | log_uniform | 0.25 | 2.00 | 2.20 | 0.20 (0.10 to 0.30) | 3.0 |"
    assert lines[-1] == "Goal: at most 1 ms. Missed by: MLP, octaves, width 0.25: 1.20."
