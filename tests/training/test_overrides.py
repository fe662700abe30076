import pytest

from widthwise._shared import RecipeError
from widthwise.training.overrides import apply_overrides, near_names

KEYS = ["name", "data.name", "training.epochs", "training.seed", "elastic.seed", "model.settings.sizes"]


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("training.epochs=3", {"training": {"epochs": 3}}),
        ("epochs=3", {"training": {"epochs": 3}}),
        (" epochs = 3 ", {"training": {"epochs": 3}}),
        ("name=other", {"name": "other"}),
        ('data.name="mnist"', {"data": {"name": "mnist"}}),
        ("data.name=a=b", {"data": {"name": "a=b"}}),
        ("data.name=x\ny = 1", {"data": {"name": "x\ny = 1"}}),
        ("epochs=true", {"training": {"epochs": True}}),
        ("epochs=3e-3", {"training": {"epochs": 3e-3}}),
        ("sizes=[64, 10]", {"model": {"settings": {"sizes": [64, 10]}}}),
        ("model.settings.new=1", {"model": {"settings": {"new": 1}}}),
    ],
)
def test_an_override_is_read_as_toml_and_else_as_text(override: str, expected: dict[str, object]) -> None:
    assert apply_overrides({}, [override], keys=KEYS) == expected


def test_the_last_override_wins_and_the_content_stays_as_it_was() -> None:
    content: dict[str, object] = {"training": {"epochs": 8, "seed": 0}}
    found = apply_overrides(content, ["epochs=3", "epochs=4"], keys=KEYS)
    assert found == {"training": {"epochs": 4, "seed": 0}}
    assert content == {"training": {"epochs": 8, "seed": 0}}


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "expected key=value, such as training.epochs=3, got 'epochs'; add the = and a value"),
        (
            "seed=1",
            (
                "expected a key of one section, got 'seed', which could be training.seed or elastic.seed; "
                "write one of them"
            ),
        ),
        ("epoch=1", "expected a key of the recipe, such as training.epochs, got 'epoch'; did you mean 'epochs'?"),
        (
            "trainin.epochs=1",
            (
                "expected a key of the recipe, such as training.epochs, got 'trainin.epochs'; "
                "did you mean 'training.epochs'?"
            ),
        ),
        ("zzz=1", "expected a key of the recipe, such as training.epochs, got 'zzz'"),
    ],
)
def test_a_key_that_is_none_is_refused(override: str, message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        apply_overrides({}, [override], keys=KEYS)
    assert str(caught.value) == message


def test_a_section_that_is_no_table_is_refused() -> None:
    with pytest.raises(RecipeError, match=r"expected \[training\] to be a section, got 3; mend the recipe first"):
        apply_overrides({"training": 3}, ["epochs=1"], keys=KEYS)


def test_near_names_are_named_and_far_ones_are_not() -> None:
    assert near_names("mnist-mpl", ["mnist-mlp", "mnist-map", "digits"]) == "; did you mean 'mnist-mlp' or 'mnist-map'?"
    assert near_names("zzz", ["mnist-mlp"]) == ""
