import json
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, error_line
from widthwise._shared import VERSION
from widthwise.curves import Curve


@pytest.mark.parametrize("suffix", [".safetensors", ".pt", ".pt2"])
def test_a_file_tells_run_widths_scores_and_versions(
    suffix: str, invoke: Invoke, measured: Path, tmp_path: Path
) -> None:
    path = tmp_path / f"small{suffix}"
    assert invoke("export", measured, "--width", "0.5", "--out", path).exit_code == 0
    point = next(point for point in Curve.load(measured / "curve.json") if point.width == 0.5)
    content = json.loads(invoke("info", path, "--json").stdout)
    assert content["made_by"] == f"widthwise {VERSION}"
    assert (content["run"], content["recipe"]) == (measured.name, "tiny")
    assert content["widths"] == point.widths
    assert content["scores"] == pytest.approx(point.scores, abs=1e-6)
    assert str(tmp_path) not in json.dumps(content)
    assert str(measured.parent) not in json.dumps(content)


def test_it_is_told_in_lines(invoke: Invoke, measured: Path, tmp_path: Path) -> None:
    path = tmp_path / "small.pt"
    assert invoke("export", measured, "--width", "0.5", "--out", path).exit_code == 0
    lines = invoke("info", path).stdout.splitlines()
    assert "widths    fc1 16, fc2 16" in lines
    assert "run       run" in lines
    assert any(line.startswith("scores    accuracy ") and line.endswith(" %") for line in lines)


def test_a_missing_file_exits_1(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("info", tmp_path / "small.pt")
    assert result.exit_code == 1
    assert error_line(result) == f"expected an exported file {tmp_path / 'small.pt'}, got none; check the path"
