import pytest

from widthwise._shared import CurveError, MissingExtraError, NoPointError, RecipeError, RunError, WidthError
from widthwise.cli.failure import Interruption, exit_code, report, report_note


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RecipeError("x"), 2),
        (WidthError("x"), 2),
        (NoPointError("x"), 3),
        (Interruption("x"), 130),
        (RunError("x"), 1),
        (CurveError("x"), 1),
        (MissingExtraError("x"), 1),
        (OSError("x"), 1),
        (ZeroDivisionError("x"), 1),
    ],
)
def test_each_error_has_its_exit_code(error: Exception, code: int) -> None:
    assert exit_code(error) == code


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RunError("expected [a],\n  got b"), "widthwise: expected [a], got b\n"),
        (PermissionError(13, "Permission denied", "/a/b"), "widthwise: Permission denied: /a/b\n"),
        (OSError("disk full"), "widthwise: disk full\n"),
        (KeyError("x"), "widthwise: unexpected KeyError: 'x'; --debug shows the trace\n"),
    ],
)
def test_an_error_is_one_line_on_stderr(error: Exception, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    report(error, debug=False)
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == (line, "")


def test_a_long_line_is_not_broken(capsys: pytest.CaptureFixture[str]) -> None:
    report(RunError("word " * 100), debug=False)
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_the_trace_stands_above_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    try:
        raise RunError("lost")
    except RunError as error:
        report(error, debug=True)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1] == "widthwise: lost"


def test_a_note_is_one_line_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    report_note("good to\nknow")
    captured = capsys.readouterr()
    assert (captured.err, captured.out) == ("widthwise: note: good to know\n", "")
