"""The Python of a Markdown page, to be run from top to bottom as one script.

A fenced block marked python runs. A comment on the line before one says when it does: `<!-- not run -->` never,
`<!-- needs NAME -->` where that package is installed, `<!-- torchrun -->` as a script of its own in two processes. An
HTML comment that begins with `<!-- python` holds code that runs and is not shown, to set up what the page takes for
granted.
"""

import re

_PART = re.compile(
    r"^<!-- python\n(?P<hidden>.*?)^-->$"
    r"|^(?:<!-- (?P<mark>not run|torchrun|needs \w+) -->\n)?^```python\n(?P<shown>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def read_script(page: str, *marks: str, alone: bool = False) -> str:
    """Return the code of the page, each line where it stands on the page, so that an error tells the page's line.

    Args:
        page: The text of the page.
        marks: Which marked blocks run, such as "needs accelerate".
        alone: Whether blocks without such a mark are left out.
    """
    script = ["\n"] * (page.count("\n") + 1)
    for part in _PART.finditer(page):
        name = "hidden" if part["hidden"] is not None else "shown"
        if part["mark"] not in (marks if alone else (None, *marks)):
            continue
        first = page.count("\n", 0, part.start(name))
        lines = part[name].splitlines(keepends=True)
        script[first : first + len(lines)] = lines
    return "".join(script)


def find_marks(page: str) -> list[str]:
    """Return the marks of the blocks of a page, each once."""
    return list(dict.fromkeys(part["mark"] for part in _PART.finditer(page) if part["mark"]))
