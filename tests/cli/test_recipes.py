import json

from tests.cli.conftest import Invoke
from widthwise.training import list_recipes


def test_each_recipe_is_in_the_table(invoke: Invoke) -> None:
    result = invoke("recipes")
    assert result.exit_code == 0
    for name in list_recipes():
        assert name in result.stdout
    assert "mlp 784-256-256-10" in result.stdout


def test_json_is_all_there_is_on_stdout(invoke: Invoke) -> None:
    content = json.loads(invoke("recipes", "--json").stdout)
    assert [recipe["name"] for recipe in content] == list_recipes()
    assert content[0]["training"]["epochs"] > 0
