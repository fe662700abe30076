import struct
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
import torch
from torch import nn

from widthwise._shared import GroupError, MissingExtraError
from widthwise.elastic import Elastic
from widthwise.groups import FrozenAxis, Group, Groups, Member
from widthwise.report import draw_map
from widthwise.report.map import _MARKS, _SHIFTS
from widthwise.zoo import MLP

NET = MLP([5, 8, 6, 3])
GROUPS = Elastic(NET, (torch.zeros(2, 5),)).groups


def make_deep(num_groups: int) -> tuple[Groups, nn.Module]:
    """A chain of layers, and its groups as they would be found."""
    net = nn.Sequential(*(nn.Linear(4, 4) for _ in range(num_groups + 1)))
    groups = [
        Group(
            name=f"encoder.layers.{i}.a_long_name_of_a_layer.self_attention",
            size=4,
            key=i,
            kind="heads" if i % 2 else "units",
            follows=i % 3 > 0,
            members=(Member(target=f"{i}.weight", axis=0), Member(target=f"{i + 1}.weight", axis=1)),
        )
        for i in range(num_groups)
    ]
    return Groups(groups, [FrozenAxis(target="0.weight", axis=1, size="4", reason="input of the model")]), net


def texts(path: Path) -> list[str]:
    return ["".join(text.itertext()) for text in ET.parse(path).iter("{http://www.w3.org/2000/svg}text")]


def size(path: Path) -> tuple[float, float]:
    root = ET.parse(path).getroot()
    return float(root.attrib["width"].removesuffix("pt")), float(root.attrib["height"].removesuffix("pt"))


def test_every_module_and_group_is_named(tmp_path: Path) -> None:
    draw_map(GROUPS, NET, tmp_path / "map.svg")
    found = " ".join(texts(tmp_path / "map.svg"))
    for words in ("MLP: 2 width groups", "fc1", "fc2", "head", "8 units", "6 units", "frozen", "produces", "reads"):
        assert words in found


def test_kinds_and_what_moves_by_name_only_are_told(tmp_path: Path) -> None:
    member = Member(target="fc1.weight", axis=0)
    groups = [
        Group(name="a", size=4, key=1, kind="heads", members=(member,)),
        Group(name="b", size=32, key=2, kind="stream", follows=False, members=(member,)),
    ]
    draw_map(Groups(groups, []), NET, tmp_path / "map.svg")
    found = " ".join(texts(tmp_path / "map.svg"))
    assert "4 heads" in found
    assert "32 units, stream, by name" in found


def test_marks_differ_without_colour() -> None:
    assert len({(mark["marker"], mark.get("fillstyle")) for mark in _MARKS.values()}) == len(_MARKS)
    assert _SHIFTS["produces"] != _SHIFTS["reads"]


def test_a_picture_grows_with_its_network(tmp_path: Path) -> None:
    for number in (3, 60):
        draw_map(*make_deep(number), tmp_path / f"{number}.svg")
    small, large = size(tmp_path / "3.svg"), size(tmp_path / "60.svg")
    assert large[0] - small[0] > 40 * 0.4 * 72
    assert large[1] - small[1] > 57 * 0.19 * 72


def test_of_sixty_groups_each_is_named_on_both_sides_with_its_middle_left_out(tmp_path: Path) -> None:
    draw_map(*make_deep(60), tmp_path / "map.svg")
    found = texts(tmp_path / "map.svg")
    assert sum("encoder.layers.59" in text and "self_attention" in text and "…" in text for text in found) == 2
    assert found.count("60") == 2


@pytest.mark.parametrize("number", [3, pytest.param(60, marks=pytest.mark.slow)])
def test_no_letter_leaves_the_picture(number: int, tmp_path: Path) -> None:
    image = pytest.importorskip("matplotlib.image")
    draw_map(*make_deep(number), tmp_path / "map.png")
    grey = image.imread(tmp_path / "map.png")[..., :3].mean(axis=2)
    inner = grey[8:-8, 8:-8]
    assert inner.min() < 0.5
    assert min(grey[:8].min(), grey[-8:].min(), grey[:, :8].min(), grey[:, -8:].min()) > 0.99


@pytest.mark.slow
def test_what_matplotlib_cannot_draw_in_fine_dots_is_drawn_in_coarser_ones(tmp_path: Path) -> None:
    net = nn.Sequential(*(nn.Linear(1, 1) for _ in range(2500)))
    groups = make_deep(1)[0]
    draw_map(groups, net, tmp_path / "map.png")
    assert struct.unpack(">II", (tmp_path / "map.png").read_bytes()[16:24])[1] <= 60_001


@pytest.mark.parametrize("ending", ["svg", "png", "pdf"])
def test_the_same_groups_are_the_same_file(ending: str, tmp_path: Path) -> None:
    for name in ("first", "second"):
        draw_map(GROUPS, NET, tmp_path / f"{name}.{ending}")
    assert (tmp_path / f"first.{ending}").read_bytes() == (tmp_path / f"second.{ending}").read_bytes()


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(GroupError) as caught:
        draw_map(GROUPS, NET, tmp_path / "map.jpg")
    assert str(caught.value) == "expected a file name ending in .png, .svg, .pdf, got map.jpg; choose one of them"


def test_a_missing_folder_is_an_error_of_groups(tmp_path: Path) -> None:
    with pytest.raises(GroupError, match=r"^expected to be able to write .*map\.png, got: "):
        draw_map(GROUPS, NET, tmp_path / "absent" / "map.png")


def test_a_picture_that_fails_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figure = pytest.importorskip("matplotlib.figure")

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("no such luck")

    (tmp_path / "map.svg").write_text("old")
    monkeypatch.setattr(figure.Figure, "savefig", fail)
    with pytest.raises(RuntimeError, match="no such luck"):
        draw_map(GROUPS, NET, tmp_path / "map.svg")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("map.svg", "old")]


def test_without_matplotlib_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError) as caught:
        draw_map(GROUPS, NET, tmp_path / "map.png")
    assert str(caught.value) == "plotting needs matplotlib; install it with: pip install 'widthwise[plot]'"
    assert list(tmp_path.iterdir()) == []
