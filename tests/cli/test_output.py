import json

import pytest

from widthwise.cli.output import format_bytes, format_score, make_table, say, say_json


def test_text_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[bold]not markup[/bold] " + "word " * 60
    say(text)
    assert capsys.readouterr().out == text + "\n"


def test_json_reads_back(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"a": [1, 2.5, None], "ä": "ö"}
    say_json(content)
    captured = capsys.readouterr().out
    assert json.loads(captured) == content
    assert "ä" in captured


def test_a_table_in_a_pipe_is_not_cut(capsys: pytest.CaptureFixture[str]) -> None:
    cells = [["name", *(f"column {index}" for index in range(10))], ["a", *("1,234,567" for _ in range(10))]]
    say(make_table(cells, left=("name",)))
    lines = capsys.readouterr().out.splitlines()
    assert any(line.count("1,234,567") == 10 for line in lines)
    assert "…" not in "".join(lines)


def test_numbers_stand_flush_right_and_names_flush_left(capsys: pytest.CaptureFixture[str]) -> None:
    say(make_table([["name", "count"], ["a", "1"], ["long name", "1,000"]], left=("name",)))
    rows = [line.rstrip() for line in capsys.readouterr().out.splitlines() if "1" in line]
    assert rows[0].startswith(" a ")
    assert len(rows[0]) == len(rows[1])


def test_sizes_count_a_kilobyte_as_1000_bytes() -> None:
    assert (format_bytes(999_949), format_bytes(1_000_000)) == ("999.9 kB", "1.00 MB")


def test_an_accuracy_is_in_percent_and_another_score_is_a_number() -> None:
    assert [format_score(0.5, name) for name in ("accuracy", "test_accuracy")] == ["50.00 %", "50.00 %"]
    assert [format_score(12.3456, name) for name in ("perplexity", "accuracy")] == ["12.35", "12.35"]
