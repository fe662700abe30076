import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from widthwise._shared import RecipeError
from widthwise.elastic import LAWS, Distillation, Law, make_law
from widthwise.training import Recipe, build_network, list_recipes, load_recipe, parse_recipe
from widthwise.training.recipe import ModelSection

MINIMAL = """
name = "a"
[data]
name = "digits"
input_shape = [1, 8, 8]
[model]
name = "mlp"
settings = {sizes = [64, 10]}
[training]
epochs = 8
"""


def test_the_recipes_of_the_package_are_listed() -> None:
    assert list_recipes() == [
        "cifar-resnet",
        "cifar-vit",
        "digits-mlp",
        "fashion-mlp",
        "mnist-mlp",
        "mnist-mlp-paper",
        "ptb-lstm",
        "ptb-transformer",
        "shrec-pointnet",
    ]


@pytest.mark.parametrize("name", list_recipes())
def test_each_recipe_of_the_package_loads_under_its_name_and_builds_its_network(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.name.startswith(recipe.data.name)
    assert sum(parameter.numel() for parameter in build_network(recipe).parameters()) > 0


def test_the_reference_recipe_is_what_the_numbers_speak_of() -> None:
    recipe = load_recipe("mnist-mlp")
    assert recipe.model.settings["sizes"] == [784, 256, 256, 10]
    assert recipe.training.epochs == 29
    assert recipe.elastic.make_law() == LAWS["default"]


def test_the_recipe_of_the_paper_has_its_settings() -> None:
    recipe = load_recipe("mnist-mlp-paper")
    training, law = recipe.training, recipe.elastic.make_law()
    assert (training.epochs, training.batch_size, training.learning_rate, training.schedule) == (
        100,
        500,
        8e-4,
        "constant",
    )
    assert recipe.model.settings["activation"] == "leaky_relu"
    assert (law.sharing, law.rescale, law.chunks, law.p) == ("independent", "inverse", 1, 1.0)


def test_a_recipe_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        load_recipe("digits-mlp").training.epochs = 3  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize("name", list_recipes())
def test_a_written_recipe_reads_back_equal(name: str) -> None:
    recipe = load_recipe(name, ["seed=7", "weight_decay=1e-5"])
    assert parse_recipe(recipe.to_toml()) == recipe


settings = st.dictionaries(
    st.text(), st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.text() | st.lists(st.integers(0, 9))
)


@given(settings)
def test_settings_of_a_network_keep_their_type_and_value(given_settings: dict[str, object]) -> None:
    recipe = parse_recipe(MINIMAL)
    model = ModelSection.model_validate({"name": "mlp", "settings": given_settings})
    found = parse_recipe(recipe.model_copy(update={"model": model}).to_toml()).model.settings
    assert found == given_settings
    assert {key: type(value) for key, value in found.items()} == {
        key: type(value) for key, value in given_settings.items()
    }


def test_a_file_is_read_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MINIMAL, encoding="utf-8")
    assert load_recipe(path, ["epochs=3"]) == parse_recipe(MINIMAL, overrides=["training.epochs=3"])
    assert load_recipe(str(path)).training.epochs == 8


def test_a_named_law_takes_changes() -> None:
    recipe = parse_recipe(MINIMAL, overrides=["law=paper", "elastic.p=0.5", "lowest=0.25"])
    law = recipe.elastic.make_law()
    assert (law.rescale, law.p, law.lowest, law.chunks) == ("inverse", 0.5, 0.25, 1)


