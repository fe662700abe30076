from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.record import ROOT
from benchmarks.tables import PAGE, README, STATISTICS, TABLES, Table, fill_blocks, make_page
from tests.benchmarks.samples import make_demo_record
from widthwise._shared import RunError

DEMO = next(table for table in TABLES if table.name == "demo")


def write_demo(root: Path) -> Table:
    record = replace(make_demo_record(), path=root / DEMO.results)
    record.write()
    return DEMO


def test_the_committed_page_is_what_the_committed_results_give() -> None:
    assert PAGE.read_text(encoding="utf-8") == make_page(ROOT, TABLES), "run `make tables`"


@pytest.mark.parametrize("page", [README, STATISTICS], ids=lambda page: page.name)
def test_the_committed_blocks_of_a_page_are_what_the_committed_results_give(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert text == fill_blocks(text, ROOT, TABLES), "run `make tables`"


def test_every_committed_result_file_is_on_the_page_or_said_to_tune() -> None:
    files = {file.relative_to(ROOT).as_posix() for file in ROOT.glob("benchmarks/*/results/*.json")}
    assert {file for file in files if not file.endswith("_tuning.json")} <= {table.results for table in TABLES}


def test_a_section_has_its_words_its_numbers_and_their_source(tmp_path: Path) -> None:
    page = make_page(tmp_path, [write_demo(tmp_path)])
    assert "## The demo\n\n`widthwise demo` after installation" in page
    assert "| 2 | 42.0 | 30.0 |" in page
    assert page.endswith("Python 3.11.7; `benchmarks/speed/results/demo.json`.*\n")


def test_what_was_not_run_is_said_with_its_command(tmp_path: Path) -> None:
    page = make_page(tmp_path, [DEMO])
    assert page.endswith("\n\nNot run yet: `python -m benchmarks.speed.demo`.\n")


def test_a_block_of_the_readme_is_replaced_and_the_rest_is_not(tmp_path: Path) -> None:
    text = "before\n<!-- results:demo -->\nold\nnumbers\n<!-- end -->\nafter\n<!-- end -->\n"
    filled = fill_blocks(text, tmp_path, [write_demo(tmp_path)])
    first, _, rest = filled.partition("<!-- results:demo -->\n")
    assert first == "before\n"
    assert rest.startswith("`widthwise demo` takes 35 s (31 to 42 in 3 runs).\n\n*Tier confirm; ")
    assert rest.endswith("`.*\n<!-- end -->\nafter\n<!-- end -->\n")
    assert fill_blocks(filled, tmp_path, [DEMO]) == filled


def test_an_empty_block_is_filled(tmp_path: Path) -> None:
    text = "<!-- results:demo -->\n<!-- end -->\n"
    assert fill_blocks(text, tmp_path, [DEMO]) == (
        "<!-- results:demo -->\nNot run yet: `python -m benchmarks.speed.demo`.\n<!-- end -->\n"
    )


def test_a_block_that_names_no_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunError) as caught:
        fill_blocks("<!-- results:demmo -->\n<!-- end -->\n", tmp_path, [DEMO])
    assert str(caught.value) == "expected blocks named demo, got demmo; mend that mark"


@pytest.mark.parametrize(
    "mark", ["<!-- results:demo -->\n", "<!-- results:demo -->\n<!-- results:demo -->\n<!-- end -->\n"]
)
def test_a_block_without_an_end_is_refused(tmp_path: Path, mark: str) -> None:
    with pytest.raises(RunError) as caught:
        fill_blocks(mark, tmp_path, [DEMO])
    assert str(caught.value) == (
        "expected an end for each block of results, got one without; write <!-- end --> after it"
    )
