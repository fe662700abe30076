from pathlib import Path

import pytest

from tests.docs.pages import read_script

ROOT = Path(__file__).parents[2]
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if page.exists()]

PAGE = """# Title

<!-- python
x = 1
-->

```python
x += 1
```

```sh
x += 10
```

<!-- not run -->
```python
x += 100
```

```python
x += 1000
```
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    script = read_script(page.read_text(encoding="utf-8"))
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(script, str(page), "exec"), names)
    assert len(names) > 1 or not script.strip()


def test_shown_and_hidden_blocks_run_and_marked_ones_do_not() -> None:
    names: dict[str, object] = {}
    exec(read_script(PAGE), names)
    assert names["x"] == 1002


def test_code_stands_on_the_line_of_its_page() -> None:
    lines = read_script(PAGE).splitlines()
    assert [(number, line) for number, line in enumerate(lines, 1) if line] == [
        (4, "x = 1"),
        (8, "x += 1"),
        (21, "x += 1000"),
    ]