def test_every_setting_of_a_law_can_be_told() -> None:
    overrides = ["law=us_nets", "lowest=0.125", "elastic.weight=0.3", "slow_start=10", "widths=5", "reach=hidden"]
    law = parse_recipe(MINIMAL, overrides=overrides).elastic.make_law()
    assert law == make_law("us_nets", lowest=0.125, weight=0.3, slow_start=10, widths=5, reach="hidden")
    law = parse_recipe(
        MINIMAL, overrides=["law=log_uniform", "chunks=each", "elastic.widths=[0.25, 0.5, 1]"]
    ).elastic.make_law()
    assert law == Law(chunks="each", widths=(0.25, 0.5, 1.0))


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["law=us_nets"], Distillation()),
        (["law=us_nets", "distillation=0.5"], Distillation(weight=0.5)),
        (["law=us_nets", "distillation=0"], None),
        (["sandwich=3"], None),
        (["sandwich=3", "temperature=2.0"], Distillation(temperature=2.0)),
        (["sandwich=3", "distillation=1.0", "divergence=adaptive"], Distillation(divergence="adaptive")),
    ],
)
def test_distillation_can_be_told(overrides: list[str], expected: Distillation | None) -> None:
    assert parse_recipe(MINIMAL, overrides=overrides).elastic.make_law().distillation == expected


def test_smoke_is_one_epoch_on_few_samples() -> None:
    smoke = load_recipe("mnist-mlp").smoke()
    assert smoke.training.epochs == 1
    assert smoke.data.limit is not None
    assert smoke.data.limit < 1000
    assert smoke.expected is None
    assert load_recipe("mnist-mlp", ["limit=10"]).smoke().data.limit == 10


def test_name_and_expected_result_do_not_make_other_work() -> None:
    recipe = parse_recipe(MINIMAL)
    other = parse_recipe(MINIMAL + '[expected]\nminutes = 1\nresult = "97 %"\n', overrides=["name=b"])
    assert recipe.is_same_work(other)
    assert not recipe.is_same_work(parse_recipe(MINIMAL, overrides=["seed=1"]))


def error_of(text: str, *overrides: str) -> str:
    with pytest.raises(RecipeError) as caught:
        parse_recipe(text, what="mine.toml", overrides=overrides)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "epochs = 8",
            "epochs = 8\nepoch = 9",
            (
                "mine.toml: expected one of the keys epochs, batch_size, accumulate, learning_rate, schedule, warmup, "
                "optimizer, momentum, weight_decay, grad_clip, patience, precision, device, channels_last, seed, "
                "rate_by_use, decay_by_use, method, compile, tensorboard in [training], got 'epoch'; did you mean "
                "'epochs'?"
            ),
        ),
        (
            'name = "a"',
            'name = "a"\nmodle = 1',
            (
                "mine.toml: expected one of the keys name, data, model, training, elastic, expected at the top, "
                "got 'modle'; did you mean 'model'?"
            ),
        ),
        ("epochs = 8", "", "mine.toml: expected a value for training.epochs, got none; add it"),
        ("epochs = 8", "epochs = 0", "mine.toml: expected training.epochs to be greater than or equal to 1, got 0"),
        ("epochs = 8", 'epochs = "8"', "mine.toml: expected training.epochs to be a valid integer, got '8'"),
        ("epochs = 8", "epochs = true", "mine.toml: expected training.epochs to be a valid integer, got True"),
        (
            "epochs = 8",
            'epochs = 8\nschedule = "linear"',
            "mine.toml: expected training.schedule to be 'one_cycle', 'cosine' or 'constant', got 'linear'",
        ),
        (
            "epochs = 8",
            "epochs = 8\nlearning_rate = nan",
            "mine.toml: expected training.learning_rate to be a finite number, got nan",
        ),
        ("epochs = 8", "epochs = 8\nwarmup = 1.0", "mine.toml: expected training.warmup to be less than 1, got 1.0"),
        (
            "epochs = 8",
            "epochs = 8\nprecision = 'float16'",
            (
                "mine.toml: [training] precision = 'float16' needs a GPU: expected device = 'cuda', got 'cpu'; use "
                "'bfloat16'"
            ),
        ),
        (
            "epochs = 8",
            "epochs = 8\nmomentum = 0.5",
            "mine.toml: [training] momentum has an effect with optimizer = 'sgd' only; remove one of the two",
        ),
        *(
            (
                "epochs = 8",
                f"epochs = 8\n{line}",
                (
                    "mine.toml: [training] decay_by_use has an effect on the weight_decay of optimizer = 'adamw' only; "
                    "set both, or remove it"
                ),
            )
            for line in ("decay_by_use = true\nweight_decay = 0.1", 'decay_by_use = true\noptimizer = "adamw"')
        ),
        (
            "epochs = 8",
            'epochs = 8\nmethod = "plain"\nrate_by_use = 0.5',
            (
                "mine.toml: [training] rate_by_use and decay_by_use have an effect with method = 'structural' only; "
                "remove one of the two"
            ),
        ),
        (
            "epochs = 8",
            "epochs = 8\nmethod = 'plain'\ncompile = true",
            "mine.toml: [training] compile has an effect with method = 'structural' only; remove one of the two",
        ),
        (
            "epochs = 8",
            "epochs = 8\ncompile = true",
            (
                "mine.toml: [elastic] training.compile needs a law of at most 16 widths, common to all groups, got one "
                "of more; set elastic.widths=6, and elastic.between=0 where it leaves them"
            ),
        ),
        (
            "epochs = 8",
            "epochs = ",
            "mine.toml: expected TOML, got a syntax error: Invalid value (at line 10, column 10); mend that line",
        ),
        ("[1, 8, 8]", "[1, 0, 8]", "mine.toml: expected data.input_shape.1 to be greater than or equal to 1, got 0"),
        (
            "settings = {sizes = [64, 10]}",
            "settings = 3",
            "mine.toml: expected model.settings to be a valid dictionary, got 3",
        ),
    ],
)
def test_each_thing_wrong_with_a_recipe_is_one_line(old: str, new: str, message: str) -> None:
    assert old in MINIMAL
    assert error_of(MINIMAL.replace(old, new)) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("lowest = 2.0", "mine.toml: [elastic] lowest must lie in (0, 1), got 2.0; "),
        (
            'law = "papre"',
            "mine.toml: [elastic] law must be one of default, octaves, sandwich, log_uniform, uniform, paper, ",
        ),
        ("chunks = 0", "mine.toml: [elastic] chunks must be a whole number, at least 1, got 0; "),
    ],
)
def test_what_the_law_says_is_told_with_the_section(line: str, message: str) -> None:
    assert error_of(f"{MINIMAL}[elastic]\n{line}\n").startswith(message)


