import copy
import io
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from tests.untraceable import FEED_FORWARD, HEADS, Block, make_convolutions, make_model, make_net
from widthwise._shared import TraceError, WidthWarning
from widthwise.elastic import Elastic, Law, export

MODEL = make_model()


def test_no_trace_can_follow_these_networks() -> None:
    with pytest.raises(TraceError):
        Elastic(make_net(), (torch.randn(4, 5, 8),))


def test_full_width_is_the_network_itself() -> None:
    model, x = make_model(), torch.randn(4, 5, 8)
    assert torch.equal(model(x), model.net(x))
    with model.at(1.0):
        assert torch.equal(model(x), model.net(x))


@given(heads=st.integers(1, 4), hidden=st.integers(1, 16), other=st.integers(1, 16))
def test_what_is_run_is_what_is_taken_home(heads: int, hidden: int, other: int) -> None:
    model, x = MODEL, torch.randn(2, 3, 8)
    width = {"0.qkv": heads, "0.fc1": hidden, "1.fc1": other}
    small = model.extract(width)
    with model.at(width):
        torch.testing.assert_close(small(x), model(x))
    assert small[0].num_heads == heads
    assert small[1].fc1.out_features == other
    assert small[0].norm.normalized_shape == (hidden,)
    assert isinstance(small[0], Block)


def test_the_kept_part_of_the_full_tensors_gets_all_the_gradient() -> None:
    model, x = make_model(), torch.randn(4, 5, 8)
    with model.at(0.5):
        model(x).square().sum().backward()
    grad = model.net[0].fc1.weight.grad
    assert grad.shape == (16, 8)
    assert grad[:8].abs().min() > 0
    assert torch.equal(grad[8:], torch.zeros(8, 8))


def test_everything_is_as_it_was_after_a_call_and_after_one_that_fails() -> None:
    model, x = make_model(), torch.randn(4, 5, 8)
    before = {name: id(tensor) for name, tensor in model.net.named_parameters()}
    with model.at(0.25):
        model(x)
        with pytest.raises(RuntimeError):
            model(torch.randn(4, 5, 9))
    assert {name: id(tensor) for name, tensor in model.net.named_parameters()} == before
    assert model.net[0].num_heads == 4
    assert model.net[0].norm.normalized_shape == (16,)
    assert torch.equal(model(x), model.net(x))


def test_training_runs_each_sample_once_at_the_drawn_widths() -> None:
    model = make_model(law=Law(chunks=2)).train()
    model(torch.randn(5, 5, 8))  # the first step tries which outputs have the batch
    seen: list[tuple[int, int]] = []
    model.net[0].fc1.register_forward_hook(lambda layer, _, out: seen.append((len(out), layer.out_features)))
    out = model(torch.randn(5, 5, 8))
    assert out.shape == (5, 5, 3)
    assert [number for number, _ in seen] == [3, 2]
    assert seen[0][1] == 16 > seen[1][1]
    out.sum().backward()
    assert all(parameter.grad is not None for parameter in model.net.parameters())


def test_the_chunks_are_joined_in_their_order() -> None:
    model, x = make_model(law=Law(chunks=4)).train(), torch.randn(8, 5, 8)
    out = model(x)
    model.eval()
    torch.testing.assert_close(out[:2], model(x[:2]))


def test_outputs_without_a_batch_are_averaged() -> None:
    class Loss(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = Block()

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.body(x)
            return {"y": y, "loss": y.mean()}

    names = {name.replace("{}", "body"): shape for name, shape in FEED_FORWARD.items()}
    torch.manual_seed(0)
    model = Elastic(Loss(), groups=[names], law=Law(chunks=2)).train()
    out = model(torch.randn(4, 5, 8))
    assert out["y"].shape == (4, 5, 8)
    torch.testing.assert_close(out["loss"], out["y"].mean())


def test_running_statistics_follow_the_part_at_full_width() -> None:
    model = make_convolutions(law=Law(chunks=2)).train()
    twin = copy.deepcopy(model.net)
    x = torch.randn(6, 3, 5, 5)
    model(x)
    twin(x[:3])
    for name, buffer in model.net.named_buffers():
        torch.testing.assert_close(buffer, dict(twin.named_buffers())[name])


def test_a_law_of_one_chunk_updates_the_statistics_that_it_ran() -> None:
    model = make_convolutions(law=Law(chunks=1, p=1.0, lowest=0.25)).train()
    before = model.net.norm1.running_mean.clone()
    moved = torch.zeros(8, dtype=torch.bool)
    for _ in range(4):
        model(torch.randn(6, 3, 5, 5))
        moved |= model.net.norm1.running_mean != before
    assert moved[0]
    assert model.net.norm1.num_batches_tracked == 4


def test_a_depthwise_convolution_has_as_many_groups_as_channels() -> None:
    model, x = make_convolutions(), torch.randn(4, 3, 5, 5)
    loader = [torch.randn(16, 3, 5, 5) for _ in range(4)]
    small = model.extract(0.5, calibrate=loader)
    assert small.depth.groups == small.depth.in_channels == 4
    assert not small.training
    assert small(x).shape == (4, 3)
    means = torch.stack([model.net.a(batch)[:, :4].mean((0, 2, 3)) for batch in loader]).mean(0)
    torch.testing.assert_close(small.norm1.running_mean, means)
    assert small.norm1.momentum == 0.1


def test_statistics_of_another_width_are_warned_of() -> None:
    model = make_convolutions()
    with pytest.warns(WidthWarning, match="expected BatchNorm statistics"):
        model.extract(0.5)


def test_a_recurrent_layer_shrinks() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm, self.head = nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.lstm(x)[0][:, -1])

    torch.manual_seed(0)
    units = {
        "lstm.weight_ih_l0": "(4 n) _", "lstm.weight_hh_l0": "(4 n) n", "lstm.bias_*": "(4 n)", "head.weight": "_ n",
    }  # fmt: skip
    model, x = Elastic(Recurrent().eval(), (torch.randn(2, 5, 4),), groups=[units]), torch.randn(3, 5, 4)
    assert model.verify().frozen == {}
    with model.at({"lstm": 4}):
        viewed = model(x)
    small = model.extract({"lstm": 4})
    assert small.lstm.hidden_size == 4
    torch.testing.assert_close(small(x), viewed)
    assert torch.equal(model(x), model.net(x))


