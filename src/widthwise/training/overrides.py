"""`key=value` pairs from the command line, put into the content of a recipe before it is checked."""

import copy
import difflib
import tomllib
from collections.abc import Mapping, Sequence
from typing import cast

from widthwise._shared import RecipeError

__all__ = ["apply_overrides", "near_names"]


def apply_overrides(
    content: Mapping[str, object], overrides: Sequence[str], *, keys: Sequence[str]
) -> dict[str, object]:
    """Return a copy of `content` with each `key=value` put in its place.

    Args:
        content: Nested tables, as TOML gives them.
        overrides: Such as "training.epochs=3"; a value is read as TOML and, where it is none, as text.
        keys: The dotted keys that exist; one may be shortened to its last part where only one of them ends in it.

    Raises:
        RecipeError: Where there is no `=`, the key is unknown, or a short one is ambiguous.

    Example:
        >>> apply_overrides({"training": {"epochs": 8}}, ["epochs=3"], keys=["training.epochs"])
        {'training': {'epochs': 3}}
    """
    result = copy.deepcopy(dict(content))
    for override in overrides:
        key, separator, text = override.partition("=")
        if not separator:
            raise RecipeError(f"expected key=value, such as training.epochs=3, got '{override}'; add the = and a value")
        *path, last = _resolve(key.strip(), keys).split(".")
        table = result
        for part in path:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RecipeError(f"expected [{part}] to be a section, got {inner!r}; mend the recipe first")
            table = cast("dict[str, object]", inner)
        table[last] = _parse(text.strip())
    return result


def near_names(given: str, known: Sequence[str]) -> str:
    """Return "; did you mean 'a' or 'b'?" for the known names near the given one, else nothing.

    Example:
        >>> near_names("epoch", ["epochs", "seed"])
        "; did you mean 'epochs'?"
    """
    near = difflib.get_close_matches(given, known, n=2, cutoff=0.7)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


def _resolve(key: str, keys: Sequence[str]) -> str:
    if key in keys or key.startswith("model.settings."):
        return key
    fitting = [known for known in keys if known.endswith(f".{key}")]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise RecipeError(
            f"expected a key of one section, got '{key}', which could be {' or '.join(fitting)}; write one of them"
        )
    short = {known.rpartition(".")[2] for known in keys}
    hint = near_names(key, keys) or near_names(key.rpartition(".")[2], sorted(short))
    raise RecipeError(f"expected a key of the recipe, such as training.epochs, got '{key}'{hint}")


def _parse(text: str) -> object:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text