def test_a_section_that_is_no_table_is_named() -> None:
    text = 'name = "a"\ntraining = 3\n[data]\nname = "digits"\ninput_shape = [1]\n[model]\nname = "mlp"\n'
    assert error_of(text) == "mine.toml: expected [training] to be a table, got 3; write keys below a line [training]"


def test_an_override_is_typed_by_the_recipe() -> None:
    assert error_of(MINIMAL, "epochs=many") == "mine.toml: expected training.epochs to be a valid integer, got 'many'"


def test_an_unknown_recipe_is_told_with_the_near_one() -> None:
    expected = re.escape(
        f"expected one of the recipes {', '.join(list_recipes())}, or a .toml file, "
        "got 'mnist-mpl'; did you mean 'mnist-mlp'"
    )
    with pytest.raises(RecipeError, match=expected):
        load_recipe("mnist-mpl")
    with pytest.raises(RecipeError, match=r"got 'nosuch'; `widthwise recipes` tells of each$"):
        load_recipe("nosuch")


def test_a_missing_file_and_one_that_is_no_text_are_told(tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    with pytest.raises(RecipeError, match=r"expected a recipe file .*none\.toml, got none; `widthwise recipes` lists"):
        load_recipe(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(RecipeError, match=r"expected a readable recipe file .*none\.toml, got: .*; check its kind"):
        load_recipe(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(RecipeError, match=r"expected a readable recipe file .*none\.toml, got: .*; check its kind"):
        load_recipe(path)


def test_an_override_of_a_setting_reaches_the_network() -> None:
    recipe = load_recipe("digits-mlp", ["sizes=[64, 8, 10]"])
    assert isinstance(recipe, Recipe)
    assert build_network(recipe).get_submodule("fc1").get_parameter("weight").shape == (8, 64)
