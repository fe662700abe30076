from dataclasses import replace
from pathlib import Path

from benchmarks.coverage.tables import brief_coverage, draw_comparison, draw_models
from benchmarks.record import ROOT
from benchmarks.tables import COVERAGE, MODELS_PAGE, make_models_page
from tests.benchmarks.samples import make_coverage_record, make_record


def test_the_committed_page_of_models_is_what_the_committed_results_give() -> None:
    assert MODELS_PAGE.read_text(encoding="utf-8") == make_models_page(ROOT, COVERAGE), "run `make tables`"


def test_the_comparison_counts_by_zoo() -> None:
    lines = draw_comparison(make_coverage_record()).splitlines()
    assert lines[2] == "| torchvision | 2 | 2 | 1 | 1 | 1 |"
    assert lines[3] == "| timm | 0 | 0 | 0 | 0 | 0 |"
    assert lines[5:7] == [
        "| Networks as users write them | 1 | 0 | 0 of 0 | 0 | 0 |",
        "| all | 3 | 2 | 1 of 2 | 1 | 1 |",
    ]


def test_the_goals_are_judged() -> None:
    page = draw_comparison(make_coverage_record())
    assert (
        "Goal: at least 97% of the networks pass. Not judged, since 184 of 187 networks are not measured yet; of those "
        "measured 66.7% pass."
    ) in page
    assert "as long as torch.export alone. Met; median 1.40, largest 1.40." in page
    empty = draw_comparison(make_record("coverage", []))
    assert empty.count("Not measured yet.") == 2


def test_time_is_held_against_the_same_export_too() -> None:
    record = make_coverage_record()
    cells = [replace(cell, result={**cell.result, "same_export_s": 0.7}) for cell in record.cells[:1]]
    page = draw_comparison(replace(record, cells=cells))
    assert "with a dynamic batch alone: Met; median 1.40, largest 1.40." in page
    assert "against torch.export that does the same: 0 of 1 within the goal, median 2.00, largest 2.00." in page


def test_time_is_told_per_operator_at_several_depths() -> None:
    assert draw_comparison(make_coverage_record()).endswith("| resnet18 | 70 | 14.3 | 20.0 |")


def test_every_network_has_its_row_and_every_failure_its_words() -> None:
    page = draw_models(make_coverage_record())
    assert "| resnet18 | 4 | 95.0 | 28 | own class | 70 | 1.0 | 1.4 | sound | yes | 90.0 |" in page
    assert "| swin_t | 4 | 95.0 | 28 | own class | 70 | 1.0 | 1.4 | sound | yes | fails |" in page
    assert "| WaveNet | - | - | - | - | - | - | - | - | no | - |" in page
    assert "Those that do not pass:\n\n- WaveNet: TraceError: &lt;no>" in page
    assert "## timm" not in page


def test_reasons_are_counted_over_all_networks() -> None:
    assert draw_models(make_coverage_record()).endswith("| aten.sort works along this axis | 6 | 2 |")


def test_the_brief_comparison_is_a_sentence() -> None:
    assert brief_coverage(make_coverage_record()) == "Of 3 networks 2 pass with widthwise, 1 of 2 with Torch-Pruning."


def test_a_page_without_results_says_how_to_make_them(tmp_path: Path) -> None:
    assert make_models_page(tmp_path, COVERAGE).endswith("\n\nNot run yet: `python -m benchmarks.coverage.measure`.\n")
