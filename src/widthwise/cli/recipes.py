"""`widthwise recipes`: what there is to train."""

from widthwise.cli.options import AsJson
from widthwise.cli.output import make_table, say, say_json
from widthwise.training import list_recipes, load_recipe

__all__ = ["EXAMPLE", "recipes"]

EXAMPLE = "widthwise recipes"

_NOT_MEASURED = "not measured"


def recipes(as_json: AsJson = False) -> None:
    """List the recipes: data, network, expected time on two cores and result."""
    found = [load_recipe(name) for name in list_recipes()]
    if as_json:
        say_json([recipe.model_dump() for recipe in found])
        return
    cells = [["recipe", "data", "model", "epochs", "minutes", "result"]]
    for recipe in found:
        expected = recipe.expected
        sizes = recipe.model.settings.get("sizes")
        model = f"{recipe.model.name} {'-'.join(map(str, sizes))}" if isinstance(sizes, list) else recipe.model.name
        cells.append(
            [
                recipe.name,
                recipe.data.name,
                model,
                str(recipe.training.epochs),
                f"{expected.minutes:g}" if expected else _NOT_MEASURED,
                expected.result if expected else _NOT_MEASURED,
            ]
        )
    say(make_table(cells, left=("recipe", "data", "model", "result")))
    say("Train one with: widthwise train digits-mlp --out runs/digits")
