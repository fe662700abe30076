from pathlib import Path

import pytest

from tests.house.imports import find_cycle, find_violations

PACKAGE = Path(__file__).parents[2] / "src" / "widthwise"

FLOORS = {
    "_shared": 0,
    "graph": 1,
    "groups": 2,
    "measure": 2,
    "patterns": 2,
    "zoo": 2,
    "slicing": 3,
    "elastic": 4,
    "methods": 5,
    "curves": 5,
    "training": 6,
    "compare": 7,
    "pattern_search": 7,
    "theory": 7,
    "report": 7,
    "explorer": 8,
    "cli": 9,
}

GOOD_TREE = {
    "__init__.py": "from house.top.roof import build\nfrom house import base\n",
    "base/__init__.py": "from house.base.stone import Stone\n",
    "base/stone.py": "import torch\n",
    "left/__init__.py": "",
    "left/wall.py": "from house.base import Stone\nfrom house.left.door import Door\n",
    "left/door.py": "import house.base.stone\n",
    "right/__init__.py": "",
    "top/__init__.py": "",
    "top/roof.py": "from house.left import wall\nfrom house import right\n",
}
TREE_FLOORS = {"base": 0, "left": 1, "right": 1, "top": 2}


def plant(folder: Path, tree: dict[str, str]) -> Path:
    package = folder / "house"
    for name, text in tree.items():
        file = package / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return package


def test_imports_go_strictly_down() -> None:
    assert (PACKAGE / "_shared").is_dir()
    assert find_violations(PACKAGE, FLOORS) == []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert find_cycle(PACKAGE) == []


def test_a_good_tree_has_no_violation_and_no_cycle(tmp_path: Path) -> None:
    package = plant(tmp_path, GOOD_TREE)
    assert find_violations(package, TREE_FLOORS) == []
    assert find_cycle(package) == []


@pytest.mark.parametrize(
    ("file", "text", "expected"),
    [
        ("base/stone.py", "import house.top.roof\n", "base/stone.py:1: base (floor 0) imports top (floor 2)"),
        ("left/wall.py", "from house.right import x\n", "left/wall.py:1: left (floor 1) imports right (floor 1)"),
        ("left/wall.py", "from house import top\n", "left/wall.py:1: left (floor 1) imports top (floor 2)"),
        ("left/wall.py", "def f():\n    from house.top import y\n", "left/wall.py:2: left (floor 1) imports top"),
        ("left/wall.py", "if TYPE_CHECKING:\n    from house.top import y\n", "left/wall.py:2: left (floor 1) imports"),
        ("left/wall.py", "from ..top import roof\n", "left/wall.py:1: left (floor 1) imports top (floor 2)"),
        ("left/wall.py", "from .. import top\n", "left/wall.py:1: left (floor 1) imports top (floor 2)"),
        ("left/wall.py", "x = import_module('house.top')\n", "left/wall.py:1: left (floor 1) imports top (floor 2)"),
        ("left/wall.py", "x = importlib.import_module('house.top')\n", "left/wall.py:1: left (floor 1) imports top"),
        ("left/wall.py", "from house import build\n", "left/wall.py:1: imports the face of the package"),
        ("left/wall.py", "import house\n", "left/wall.py:1: imports the face of the package"),
        ("left/wall.py", "import house.shed\n", "left/wall.py:1: imports shed, not a room"),
        ("garden/tree.py", "", "garden: a room without a floor"),
    ],
)
def test_each_forbidden_import_is_found(tmp_path: Path, file: str, text: str, expected: str) -> None:
    violations = find_violations(plant(tmp_path, GOOD_TREE | {file: text}), TREE_FLOORS)
    assert len(violations) == 1
    assert violations[0].startswith(expected)


def test_a_cycle_inside_a_room_is_found_wherever_its_imports_stand(tmp_path: Path) -> None:
    tree = GOOD_TREE | {"left/door.py": "def f():\n    from house.left.wall import paint\n"}
    cycle = find_cycle(plant(tmp_path, tree))
    assert set(cycle) == {"left/door.py", "left/wall.py"}
    assert cycle[0] == cycle[-1]
