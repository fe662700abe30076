"""What a law asks of training beside the plain loop: sandwiches, distillation, weights, a slow start, a width each."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from tests.networks import assert_same, make_generator
from widthwise._shared import GroupError, WidthError
from widthwise.elastic import LAWS, Distillation, Elastic, Law
from widthwise.elastic.step import start_step

X = torch.randn(12, 6, generator=make_generator(1), dtype=torch.float64)
Y = torch.randint(0, 4, (12,), generator=make_generator(2))


class Returns(nn.Module):
    """A network that computes its loss, as those of Hugging Face do."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor, labels: Tensor) -> dict[str, Tensor]:
        logits = self.net(inputs)
        return {"loss": cross_entropy(logits, labels), "logits": logits}


def make_net(*, norm: bool = False) -> nn.Sequential:
    torch.manual_seed(0)
    middle: list[nn.Module] = [nn.BatchNorm1d(32)] if norm else []
    return nn.Sequential(nn.Linear(6, 32), *middle, nn.ReLU(), nn.Linear(32, 24), nn.ReLU(), nn.Linear(24, 4)).double()


def make(law: Law | str = "log_uniform", **settings: Any) -> Elastic:
    return Elastic(make_net(), (X,), law=law, generator=make_generator(3), **settings).train()


def drawn(model: Elastic, law: Law) -> list[dict[str, int]]:
    return law.draw(model.groups.sizes, make_generator(3))


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.grad for name, parameter in model.named_parameters() if parameter.grad is not None}


# --- sandwiches -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [2, 3, 5])
def test_a_sandwich_is_the_mean_loss_of_its_widths_on_every_sample(number: int) -> None:
    law = Law(sandwich=number)
    model, twin = make(law), make(law)
    model.loss((X, Y), cross_entropy).backward()
    losses: list[Tensor] = []
    for widths in drawn(twin, law):
        with twin.at(widths):
            losses.append(cross_entropy(twin(X), Y))
    torch.stack(losses).mean().backward()
    assert_same(gradients(model), gradients(twin))


def test_distilled_widths_learn_from_the_full_one_alone() -> None:
    law = Law(sandwich=3, distillation=Distillation(weight=0.25, temperature=2.0))
    model, twin = make(law), make(law)
    model.loss((X, Y), cross_entropy).backward()
    full, *others = drawn(twin, law)
    with twin.at(full):
        teacher = twin(X)
    losses = [cross_entropy(teacher, Y)]
    for widths in others:
        with twin.at(widths):
            logits = twin(X)
        soft = -((teacher.detach() / 2).softmax(-1) * (logits / 2).log_softmax(-1)).sum(-1).mean() * 4
        losses.append(0.75 * cross_entropy(logits, Y) + 0.25 * soft)
    torch.stack(losses).mean().backward()
    assert_same(gradients(model), gradients(twin))


def test_weights_favour_narrow_widths_and_keep_their_mean() -> None:
    law = Law(sandwich=3, weight=0.5)
    model, twin = make(law), make(law)
    loss = model.loss((X, Y), cross_entropy)
    losses: list[Tensor] = []
    weights: list[float] = []
    for widths in drawn(twin, law):
        with twin.at(widths):
            losses.append(cross_entropy(twin(X), Y))
        weights.append(((widths["0"] / 32) * (widths["2"] / 24)) ** -0.25)
    expected = sum(w * each for w, each in zip(weights, losses, strict=True)) / sum(weights)
    assert_same(loss, expected)


def test_a_network_that_returns_its_loss_needs_no_criterion() -> None:
    for law in (Law(), Law(sandwich=3, distillation=Distillation())):
        inside = Elastic(Returns(make_net()), {"inputs": X, "labels": Y}, law=law, generator=make_generator(3)).train()
        outside = make(law)
        assert_same(inside.loss({"inputs": X, "labels": Y}), outside.loss((X, Y), cross_entropy))


def test_without_a_sandwich_the_loss_is_that_of_the_plain_loop() -> None:
    model, twin = make(), make()
    assert_same(model.loss((X, Y), cross_entropy), cross_entropy(twin(X), Y))
    model.eval()
    assert_same(model.loss((X, Y), cross_entropy), cross_entropy(model.net(X), Y))
    model.train()
    with model.at(0.5):
        assert_same(model.loss((X, Y), cross_entropy), cross_entropy(model(X), Y))


def test_a_sandwich_trains_batch_norm_at_full_width_only() -> None:
    law = Law(sandwich=4)
    model = Elastic(make_net(norm=True), (X,), law=law, generator=make_generator(3)).train()
    plain = make_net(norm=True).train()
    model.loss((X, Y), cross_entropy)
    plain(X)
    assert_same(dict(model.net.named_buffers()), dict(plain.named_buffers()))


# --- parts of a batch -------------------------------------------------------------------------------------------------


def test_weights_of_parts_scale_their_gradients_and_no_value() -> None:
    law = Law(weight=0.5)
    model, twin = make(law), make(replace(law, weight=0.0))
    out = model(X)
    assert_same(out, twin(X))
    out.sum().backward()
    draws = drawn(twin, law)
    weights = [((each["0"] / 32) * (each["2"] / 24)) ** -0.25 for each in draws]
    for widths, weight, part in zip(draws, weights, X.split(3), strict=True):
        with twin.at(widths):
            (twin(part).sum() * weight * 4 / sum(weights)).backward()
    assert_same(gradients(model), gradients(twin))


