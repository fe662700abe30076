"""The Python of a Markdown page, to be run from top to bottom as one script.

A fenced block marked python runs. `<!-- not run -->` on the line before one leaves it out, and an HTML comment that
begins with `<!-- python` holds code that runs and is not shown, to set up what the page takes for granted.
"""

import re

_PART = re.compile(
    r"^<!-- python\n(?P<hidden>.*?)^-->$|^(?P<skip><!-- not run -->\n)?^```python\n(?P<shown>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


def read_script(page: str) -> str:
    """Return the code of the page, each line where it stands on the page, so that an error tells the page's line."""
    script = ["\n"] * (page.count("\n") + 1)
    for part in _PART.finditer(page):
        name = "hidden" if part["hidden"] is not None else "shown"
        if part["skip"]:
            continue
        first = page.count("\n", 0, part.start(name))
        lines = part[name].splitlines(keepends=True)
        script[first : first + len(lines)] = lines
    return "".join(script)
