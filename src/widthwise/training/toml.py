"""Writing the little TOML that recipes need: tables of text, numbers, truth values and lists; `tomllib` reads it."""

import json
import re
from collections.abc import Mapping
from typing import cast

__all__ = ["format_toml"]

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def format_toml(content: Mapping[str, object]) -> str:
    """Return `content` as TOML that `tomllib` reads back to an equal value.

    Args:
        content: Text, booleans, integers, floats, lists of these, and tables (mappings) of all that, to any depth.

    Example:
        >>> print(format_toml({"name": "a", "training": {"epochs": 3}}), end="")
        name = "a"
        <BLANKLINE>
        [training]
        epochs = 3
    """
    return "\n".join(_tables(content, ())) + "\n"


def _tables(table: Mapping[str, object], path: tuple[str, ...]) -> list[str]:
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    if path and (lines or len(plain) == len(table)):
        lines.insert(0, f"[{'.'.join(_key(part) for part in path)}]")
    for key, value in table.items():
        if isinstance(value, Mapping):
            inner = _tables(cast("Mapping[str, object]", value), (*path, key))
            lines += ["", *inner] if lines else inner
    return lines


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, list | tuple):
        items = cast("list[object]", value)
        return f"[{', '.join(_value(item) for item in items)}]"
    raise TypeError(
        f"expected text, a number, a truth value or a list of them, got {type(value).__name__}; write it as text"
    )


def _text(text: str) -> str:
    # JSON's escapes are TOML's, but for the one control character that JSON leaves as it is.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
