"""The argument MODEL: a recipe, a run directory, or `module:factory`."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from torch import nn

from widthwise._shared import RecipeError
from widthwise.elastic import Elastic
from widthwise.training import Run, build_elastic, list_recipes, load_recipe

__all__ = ["open_model"]


def open_model(text: str) -> Elastic:
    """Return the elastic model that MODEL names, with untrained weights where it names a recipe or a run.

    A factory is a function without arguments that returns `(net, example_inputs)`; its module is looked for in the
    current folder too.

    Raises:
        RecipeError: Where there is no such thing.
    """
    if Run.exists(text):
        return build_elastic(Run.open(text).recipe)
    if text.endswith(".toml") or text in list_recipes():
        return build_elastic(load_recipe(text))
    if ":" in text:
        net, example_inputs = _call_factory(text)
        return Elastic(net, example_inputs)
    if Path(text).is_dir():
        Run.open(text)
    raise RecipeError(
        f"expected a recipe ({', '.join(list_recipes())}), a run directory or module:factory, got '{text}'; "
        "see widthwise recipes"
    )


def _call_factory(text: str) -> tuple[nn.Module, tuple[Any, ...] | dict[str, Any]]:
    place, _, name = text.partition(":")
    factory = _find_factory(place, name)
    made = factory()
    if not isinstance(made, tuple) or len(made) != 2 or not isinstance(made[0], nn.Module):
        raise RecipeError(
            f"expected {text} to return (net, example_inputs), got {type(made).__name__}; return such a pair"
        )
    return cast("tuple[nn.Module, tuple[Any, ...]]", made)


def _find_factory(place: str, name: str) -> Callable[[], object]:
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as cause:
        if cause.name is None or not place.startswith(cause.name):
            raise
        raise RecipeError(f"expected a module {place} that can be imported, got none; run from its folder") from cause
    factory = getattr(module, name, None)
    if not callable(factory):
        known = ", ".join(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise RecipeError(f"expected a function {name} in module {place}, got none; it has: {known or 'no function'}")
    return cast("Callable[[], object]", factory)
