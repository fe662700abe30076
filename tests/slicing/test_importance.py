import pytest
import torch
from torch import Tensor, nn

from tests.networks import LAW, assert_same, make_generator, make_model, randomize, shared_model
from tests.slicing.test_permutation import shuffle
from tests.untraceable import make_model as make_untraceable
from widthwise.elastic import Elastic
from widthwise.slicing import Taylor, measure_magnitude, measure_reading

EXACT = torch.float64
# Of the stream, which these groups leave alone.
STREAM_BIASES = ("proj.bias", "fc2.bias")


def measure_taylor(model: Elastic, x: Tensor, y: Tensor) -> dict[str, Tensor]:
    taylor = Taylor(model._engine.units())
    loss = nn.functional.mse_loss(model.net(x), y)
    taylor.add(torch.autograd.grad(loss, taylor.parameters, allow_unused=True))
    return dict(taylor.scores())


def draw(*shape: int, seed: int = 3) -> Tensor:
    return torch.randn(*shape, generator=make_generator(seed), dtype=EXACT)


def test_magnitude_is_the_norm_of_what_writes_times_that_of_what_reads() -> None:
    net = make_model("mlp").net
    scores = measure_magnitude(Elastic(net, (draw(2, 6),), law=LAW)._engine.units())
    write, read = net.fc2.weight.detach().norm(dim=1), net.head.weight.detach().norm(dim=0)
    assert_same(scores["fc2"], write / write.mean() * read / read.mean())


@pytest.mark.parametrize("name", ["mlp", "mlp-norm", "conv"])
def test_magnitude_of_a_unit_goes_where_the_unit_goes(name: str) -> None:
    model = shared_model(name)
    randomize(model.net, 1)
    before = measure_magnitude(model._engine.units())
    orders = shuffle(model, 2)
    after = measure_magnitude(model._engine.units())
    assert_same(after, {group: scores[orders[group]] for group, scores in before.items()})


def test_taylor_of_a_unit_goes_where_the_unit_goes() -> None:
    model, x, y = make_model("mlp"), draw(7, 6), draw(7, 3)
    before = measure_taylor(model, x, y)
    orders = shuffle(model, 2)
    assert_same(measure_taylor(model, x, y), {group: scores[orders[group]] for group, scores in before.items()})


def test_taylor_is_what_the_loss_changes_by_where_it_is_linear() -> None:
    net = nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)).to(EXACT)
    model, x = Elastic(net, (draw(5, 4),), law=LAW), draw(5, 4)
    taylor = Taylor(model._engine.units())
    taylor.add(torch.autograd.grad(net(x).sum(), taylor.parameters))
    with torch.no_grad():
        whole, weight, changes = net(x).sum(), net[2].weight.clone(), []
        for unit in range(6):
            net[2].weight[:, unit] = 0
            changes.append(net(x).sum() - whole)
            net[2].weight.copy_(weight)
    assert_same(taylor.scores()["0"], torch.stack(changes).square())


def test_taylor_is_the_slope_of_the_loss_where_a_unit_begins_to_go() -> None:
    model, x, y = make_model("mlp"), draw(7, 6), draw(7, 3)
    scores = measure_taylor(model, x, y)["fc2"]
    weight, step, slopes = model.net.head.weight, 1e-6, []
    for unit in range(7):
        losses = []
        for factor in (1 + step, 1 - step):
            with torch.no_grad():
                whole = weight.clone()
                weight[:, unit] *= factor
                losses.append(nn.functional.mse_loss(model.net(x), y))
                weight.copy_(whole)
        slopes.append((losses[0] - losses[1]) / (2 * step))
    # Central differences are off by step^2, and by the rounding of the loss over step.
    torch.testing.assert_close(scores, torch.stack(slopes).square(), rtol=1e-6, atol=1e-12)


def test_taylor_adds_up_over_batches_and_passes_over_what_the_loss_does_not_see() -> None:
    model, x, y = make_model("mlp"), draw(6, 6), draw(6, 3)
    taylor = Taylor(model._engine.units())
    for rows in (slice(0, 3), slice(3, 6)):
        loss = nn.functional.mse_loss(model.net(x[rows]), y[rows])
        taylor.add(torch.autograd.grad(loss, taylor.parameters))
    parts = [measure_taylor(model, x[rows], y[rows])["fc1"] for rows in (slice(0, 3), slice(3, 6))]
    assert_same(taylor.scores()["fc1"], parts[0] + parts[1])
    blind = Taylor(model._engine.units())
    blind.add([None] * len(blind.parameters))
    assert not blind.scores()["fc1"].any()


@pytest.mark.parametrize("kind", ["magnitude", "taylor"])
def test_a_unit_that_nothing_reads_matters_least(kind: str) -> None:
    model, x, y = make_model("mlp"), draw(7, 6), draw(7, 3)
    with torch.no_grad():
        model.net.head.weight[:, 4] = 0
    units = model._engine.units()
    scores = (measure_magnitude(units) if kind == "magnitude" else measure_taylor(model, x, y))["fc2"]
    assert scores.argmin() == 4
    assert scores[4] == 0


def test_where_nothing_tells_what_reads_all_parameters_count() -> None:
    model = make_untraceable()
    taylor = Taylor(model._engine.units())
    assert {id(each) for each in taylor.parameters} == {
        id(tensor) for block in model.net[:2] for name, tensor in block.named_parameters() if name not in STREAM_BIASES
    }
    assert set(measure_reading(model._engine.units())["0.fc1"].tolist()) == {1.0}
