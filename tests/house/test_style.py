from collections.abc import Callable
from pathlib import Path

import pytest

from tests.house.style import (
    find_long_parts,
    find_missing_docstrings,
    find_prints,
    find_tests_without_assertion,
    is_nameless,
)

ROOT = Path(__file__).parents[2]
SOURCE = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
BENCHMARKS = sorted((ROOT / "benchmarks").rglob("*.py"))


def breaches(files: list[Path], find: Callable[[str], list[str]]) -> list[str]:
    assert files
    found = ((file.relative_to(ROOT), breach) for file in files for breach in find(file.read_text(encoding="utf-8")))
    return [f"{place}:{breach}" for place, breach in found]


def test_files_and_functions_are_short() -> None:
    assert breaches([*SOURCE, *TESTS, *BENCHMARKS], find_long_parts) == []


def test_every_public_name_has_a_docstring() -> None:
    assert breaches(SOURCE, find_missing_docstrings) == []


def test_nothing_in_the_package_prints() -> None:
    assert breaches(SOURCE, find_prints) == []


def test_every_test_asserts() -> None:
    assert breaches(TESTS, find_tests_without_assertion) == []


def test_every_file_has_a_name_that_says_what_is_in_it() -> None:
    assert [file for file in [*SOURCE, *TESTS, *BENCHMARKS] if is_nameless(file)] == []
    assert is_nameless(Path("src/utils.py"))


def test_a_long_file_is_found() -> None:
    assert find_long_parts("x = 1\n" * 350) == []
    assert find_long_parts("x = 1\n" * 351) == ["351 lines, at most 350"]


def test_a_long_function_is_found_and_its_docstring_does_not_count() -> None:
    body = "    x = 1\n" * 39
    assert find_long_parts(f"def f():\n{body}") == []
    assert find_long_parts(f'def f():\n    """One.\n\n    Two.\n    """\n{body}') == []
    assert find_long_parts(f"def f():\n{body}    x = 2\n") == ["1: f has 41 lines, at most 40"]


def test_a_missing_docstring_is_found_on_public_names_only() -> None:
    text = '"""Module."""\nclass A:\n    def b(self): ...\n    def _c(self): ...\ndef d(): ...\ndef _e(): ...\n'
    assert find_missing_docstrings(text) == [
        "2: A without a docstring",
        "3: A.b without a docstring",
        "5: d without a docstring",
    ]
    assert find_missing_docstrings("x = 1\n") == ["1: module without a docstring"]


def test_a_print_is_found() -> None:
    assert find_prints("console.print(1)\n\nprint(2)\n") == ["3: print"]


@pytest.mark.parametrize(
    ("body", "num_breaches"),
    [
        ("assert x", 0),
        ("with pytest.raises(ValueError): f()", 0),
        ("with pytest.warns(UserWarning): f()", 0),
        ("torch.testing.assert_close(a, b)", 0),
        ("compare(a, b)", 1),
    ],
)
def test_a_test_that_asserts_nothing_is_found(body: str, num_breaches: int) -> None:
    assert len(find_tests_without_assertion(f"def test_x():\n    {body}\n")) == num_breaches
