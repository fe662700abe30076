import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.pages import find_marks, read_script

ROOT = Path(__file__).parents[2]
# That bring the packages which pages name; loops brings the others.
EXTRAS = {"onnxruntime": "export", "executorch": "executorch", "torchao": "int8"}
PAGES = [page for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))] if page.exists()]

MARKED = [
    pytest.param(page, mark, id=f"{page.relative_to(ROOT).as_posix()} {mark}")
    for page in PAGES
    for mark in find_marks(page.read_text(encoding="utf-8"))
]

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

<!-- needs json -->
```python
x += 2000
```

```python
x += 1000
```
"""


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_the_examples_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    names = run(page)
    assert len(names) > 1 or not read_script(page.read_text(encoding="utf-8")).strip()


@pytest.mark.slow
# What other packages think of a loader without workers, of small networks and of each other.
@pytest.mark.filterwarnings("ignore::Warning:lightning", "ignore::Warning:transformers", "ignore::Warning:accelerate")
@pytest.mark.parametrize(("page", "mark"), [each for each in MARKED if "needs" in each.values[1]])
def test_the_examples_that_need_a_package_run(
    page: Path, mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = mark.removeprefix("needs ")
    pytest.importorskip(package, reason=f"needs {package}: pip install 'widthwise[{EXTRAS.get(package, 'loops')}]'")
    monkeypatch.chdir(tmp_path)
    assert run(page, mark).keys() > run(page).keys()


@pytest.mark.slow
@pytest.mark.parametrize(("page", "mark"), [each for each in MARKED if each.values[1] == "torchrun"])
def test_the_examples_of_several_processes_run(page: Path, mark: str, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(read_script(page.read_text(encoding="utf-8"), mark, alone=True), encoding="utf-8")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=180, env={**os.environ, "PYTHONPATH": path}
    )
    assert done.returncode == 0, done.stderr


def run(page: Path, *marks: str) -> dict[str, object]:
    """Run the script of a page; returns the names that it leaves behind."""
    names: dict[str, object] = {"__name__": "__main__"}
    exec(compile(read_script(page.read_text(encoding="utf-8"), *marks), str(page), "exec"), names)
    return names


def test_shown_and_hidden_blocks_run_and_marked_ones_do_not() -> None:
    names: dict[str, object] = {}
    exec(read_script(PAGE), names)
    assert names["x"] == 1002


def test_a_marked_block_runs_where_its_mark_is_asked_for() -> None:
    assert find_marks(PAGE) == ["not run", "needs json"]
    names: dict[str, object] = {}
    exec(read_script(PAGE, "needs json"), names)
    assert names["x"] == 3002
    assert read_script(PAGE, "needs json", alone=True).strip() == "x += 2000"


def test_code_stands_on_the_line_of_its_page() -> None:
    lines = read_script(PAGE).splitlines()
    assert [(number, line) for number, line in enumerate(lines, 1) if line] == [
        (4, "x = 1"),
        (8, "x += 1"),
        (26, "x += 1000"),
    ]
