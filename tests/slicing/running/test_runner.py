import pytest
import torch
from torch import Tensor, nn

from tests.networks import CASES, assert_same, kept_of, make_generator, make_model, reset_model, shared_model
from widthwise._shared import TraceError, WidthError
from widthwise.elastic import Elastic, Law
from widthwise.slicing import Runner


def runner_of(model: Elastic) -> Runner:
    return model._engine.sliced.evaluation


def leaves(name: str, batch: int) -> list[Tensor]:
    args, kwargs = CASES[name].sample(batch, make_generator(0), torch.float64)
    return [*args, *kwargs.values()]


def test_state_follows_a_parameter_that_was_replaced() -> None:
    model = make_model("mlp")
    new = nn.Parameter(torch.zeros(10, 6, dtype=torch.float64))
    model.net.fc1.weight = new
    index = [entry.target for entry in runner_of(model).program.state].index("fc1.weight")
    assert runner_of(model).state()[index] is new


def test_cut_state_is_made_of_views() -> None:
    model = shared_model("mlp")
    kept = kept_of(model, {"fc1": 4, "fc2": 3})
    parts = runner_of(model).cut_state(kept)
    assert [tuple(part.shape) for part in parts] == [(4, 6), (4,), (3, 4), (3,), (3, 3), (3,)]
    for part, whole in zip(parts, runner_of(model).state(), strict=True):
        assert part.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()


def test_the_batch_is_read_off_the_inputs() -> None:
    runner = runner_of(shared_model("dict"))
    assert runner.input_batch_axes == (0, 0)
    assert runner.output_batch_axes == (0, 0, None, None)
    assert runner.batch_of(leaves("dict", 7)) == 7


def test_running_together_is_running_one_by_one() -> None:
    model = shared_model("mlp").eval()
    kepts = [kept_of(model, {"fc1": 10, "fc2": 7}), kept_of(model, {"fc1": 3, "fc2": 1})]
    batches = [leaves("mlp", 2), leaves("mlp", 3)]
    together = runner_of(model).run_together(kepts, batches)
    assert_same(together, [runner_of(model).run(*pair) for pair in zip(kepts, batches, strict=True)])


def test_new_statistics_are_written_where_they_were_cut_from() -> None:
    model = reset_model("mlp-norm")
    runner, norm = model._engine.sliced.current, model.net.norm1
    before = {key: value.clone() for key, value in norm.named_buffers()}
    kept = kept_of(model, {"fc1": 4, "fc2": 7})
    values, _ = runner.run(kept, leaves("mlp-norm", 5))
    assert_same(dict(norm.named_buffers()), before)

    runner.write_back(kept, values)

    fed = nn.functional.linear(leaves("mlp-norm", 5)[0].flatten(1), model.net.fc1.weight[:4], model.net.fc1.bias[:4])
    assert_same(norm.running_mean[:4], 0.9 * before["running_mean"][:4] + 0.1 * fed.mean(0))
    assert_same(norm.running_var[:4], 0.9 * before["running_var"][:4] + 0.1 * fed.var(0))
    assert torch.equal(norm.running_mean[4:], before["running_mean"][4:])
    assert norm.num_batches_tracked == before["num_batches_tracked"] + 1


def test_statistics_of_scattered_units_cannot_be_written() -> None:
    model = reset_model("mlp-norm")
    runner = model._engine.sliced.current
    kept = kept_of(model, {"fc1": torch.tensor([0, 2, 3]), "fc2": 7})
    values, _ = runner.run(kept, leaves("mlp-norm", 5))
    with pytest.raises(WidthError) as caught:
        runner.write_back(kept, values)
    assert str(caught.value) == (
        "buffer norm1.running_mean can be updated at prefixes only, got scattered units; run it in evaluation mode"
    )


def test_one_sample_cannot_be_normalised_by_its_own_statistics() -> None:
    model = reset_model("mlp-norm")
    assert model._engine.sliced.current.normalizes_batches
    assert not runner_of(model).normalizes_batches
    with model.at(0.5), pytest.raises(TraceError) as caught:
        model(leaves("mlp-norm", 1)[0])
    assert str(caught.value) == (
        "batch norm in training needs more than one value per channel, got inputs of shape (1, 10); give larger "
        "batches (drop_last=True of a DataLoader leaves out a last batch of one sample)"
    )
    assert not model.net.norm1.running_mean.isnan().any()


def test_one_picture_can_be_normalised_by_its_own_statistics() -> None:
    model = reset_model("resnet")
    (picture,) = leaves("resnet", 1)
    with model.at(0.5):
        assert model(picture).shape == (1, 3)
    assert not model.net.stem_norm.running_var.isnan().any()


class Folded(nn.Module):
    """Returns its batch folded with the positions, as language models do."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.fc(x))).flatten(0, 1)


def test_outputs_without_a_batch_axis_cannot_be_joined_but_run_at_any_width() -> None:
    model = Elastic(Folded(), (torch.randn(4, 5, 4),), law=Law(lowest=0.1))
    x = torch.randn(8, 5, 4)
    with model.eval().at(0.5):
        assert_same(model.extract(0.5)(x), model(x))
    with pytest.raises(TraceError, match=r"^the batch must be one axis of output 0, got the shape \(.*batch.*, 3\); "):
        model.train()(x)
    once = Elastic(Folded(), (torch.randn(4, 5, 4),), law=Law(lowest=0.1, chunks=1)).train()
    assert once(x).shape == (40, 3)


class Summed(nn.Module):
    """Adds up two parameters, whose gradients are then one and the same tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.fc, self.head = nn.Linear(4, 8), nn.Linear(8, 3)
        self.one, self.other = nn.Parameter(torch.ones(8)), nn.Parameter(torch.ones(8))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.fc(x) * (self.one + self.other))


def test_a_gradient_that_two_parameters_share_is_added_to_once() -> None:
    net = Summed()
    model = Elastic(net, (torch.randn(4, 4),), law=Law(lowest=0.1)).train()
    for _ in range(3):
        net.zero_grad()
        model(torch.randn(8, 4)).square().sum().backward()
        assert_same(net.one.grad, net.other.grad)
