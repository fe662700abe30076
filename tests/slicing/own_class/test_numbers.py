from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from widthwise.graph import Atom, Frozen, Product, Term
from widthwise.slicing.own_class.numbers import AS_IT_WAS, Remembered, find_numbers, recall, replace_numbers, settings
from widthwise.slicing.own_class.vocabulary import Meaning

HEADS, WIDTH, OTHER = Atom(1, 8), Atom(2, 8), Frozen(8, "input")


def mean(term: Term, kept: int, *, is_taken: bool = False) -> Meaning:
    return Meaning(term=term, kept=kept, is_taken=is_taken)


class Known:
    """Says what each number may mean."""

    def __init__(self, **meanings: list[Meaning]) -> None:
        self.known = {int(number.lstrip("n")): found for number, found in meanings.items()}

    def meanings(self, path: str, number: int) -> list[Meaning]:
        assert path == "here"
        return self.known.get(number, [])


def remembered(holder: Any, known: Any) -> dict[str, Remembered]:
    return {number.name: number for number in find_numbers(holder, known, "here")}


def make_module(**attributes: Any) -> nn.Module:
    module = nn.Module()
    vars(module).update(attributes)
    return module


def values(holder: Any, known: Any) -> list[dict[str, Any]]:
    """What each setting makes of a module's attributes."""
    numbers = list(find_numbers(holder, known, "here"))
    found: list[dict[str, Any]] = []
    for apply in settings(numbers):
        apply()
        found.append({number.name: getattr(holder, number.name) for number in numbers})
    return found


def test_numbers_that_may_shrink_are_found_alone_and_in_sequences() -> None:
    known = Known(n8=[mean(WIDTH, 4)], n5=[mean(Frozen(5, ""), 5)], n1=[mean(Atom(3, 1), 1)])
    module = make_module(
        width=8, shape=(8, 3), items=[2, [8]], size=torch.Size([8]), five=5, one=1, flag=True, text="8"
    )
    assert sorted(remembered(module, known)) == ["items", "shape", "size", "width"]
    for number in remembered(module, known).values():
        number.choose(0)
    assert (module.width, module.shape, module.items, module.size) == (4, (4, 3), [2, [4]], torch.Size([4]))
    assert (module.five, module.one, module.flag, module.text) == (5, 1, True, "8")


def test_numbers_in_dicts_and_frozen_objects_are_set() -> None:
    @dataclass(frozen=True)
    class Sizes:
        width: int

    known, entries, sizes = Known(n8=[mean(WIDTH, 4)]), {"width": 8}, Sizes(8)
    for holder in (entries, sizes):
        remembered(holder, known)["width"].choose(0)
    assert entries == {"width": 4}
    assert sizes == Sizes(4)


def test_a_number_is_put_back() -> None:
    module, known = make_module(width=8), Known(n8=[mean(WIDTH, 4), mean(HEADS, 2)])
    number = remembered(module, known)["width"]
    for choice, value in ((0, 4), (1, 2), (2, 4), (AS_IT_WAS, 8)):
        number.choose(choice)
        assert module.width == value
    holder = SimpleNamespace(width=8)
    number, new = recall(holder, "width", 8, known, "here"), recall(holder, "new", 8, known, "here")
    assert number is not None
    assert new is not None
    restores = [number.remember(), new.remember()]
    number.choose(0)
    new.choose(0)
    assert vars(holder) == {"width": 4, "new": 4}
    for restore in restores:
        restore()
    assert vars(holder) == {"width": 8}


@pytest.mark.parametrize(
    ("name", "kept"), [("num_heads", 4), ("head_dim", 2), ("d_head", 2), ("size_per_head", 2), ("heads", 4)]
)
def test_the_width_of_a_head_stands_after_the_heads(name: str, kept: int) -> None:
    module = make_module(**{name: 8})
    remembered(module, Known(n8=[mean(HEADS, 4), mean(WIDTH, 2)]))[name].choose(0)
    assert getattr(module, name) == kept


def test_a_config_names_sizes_rather_than_products() -> None:
    known = Known(n8=[mean(Product((Atom(1, 2), Atom(2, 4))), 4), mean(WIDTH, 2)])
    module, config = make_module(width=8), SimpleNamespace(width=8)
    for holder in (module, config):
        remembered(holder, known)["width"].choose(0)
    assert (module.width, config.width) == (4, 2)


def test_settings_start_with_the_likeliest_and_change_one_number_at_a_time() -> None:
    known = Known(n8=[mean(HEADS, 4), mean(OTHER, 8), mean(WIDTH, 2)])
    found = values(make_module(one=8, num_layers=8), known)
    assert found[0] == {"one": 4, "num_layers": 8}
    assert found[1] == {"one": 8, "num_layers": 8}
    assert found[2:] == [
        {"one": 8, "num_layers": 8},
        {"one": 2, "num_layers": 8},
        {"one": 4, "num_layers": 4},
        {"one": 4, "num_layers": 8},
        {"one": 4, "num_layers": 2},
        {"one": 8, "num_layers": 8},
    ]


def test_a_setting_takes_only_what_operators_take() -> None:
    found = values(make_module(one=8, two=6), Known(n8=[mean(HEADS, 4)], n6=[mean(WIDTH, 3, is_taken=True)]))
    assert found[:2] == [{"one": 4, "two": 3}, {"one": 8, "two": 3}]


def test_modules_of_one_class_are_set_alike() -> None:
    known = Known(n8=[mean(HEADS, 4), mean(WIDTH, 2)])
    modules = [make_module(one=8), make_module(one=8)]
    numbers = [number for module in modules for number in find_numbers(module, known, "here")]
    for apply in settings(numbers):
        apply()
        assert modules[0].one == modules[1].one


def test_settings_are_a_handful() -> None:
    known = Known(n8=[mean(HEADS, 4), mean(WIDTH, 2)])
    assert len(values(make_module(**{f"number{i}": 8 for i in range(40)}), known)) == 12
    assert len(list(settings([]))) == 1


def test_numbers_are_replaced_in_sequences_only() -> None:
    assert replace_numbers((1, [2, True], {"a": 3}), lambda number: number + 1) == (2, [3, True], {"a": 3})
    assert replace_numbers(2.5, lambda number: number + 1) == 2.5
