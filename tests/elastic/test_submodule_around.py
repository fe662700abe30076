"""What stands around an elastic part: its uses outside, hooks, copies, files."""

import copy
import dataclasses
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import widthwise as ww
from tests.elastic.parts import (
    EXACT,
    FOUR,
    Encoder,
    Pictures,
    disturb,
    images,
    make_pictures,
    shared_pictures,
    wrap,
)
from tests.networks import assert_same, make_generator
from widthwise._shared import ExportError, GroupError, TraceError, WidthError
from widthwise.elastic import Elastic
from widthwise.zoo.models import MLP

HALF = {"encoder.conv": 4, "encoder.fc1": 8}


# --- what is used outside --------------------------------------------------------------------------------------------


class Tied(nn.Module):
    """Uses its encoder's first layer outside of it, in one of several ways."""

    def __init__(self, way: str) -> None:
        super().__init__()
        self.way = way
        self.encoder = MLP([4, 6, 7, 4])
        if way == "tied":
            self.out = nn.Linear(4, 6, bias=False)
            self.out.weight = self.encoder.fc1.weight
        elif way == "layer":
            self.first = self.encoder.fc1

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.encoder(x)
        if float(y.detach().sum()) == 0.5:
            return y, y
        if self.way == "called":
            return y, self.encoder.fc1(x)
        if self.way == "read":
            return y, x @ self.encoder.fc1.weight.t()
        return y, self.out(x) if self.way == "tied" else self.first(x)


@pytest.mark.parametrize("way", ["tied", "layer", "called", "read"])
def test_what_is_used_outside_keeps_its_size(way: str) -> None:
    x = torch.randn(4, 4, dtype=EXACT)
    model = wrap(Tied(way), (x,))
    assert model.groups.sizes == {"encoder.fc2": 7}
    frozen = {str(axis.target): (axis.reason, axis.remedy) for axis in model.groups.frozen if axis.axis == 0}
    assert frozen["encoder.fc1.weight"] == ("also used outside of encoder", "use it inside alone, or copy it")
    if way == "called":
        with pytest.raises(
            WidthError, match=r"^code outside of encoder asks for layers or attributes of it, which a gra"
        ):
            model.extract(0.5, form="graph")
    for form in ("module",) if way == "called" else ("graph", "module"):
        small = model.extract(0.5, form=form)
        with model.at(0.5):
            assert_same(small(x), model(x))
    if way == "tied":
        assert small.out.weight is small.encoder.get_parameter("fc1.weight")


