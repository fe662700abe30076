from pathlib import Path

import pytest
import torch

from benchmarks.curve import switching
from benchmarks.record import Record
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
