import pytest

from benchmarks.recipes.measure import RECIPES, RESULTS, SHORT, add_expected, expected_section
from benchmarks.record import Record
from widthwise.training import list_recipes, load_recipe

RESULT = {"minutes": 1.234, "accuracy": {"1": 98.04, "0.25": 97.55, "0.0625": 95.0}}


def test_the_section_says_minutes_and_accuracy_by_width() -> None:
    assert expected_section(RESULT) == (
        '\n[expected]\nminutes = 1.0\nresult = "98.0, 97.5, 95.0 % at full, 1/4, 1/16 width"\n'
    )


def test_a_section_takes_the_place_of_the_former_one() -> None:
    once = add_expected('name = "a"\n', {**RESULT, "minutes": 9})
    assert add_expected(once, RESULT) == add_expected('name = "a"\n', RESULT)


@pytest.mark.parametrize("name", list_recipes())
def test_what_a_recipe_promises_is_what_was_measured(name: str) -> None:
    cell = Record.read(RESULTS).find({"recipe": name})
    assert (cell is None) == (load_recipe(name).expected is None) == (name not in SHORT)
    if cell is None:
        return
    text = (RECIPES / f"{name}.toml").read_text(encoding="utf-8")
    assert text == add_expected(text, cell.result)