def test_a_width_per_sample_is_each_sample_at_its_width() -> None:
    law = Law(chunks="each", widths=4)
    model, twin = make(law), make(law)
    draws = law.draw(twin.groups.sizes, make_generator(3), batch=len(X))
    out = model(X)
    for i, widths in enumerate(draws):
        with twin.at(widths):
            assert_same(out[i : i + 1], twin(X[i : i + 1]))


def test_a_slow_start_counts_training_steps_and_goes_on_where_it_stopped() -> None:
    model = make(Law(slow_start=4))
    full = make_net()
    for _ in range(3):
        assert_same(model(X), full(X))
    state = model.elastic_state()
    assert int(state["num_steps"]) == 3
    again = make(Law(slow_start=4))
    again.load_elastic_state(state)
    again.generator.set_state(model.generator.get_state())
    for _ in range(3):
        assert_same(model(X), again(X))
    assert not torch.equal(model(X), full(X))
    model.eval()(X)
    assert int(model.elastic_state()["num_steps"]) == 7


def test_a_law_without_a_slow_start_keeps_no_count() -> None:
    assert make().elastic_state() == {}


# --- reach ------------------------------------------------------------------------------------------------------------


def test_a_law_of_the_head_draws_the_last_group_alone() -> None:
    model = make(LAWS["mrl"])
    model.loss((X, Y), cross_entropy).backward()
    drawing = start_step(model._engine, model.law, make_generator(5))
    parts = drawing.stack(len(X))
    assert {part.widths["0"] for part in parts} == {32}
    assert [part.widths["2"] for part in parts] == [24, 1, 2, 3, 6, 12]
    # Five of its nine fractions round to one of 24 units.
    assert [part.num_samples // len(X) for part in parts] == [1, 4, 1, 1, 1, 1]


def test_matformer_draws_hidden_units_alone() -> None:
    torch.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 32, dropout=0.0, batch_first=True).double()
    model = Elastic(layer, (torch.zeros(2, 3, 8, dtype=torch.float64),), law="matformer", generator=make_generator(1))
    units = {group.name for group in model.groups if group.kind == "units"}
    assert units
    assert units != set(model.groups.sizes)
    model.train()
    seen = {name: set[int]() for name in model.groups.sizes}
    run = model._engine.run_drawn
    for _ in range(20):

        def spy(drawing: Any, *inputs: Any) -> Any:
            for widths in drawing.widths():
                for name, kept in widths.items():
                    seen[name].add(kept)
            return run(drawing, *inputs)

        model._engine.run_drawn = spy  # pyright: ignore[reportAttributeAccessIssue]
        model(torch.randn(4, 3, 8, dtype=torch.float64))
    assert all((len(kept) > 1) == (name in units) for name, kept in seen.items())


# --- errors -----------------------------------------------------------------------------------------------------------


def test_a_plain_call_of_a_sandwich_is_refused() -> None:
    with pytest.raises(WidthError) as error:
        make("us_nets")(X)
    assert str(error.value) == (
        "a law that runs whole batches at several widths (sandwich=4) must train with model.loss(batch, criterion), "
        "got a call of the model; use that, or a law that splits batches"
    )


@pytest.mark.parametrize(
    ("batch", "criterion", "text"),
    [
        (
            X,
            cross_entropy,
            (
                "expected a batch of (inputs, targets) beside a criterion, got Tensor; pass a pair, or no criterion "
                "where the network returns its loss"
            ),
        ),
        (
            (X, Y),
            lambda z, y: cross_entropy(z, y, reduction="none"),
            "criterion must give a loss of one number, got a tensor of shape (12,); average over the samples",
        ),
        (
            X,
            None,
            (
                "a network without a criterion must give a loss of one number, got a tensor of shape (12, 4); average "
                "over the samples"
            ),
        ),
    ],
)
def test_a_batch_or_a_loss_of_another_form_is_refused(batch: Any, criterion: Any, text: str) -> None:
    with pytest.raises(WidthError) as error:
        make().loss(batch, criterion)
    assert str(error.value) == text


class Several(nn.Module):
    """Gives its logits beside something else."""

    def __init__(self, *, logits_first: bool) -> None:
        super().__init__()
        self.net = make_net()
        self.logits_first = logits_first

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.net(x)
        return (logits, logits.sum(dim=1)) if self.logits_first else (logits.sum(dim=1), logits)


def test_the_first_of_several_outputs_is_distilled() -> None:
    one, alone = Elastic(Several(logits_first=True), (X,), law="us_nets").train(), make("us_nets")
    alone.net.load_state_dict({name.removeprefix("net."): p for name, p in one.state_dict().items()})
    for model in (one, alone):
        model.generator.manual_seed(0)
    loss = one.loss((X, Y), lambda outputs, y: cross_entropy(outputs[0], y))
    assert_same(loss, alone.loss((X, Y), cross_entropy))


def test_distillation_without_logits_is_refused() -> None:
    model = Elastic(Several(logits_first=False), (X,), law="us_nets").train()
    with pytest.raises(WidthError) as error:
        model.loss((X, Y), lambda outputs, y: cross_entropy(outputs[1], y))
    assert str(error.value) == (
        "distillation must find logits, got outputs of type tuple; return a tensor of shape (..., classes), alone or "
        "first of several, or an object with .logits"
    )


def test_a_law_that_reaches_no_group_is_refused() -> None:
    conv = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    with pytest.raises(GroupError, match="another end; leave out"):
        Elastic(conv, (torch.zeros(2, 3, 8, 8),), law=Law(reach="head")).train()(torch.zeros(4, 3, 8, 8))
