import copy

import pytest
import torch
from torch import Tensor, nn

from tests.networks import assert_same, kept_of, make_generator, make_model, shared_model
from widthwise._shared import DataError, TraceError
from widthwise.elastic import Elastic, Law
from widthwise.elastic.engines.traced import TracedEngine
from widthwise.graph import Example
from widthwise.slicing import Form, has_batch_norm, recalibrate, recalibrate_module
from widthwise.slicing.finish.calibrate import find_statistics

WIDTHS = {"mlp-norm": {"fc1": 4, "fc2": 3}, "resnet": {"stem": 3}}


def make_batches(shape: tuple[int, ...], sizes: tuple[int, ...] = (4, 7, 3)) -> list[Tensor]:
    generator = make_generator(1)
    return [torch.randn(size, *shape, generator=generator, dtype=torch.float64) + 1 for size in sizes]


def recalibrate_as_pytorch_does(net: nn.Module, batches: list[Tensor]) -> None:
    """Running statistics by cumulative average, on the network's own BatchNorm modules."""
    norms = [module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    with torch.no_grad():
        for batch in batches:
            net(batch)
    net.eval()


@pytest.mark.parametrize(("name", "shape"), [("mlp-norm", (2, 3)), ("resnet", (2, 6, 6))])
def test_recalibration_is_that_of_pytorch(name: str, shape: tuple[int, ...]) -> None:
    model = shared_model(name)
    batches = make_batches(shape)
    expected = model.extract(WIDTHS[name], form="module")
    before = copy.deepcopy(expected)
    recalibrate_as_pytorch_does(expected, batches)

    for form in ("module", "graph"):
        small = model.extract(WIDTHS[name], calibrate=batches, form=form)
        own = {key: value for key, value in small.named_buffers() if "num_batches" not in key}
        assert_same(own, {key: value for key, value in expected.named_buffers() if "num_batches" not in key})
        assert_same(small(batches[0]), expected(batches[0]))
        assert not torch.allclose(small(batches[0]), before(batches[0]))


@pytest.mark.parametrize("form", ["module", "graph"])
@pytest.mark.parametrize(("name", "shape"), [("mlp-norm", (2, 3)), ("resnet", (2, 6, 6))])
def test_a_module_is_recalibrated_as_its_graph_is(name: str, shape: tuple[int, ...], form: Form) -> None:
    model, batches = shared_model(name), make_batches(shape)
    small = model.extract(WIDTHS[name], form=form)
    recalibrate_module(small, [Example(args=(batch,), kwargs={}) for batch in batches])
    assert_same(small.state_dict(), model.extract(WIDTHS[name], form=form, calibrate=batches).state_dict())
    assert not any(module.training for module in small.modules())


def test_functions_that_normalise_are_recalibrated_and_one_that_uses_its_batch_is_not() -> None:
    class Functions(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            for name in "abcd":
                self.register_buffer(f"mean_{name}", torch.zeros(3, dtype=torch.float64))
                self.register_buffer(f"var_{name}", torch.ones(3, dtype=torch.float64))

        def forward(self, x: Tensor) -> Tensor:
            one = torch.batch_norm(x, None, None, self.mean_a, self.var_a, False, 0.1, 1e-5, False)
            norm = torch.ops.aten._native_batch_norm_legit_no_training.default
            other = norm(x, None, None, self.mean_b, self.var_b, 0.1, 1e-5)[0]
            third = torch.ops.aten.batch_norm.default(x, None, None, self.mean_c, self.var_c, False, 0.1, 1e-5, False)
            fourth = nn.functional.batch_norm(x, self.mean_d, self.var_d, training=True, momentum=0.0)
            return torch.stack([one, other, third, fourth])

    net, (batch,) = Functions().eval(), make_batches((3,), (6,))
    recalibrate_module(net, [Example(args=(batch,), kwargs={})])
    assert_same([net.mean_a, net.mean_b, net.mean_c], [batch.mean(0)] * 3)
    assert_same([net.var_a, net.var_b, net.var_c], [batch.var(0)] * 3)
    assert_same([net.mean_d, net.var_d], [torch.zeros(3, dtype=torch.float64), torch.ones(3, dtype=torch.float64)])
    assert_same(net(batch)[0], net(batch)[2])


def test_a_module_needs_batches_of_several_values() -> None:
    net = nn.BatchNorm1d(3, dtype=torch.float64).eval()
    with pytest.raises(DataError, match=r"^calibration needs at least one batch, got an empty loader; pass training"):
        recalibrate_module(net, [])
    with pytest.raises(
        DataError, match=r"more than one value per channel in every batch, got shape \(1, 3\); use larger"
    ):
        recalibrate_module(net, [Example(args=(make_batches((3,), (1,))[0],), kwargs={})])
    assert not net.running_mean.any()


def test_recalibration_leaves_the_full_network_alone() -> None:
    model = shared_model("mlp-norm")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    model.extract(0.5, calibrate=make_batches((2, 3)))
    model.extract(1.0, calibrate=make_batches((2, 3)))
    assert_same(dict(model.state_dict()), before)


def test_a_norm_that_runs_twice_averages_over_its_calls() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.norm, self.head = nn.Linear(3, 6), nn.BatchNorm1d(6), nn.Linear(6, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.relu(self.norm(torch.relu(self.norm(self.fc(x))))))

    model = Elastic(Twice().double(), (torch.randn(4, 3, dtype=torch.float64),), law=Law(lowest=0.1))
    batches = make_batches((3,))
    expected = model.extract(0.5)
    recalibrate_as_pytorch_does(expected, batches)
    assert_same(model.extract(0.5, calibrate=batches).norm.running_var, expected.norm.running_var)


def test_the_first_2048_samples_are_enough() -> None:
    model = shared_model("mlp-norm")
    batches = make_batches((2, 3), (1000, 1000, 1000))

    def loader() -> object:
        yield from batches
        raise AssertionError("a loader is not read further than needed")

    small = model.extract(0.5, calibrate=loader())
    assert_same(small.state_dict(), model.extract(0.5, calibrate=batches).state_dict())


def test_labels_are_left_out() -> None:
    model = shared_model("mlp-norm")
    batches = make_batches((2, 3))
    labelled = [(batch, torch.zeros(len(batch), dtype=torch.int64)) for batch in batches]
    assert_same(model.extract(0.5, calibrate=labelled).state_dict(), model.extract(0.5, calibrate=batches).state_dict())


def test_a_network_without_batch_norm_reads_no_loader() -> None:
    assert has_batch_norm(shared_model("mlp-norm")._engine.sliced.evaluation.program)
    assert not has_batch_norm(shared_model("mlp")._engine.sliced.evaluation.program)
    loader = iter(make_batches((6,)))
    shared_model("mlp").extract(0.5, calibrate=loader)
    assert len(list(loader)) == 3


def test_an_empty_loader_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        shared_model("mlp-norm").extract(0.5, calibrate=[])
    assert str(caught.value) == "calibration needs at least one batch, got an empty loader; pass training samples"


def test_a_batch_of_one_sample_is_an_error() -> None:
    with pytest.raises(DataError) as caught:
        shared_model("mlp-norm").extract(0.5, calibrate=make_batches((2, 3), (4, 1)))
    assert str(caught.value) == (
        "calibration needs more than one value per channel in every batch, got shape (1, 5); use larger batches "
        "(drop_last=True of a DataLoader leaves out a last batch of one sample)"
    )


def test_samples_of_another_shape_are_an_error() -> None:
    with pytest.raises(
        TraceError, match=r"^input x_bi must have shape \(batch, 2, 3\) as in example_inputs, got \(4, 7\)"
    ):
        shared_model("mlp-norm").extract(0.5, calibrate=make_batches((7,)))


def test_statistics_are_returned_by_name() -> None:
    model = make_model("mlp-norm")
    runner = model._engine.sliced.evaluation
    kept = kept_of(model, {"fc1": 4, "fc2": 3})
    program = runner.program
    found = recalibrate(
        program, program.sizes(kept), runner.cut_state(kept), [[batch] for batch in make_batches((2, 3))]
    )
    assert {name: tuple(value.shape) for name, value in found.items()} == {
        "norm1.running_mean": (4,), "norm1.running_var": (4,), "norm2.running_mean": (3,), "norm2.running_var": (3,),
    }  # fmt: skip


def test_statistics_are_found_by_name() -> None:
    engine = make_model("mlp-norm").engine
    assert isinstance(engine, TracedEngine)
    names = ["norm1.running_mean", "norm1.running_var", "norm2.running_mean", "norm2.running_var"]
    assert find_statistics(engine.sliced.evaluation.program) == names
