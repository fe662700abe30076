import json
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Invoke, error_line
from widthwise.training import list_recipes

MODULE = """
import torch
from torch import nn

def make():
    return nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2)), (torch.zeros(2, 4),)

def make_alone():
    return nn.Linear(4, 2)

def make_without_groups():
    return nn.Linear(4, 2), (torch.zeros(2, 4),)

class Fixed(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.fc2(self.fc1(x.reshape(3, 4)).relu())

def make_fixed_batch():
    return Fixed(), (torch.zeros(3, 4),)

def make_damage():
    raise RuntimeError("no such luck")

number = 3
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A module in the current folder, under a name of its own, since modules are imported once per process."""
    name = f"nets_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    return name


def test_the_groups_of_a_recipe_and_what_is_frozen_are_shown(invoke: Invoke, recipe_file: Path) -> None:
    result = invoke("groups", recipe_file)
    assert result.exit_code == 0
    for words in ("fc1", "32", "fc2.weight[1]", "frozen", "output of the model"):
        assert words in result.stdout


def test_the_groups_of_a_run_are_those_of_its_recipe(invoke: Invoke, recipe_file: Path, trained: Path) -> None:
    assert invoke("groups", trained).stdout == invoke("groups", recipe_file).stdout


def test_a_factory_is_found_in_the_current_folder(invoke: Invoke, module: str) -> None:
    result = invoke("groups", f"{module}:make", "--json")
    assert result.exit_code == 0, result.stderr
    assert [group["size"] for group in json.loads(result.stdout)["groups"]] == [8]


def test_json_tells_names_sizes_and_reasons(invoke: Invoke, recipe_file: Path) -> None:
    content = json.loads(invoke("groups", recipe_file, "--json").stdout)
    assert [(group["name"], group["size"]) for group in content["groups"]] == [("fc1", 32), ("fc2", 32)]
    assert all(axis["reason"] for axis in content["frozen"])


def test_what_is_no_model_exits_2(invoke: Invoke) -> None:
    result = invoke("groups", "mnist-mpl")
    assert result.exit_code == 2
    assert error_line(result) == (
        f"expected a recipe ({', '.join(list_recipes())}), a run directory or module:factory, "
        "got 'mnist-mpl'; see widthwise recipes"
    )


def test_a_folder_without_a_run_exits_1(invoke: Invoke, tmp_path: Path) -> None:
    result = invoke("groups", tmp_path)
    assert result.exit_code == 1
    assert error_line(result).startswith(f"expected a run directory {tmp_path} with a run.json, got none; ")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("nothing", "expected a function nothing in module {}, got none; it has: make, make_alone, "),
        ("number", "expected a function number in module {}, got none; it has: make, "),
        ("make_alone", "expected {}:make_alone to return (net, example_inputs), got Linear; return such a pair"),
    ],
)
def test_a_factory_that_is_none_exits_2(invoke: Invoke, module: str, function: str, message: str) -> None:
    result = invoke("groups", f"{module}:{function}")
    assert result.exit_code == 2
    assert error_line(result).startswith(message.format(module))


def test_a_module_that_is_not_there_exits_2(invoke: Invoke) -> None:
    result = invoke("groups", "no_such_module_here.nets:make")
    assert result.exit_code == 2
    assert error_line(result) == (
        "expected a module no_such_module_here.nets that can be imported, got none; run from its folder"
    )


def test_a_network_without_groups_exits_1(invoke: Invoke, module: str) -> None:
    result = invoke("groups", f"{module}:make_without_groups")
    assert result.exit_code == 1
    assert error_line(result)


def test_a_batch_axis_that_cannot_be_told_exits_1(invoke: Invoke, module: str) -> None:
    result = invoke("groups", f"{module}:make_fixed_batch")
    assert result.exit_code == 1
    assert "batch" in error_line(result)


def test_an_error_of_the_users_own_code_is_one_line_with_the_way_to_its_trace(invoke: Invoke, module: str) -> None:
    result = invoke("groups", f"{module}:make_damage")
    assert result.exit_code == 1
    assert error_line(result) == "unexpected RuntimeError: no such luck; --debug shows the trace"


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_a_graph_is_drawn_and_its_path_printed_below_the_tables(invoke: Invoke, module: str, ending: str) -> None:
    plain = invoke("groups", f"{module}:make").stdout
    result = invoke("groups", f"{module}:make", "--graph", f"out.{ending}")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"{plain}\nwritten: out.{ending}\n"
    assert Path(f"out.{ending}").stat().st_size > 0


def test_json_stays_what_it_is_beside_a_graph(invoke: Invoke, module: str) -> None:
    plain = invoke("groups", f"{module}:make", "--json").stdout
    result = invoke("groups", f"{module}:make", "--json", "--graph", "out.svg")
    assert result.stdout == plain
    assert Path("out.svg").is_file()


def test_another_ending_of_a_graph_exits_2_before_the_network_is_made(invoke: Invoke, module: str) -> None:
    result = invoke("groups", f"{module}:make_damage", "--graph", "out.jpg")
    assert result.exit_code == 2
    assert error_line(result).startswith(
        "Invalid value: expected a file name ending in .png, .svg, .pdf, got out.jpg; choose one of them"
    )


def test_a_graph_without_matplotlib_exits_1_and_names_the_extra(
    invoke: Invoke, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = invoke("groups", f"{module}:make", "--graph", "out.svg")
    assert result.exit_code == 1
    assert error_line(result) == "plotting needs matplotlib; install it with: pip install 'widthwise[plot]'"
    assert not Path("out.svg").exists()


def test_each_reason_comes_with_what_would_unfreeze_it(invoke: Invoke, recipe_file: Path) -> None:
    words = "nothing: it is what the network gives"
    assert words in invoke("groups", recipe_file).stdout
    frozen = json.loads(invoke("groups", recipe_file, "--json").stdout)["frozen"]
    assert words in {axis["remedy"] for axis in frozen}