def test_right_groups_are_sound() -> None:
    model = make_model()
    found = model.verify(num_widths=2)
    assert found.is_sound
    assert found.frozen == {}
    assert len(found.widths) == 2
    assert make_convolutions().verify().is_sound


# The units of the norm lie in other places than those of its layer.
MISPLACED = {"weight": "(2 n) _", "bias": "(n + n)"}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"{}.norm.weight": None, "{}.norm.bias": None}, r"unsound, the network does not run \(Given normalized_shape"),
        (
            {
                **{f"{{}}.fc1.{name}": shape for name, shape in MISPLACED.items()},
                **dict.fromkeys(["{}.norm.weight", "{}.norm.bias"], "(2 n)"),
                "{}.fc2.weight": "_ (n 2)",
            },
            "unsound, the outputs depend on the order of its units: a member is missing or has other factors",
        ),
    ],
)
def test_a_wrong_group_is_frozen_with_its_reason(changes: dict[str, Any], reason: str) -> None:
    wrong = {name: shape for name, shape in (FEED_FORWARD | changes).items() if shape is not None}
    model = make_model(groups=[wrong, HEADS])
    with pytest.warns(WidthWarning, match=reason):
        found = model.verify()
    assert list(found.frozen) == ["0.fc1", "1.fc1"]
    assert model.groups.sizes == {"0.qkv": 4, "1.qkv": 4}
    assert model.widths(0.5) == {"0.qkv": 2, "1.qkv": 2}


def test_a_width_that_changes_nothing_is_frozen() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.idle = nn.Linear(4, 6), nn.Linear(6, 3), nn.Linear(4, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x))

    groups = [{"a.*": 0, "b.weight": 1}, {"idle.*": 0}]
    model = Elastic(Idle().eval(), (torch.randn(2, 4),), groups=groups)
    with pytest.warns(WidthWarning, match="unsound, its width changes nothing"):
        assert list(model.verify().frozen) == ["idle"]


def test_a_parameter_whose_entries_are_equal_hides_nothing() -> None:
    model = make_model()
    nn.init.zeros_(model.net[0].fc1.bias)
    assert model.verify().frozen == {}


def test_macs_are_those_of_the_small_network() -> None:
    model = Elastic(
        nn.Sequential(nn.Linear(4, 8), nn.Linear(8, 3)), (torch.randn(2, 4),), groups=[{"0.*": 0, "1.weight": 1}]
    )
    assert model.macs() == 4 * 8 + 8 * 3
    assert model.macs(0.5) == 4 * 4 + 4 * 3


def test_copies_and_weights_are_independent() -> None:
    model, x = make_model(), torch.randn(4, 5, 8)
    other = copy.deepcopy(model)
    nn.init.zeros_(model.net[0].fc1.weight)
    with other.at(0.5), make_model().at(0.5) as fresh:
        torch.testing.assert_close(other(x), fresh(x))
    buffer = io.BytesIO()
    torch.save(model, buffer)
    buffer.seek(0)
    restored = torch.load(buffer, weights_only=False)
    with restored.at(0.5), model.at(0.5):
        torch.testing.assert_close(restored(x), model(x))


def test_the_weights_can_be_exported(tmp_path: Any) -> None:
    found = export(make_model(), 0.5, tmp_path / "small.safetensors")
    assert found.max_difference == 0


def test_an_example_is_needed_only_where_it_is_asked_for() -> None:
    model, x = Elastic(make_net(), groups=[FEED_FORWARD]), torch.randn(4, 5, 8)
    with model.at(0.5):
        torch.testing.assert_close(model.extract(0.5)(x), model(x))
    assert model.train()(x).shape == (4, 5, 3)
    for ask in (model.verify, model.macs, lambda: model.example_args):
        with pytest.raises(TraceError, match="expected to know what a call looks like, got no example_inputs; pass th"):
            ask()
