import pytest
import torch

from tests.networks import assert_same, make_model
from widthwise._shared import GroupError
from widthwise.elastic.arrangement import Arrangement


def test_the_first_units_are_sorted_and_the_others_stay() -> None:
    model = make_model("mlp")
    arrangement, weight = Arrangement(model._engine, None), model.net.fc1.weight.detach().clone()
    arrangement.sort({"fc1": torch.arange(10.0), "fc2": torch.zeros(7)}, {"fc1": 4})
    expected = torch.tensor([3, 2, 1, 0, 4, 5, 6, 7, 8, 9])
    assert torch.equal(arrangement.orders["fc1"], expected)
    assert torch.equal(arrangement.orders["fc2"], torch.arange(7))
    assert torch.equal(model.net.fc1.weight, weight[expected])


def test_orders_tell_where_units_stood_at_first() -> None:
    model = make_model("mlp")
    arrangement, weight = Arrangement(model._engine, None), model.net.fc1.weight.detach().clone()
    for scores in (torch.arange(10.0), torch.tensor([3.0, 9, 1, 4, 2, 8, 5, 0, 7, 6])):
        arrangement.sort({"fc1": scores}, {"fc1": 10})
    assert torch.equal(model.net.fc1.weight, weight[arrangement.orders["fc1"]])


def test_undoing_puts_every_unit_back() -> None:
    model = make_model("mlp")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    arrangement = Arrangement(model._engine, None)
    arrangement.sort({"fc1": torch.arange(10.0), "fc2": torch.arange(7.0)}, {"fc1": 6, "fc2": 7})
    assert not torch.equal(model.net.fc1.weight, before["fc1.weight"])
    arrangement.undo()
    assert_same(dict(model.state_dict()), before)
    assert torch.equal(arrangement.orders["fc1"], torch.arange(10))


def test_scores_of_units_that_are_not_sorted_may_be_anything() -> None:
    model = make_model("mlp")
    scores = torch.arange(10.0)
    scores[9] = torch.nan
    arrangement = Arrangement(model._engine, None)
    arrangement.sort({"fc1": scores}, {"fc1": 9})
    assert arrangement.orders["fc1"][0] == 8
    with pytest.raises(GroupError, match=r"^importances must be finite, got some of fc1 that are not; look for NaN"):
        arrangement.sort({"fc1": scores}, {"fc1": 10})