def test_a_device_or_a_dtype_that_is_asked_for_outside_is_no_use() -> None:
    class Asking(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = MLP([4, 6, 3])

        def forward(self, x: Tensor) -> Tensor:
            weight = self.encoder.fc1.weight
            return self.encoder(x.to(weight.device, weight.dtype))

    assert wrap(Asking(), (torch.randn(4, 4, dtype=EXACT),)).groups.sizes == {"encoder.fc1": 6}


class Counting(nn.Module):
    """Divides by a size of a layer of its encoder."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MLP([4, 6, 3])

    def forward(self, x: Tensor) -> Tensor:
        return self.encoder(x) / self.encoder.fc1.weight.shape[0]


def test_code_outside_that_depends_on_widths_inside_is_found() -> None:
    model = wrap(Counting(), (torch.randn(4, 4, dtype=EXACT),))
    with pytest.raises(
        GroupError,
        match=r"^code outside of encoder must not depend on the widths inside of it, but at \{'encoder.fc1': ",
    ):
        model.verify(num_widths=3)


def test_sound_networks_are_verified() -> None:
    found = shared_pictures().verify(num_widths=1)
    assert found.is_sound
    assert {name for widths in found.widths for name in widths} == HALF.keys()


def test_outputs_of_any_class_are_verified() -> None:
    @dataclasses.dataclass
    class Found:
        scores: Tensor
        name: str = "found"

    class Describing(Counting):
        def forward(self, x: Tensor) -> Any:
            return Found(self.encoder(x) if len(x) else x)

    assert wrap(Describing(), (torch.randn(4, 4, dtype=EXACT),)).verify(num_widths=1).is_sound


# --- around it -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", [1.0, 0.5])
@pytest.mark.parametrize("training", [True, False])
def test_hooks_of_the_part_run_once_and_nothing_is_left_behind(width: float, training: bool) -> None:
    net = disturb(Pictures().double())
    calls: list[tuple[int, ...]] = []
    net.encoder.register_forward_pre_hook(lambda _, args: (args[0] + 1,))
    net.encoder.register_forward_hook(lambda _, __, outputs: calls.append(tuple(outputs.shape)) or outputs * 2)
    model = Elastic(net, (images(4),), law=FOUR, submodule="encoder").train(training)
    calls.clear()
    x = images()
    with model.at(width):
        got = model(x)
    assert calls == [(8, 5)]
    assert "forward" not in vars(net.encoder)
    small = model.extract(width).train(training)
    assert_same(small(x), got)
    assert len(calls) == 2
    assert_same(model.extract(width, form="graph")(x), model.extract(width, form="module")(x))


def test_a_forward_of_the_users_own_comes_back() -> None:
    net = disturb(Pictures().double())
    forward = net.encoder.forward
    net.encoder.forward = lambda image, scale=1.0: forward(image, scale=scale) + 1
    model, x = Elastic(net, (images(4),), law=FOUR, submodule="encoder").eval(), images()
    own = vars(net.encoder)["forward"]
    with model.at(1.0):
        full = model(x)
    with model.at({"encoder.fc1": 15}):
        narrow = model(x)
        with pytest.raises(TraceError):
            model(x[:, :, 0])
    assert not torch.equal(full, narrow)
    assert vars(net.encoder)["forward"] is own


def test_modes_buffers_and_random_numbers_are_left_alone() -> None:
    net = nn.Sequential(MLP([3, 6, 4], batch_norm=True), nn.Dropout(0.5)).double().train()
    net[0].eval()
    state, before = torch.get_rng_state(), copy.deepcopy(net.state_dict())
    Elastic(net, (torch.randn(4, 3, dtype=EXACT, generator=make_generator(0)),), submodule="0")
    assert [module.training for module in (net, net[0], net[1])] == [True, False, True]
    assert torch.equal(torch.get_rng_state(), state)
    assert_same(net.state_dict(), before)


@pytest.mark.parametrize("make_copy", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_compute_the_same_with_parameters_of_their_own(make_copy: Callable[[Elastic], Elastic]) -> None:
    model, x = shared_pictures(), images()
    with model.at(HALF):
        expected = model(x)
        other = make_copy(model)
    assert other.groups.to_dict() == model.groups.to_dict()
    with torch.no_grad(), other.at(HALF):
        assert_same(other(x), expected)
        for parameter in other.parameters():
            parameter.zero_()
        assert not other(x).any()
    with model.at(HALF):
        assert_same(model(x), expected)
    assert other.macs(HALF) == model.macs(HALF)


def test_a_model_moves_to_another_dtype() -> None:
    model, x = make_pictures().float(), images(dtype=torch.float32)
    with model.at(HALF):
        got = model(x)
    assert got.dtype == torch.float32
    assert model.example_batch(3)[0][0].dtype == torch.float32
    other = copy.deepcopy(model)
    with other.at(HALF):
        assert_same(other(x), got)
    assert_same(model.extract(HALF)(x), got)
    assert model.train()(x).dtype == torch.float32


def test_the_state_is_that_of_the_network() -> None:
    model = make_pictures()
    assert model.state_dict().keys() == model.net.state_dict().keys()
    assert model.elastic_state() == {}
    model.load_state_dict({key: value + 1 for key, value in model.state_dict().items()})


def test_macs_outside_are_those_of_full_width() -> None:
    model = shared_pictures()
    outside = 5 * 3
    assert model.macs() == 8 * 9 * 36 + 8 * 16 + 16 * 5 + outside
    assert model.macs(HALF) == 4 * 9 * 36 + 4 * 8 + 8 * 5 + outside


# --- curve and files -------------------------------------------------------------------------------------------------


def test_a_curve_is_measured_picked_from_and_found_again(tmp_path: Path) -> None:
    model, batches = shared_pictures(), [images(8)]
    scored: list[nn.Module] = []

    def score(net: nn.Module) -> float:
        scored.append(net)
        return float(net(images()).detach().sum())

    path = tmp_path / "curve.json"
    curve = ww.curve(model, score, widths=[0.5, 1.0], calibrate=batches, path=path)
    assert [point.macs for point in curve] == [model.macs(0.5), model.macs(1.0)]
    assert curve.pick(max_macs=model.macs(0.5)).widths == HALF
    assert ww.curve(model, score, widths=[0.5, 1.0], calibrate=batches, path=path) == curve
    # The narrowest is scored twice, to see whether that repeats.
    assert len(scored) == 3


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_weights_are_exported(suffix: str, tmp_path: Path) -> None:
    exported = ww.export(shared_pictures(), HALF, tmp_path / f"small{suffix}", calibrate=[images()])
    assert exported.max_difference == 0
    assert exported.num_inputs == 3


@pytest.mark.parametrize("suffix", [".pt2", ".onnx"])
def test_a_program_of_what_cannot_be_traced_is_a_clear_error(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match=r"^expected a network that torch\.export can write with any batch size, got: "
    ):
        ww.export(shared_pictures(), 1.0, tmp_path / f"small{suffix}")
    assert not list(tmp_path.iterdir())


def test_a_list_of_images_of_many_sizes_goes_through_curve_and_calibration() -> None:
    class Detector(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.head = Encoder(), nn.Linear(5, 3)

        def forward(self, pictures: list[Tensor]) -> list[Tensor]:
            padded = torch.stack([nn.functional.pad(each, (0, 6 - each.shape[-1])) for each in pictures])
            return list(self.head(self.encoder(padded)))

    pictures = [images(1)[0], images(1, seed=2)[0, :, :, :4]]
    model = wrap(Detector(), (pictures,))
    assert model.input_batch_axes == (None, None)
    small = model.extract(HALF, calibrate=[(pictures,), (pictures[::-1],)])
    assert not torch.equal(small.encoder.norm.running_mean, model.extract(HALF).encoder.norm.running_mean)
    with model.at(HALF):
        assert_same(model(pictures), model.extract(HALF)(pictures))
    (point,) = ww.curve(model, lambda net: float(net(pictures)[0].detach().sum()), widths=[1.0])
    assert point.macs == model.macs() == 8 * 9 * 36 + 8 * 16 + 16 * 5 + 5 * 3
    assert [len(row) for row in model.train()([*pictures, *pictures, *pictures, *pictures])] == [3] * 8
